"""Codes of VAEs against hidden layers of autoregressive models, by a linear probe of the digits' classes."""

SENTENCE = "VAEs represent data better than autoregressive models do."
SAID_BY = "lectures that compare the families: an autoregressive model has no code; Chen et al. (2017)"
DECIDED_BY = (
    "accuracy of a linear probe with 100 labels and with all, of posterior means against the last hidden layers"
)
CARRIES = (
    "to classes of 8x8 digits and a linear probe; the hidden layers have more values than the codes, and a short code "
    "is a merit that no probe counts."
)
PAIRS = tuple(
    ("representation", probe, better, worse)
    for better in ("vae", "hierarchical-vae")
    for probe, against in (("probe-100", ("made", "pixelcnn", "lstm")), ("probe", ("pixelcnn",)))
    for worse in against
)
