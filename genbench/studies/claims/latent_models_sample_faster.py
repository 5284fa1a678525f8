"""Samples per second of models that take one pass, against those that take one for each value or step."""

SENTENCE = "Latent-variable models, flows of couplings and GANs sample faster than autoregressive and diffusion models."
SAID_BY = "every comparison of families since Goodfellow (2016)"
DECIDED_BY = "samples per second on one thread, batches of 100, caches where a model has them"
CARRIES = (
    "to 8x8 images on a processor; the gap grows with the number of values, since these need one pass and those "
    "one for each."
)
PAIRS = tuple(  # one model for each family
    ("digits", "throughput", better, worse)
    for better in ("conv-vae", "gan", "realnvp")
    for worse in ("gated-pixelcnn", "row-lstm", "ddpm")
)
