"""Ways of training a GAN, by the modes of a ring and of a grid that its samples reach: five trainings of each."""

SENTENCE = "The non-saturating loss beats minimax, and a gradient penalty beats clipping."
SAID_BY = "Goodfellow et al. (2014), section 3; Gulrajani et al. (2017)"
DECIDED_BY = (
    "the reverse KL of the modes of a ring of 8 Gaussians and of a grid of 25, and the share of samples near a mode, "
    "over five trainings of each"
)
CARRIES = (
    "to points in the plane, small networks and one setting of each, chosen on the ring; `penalties-need-less-tuning` "
    "asks what share of settings succeeds."
)
OF_TRAINING = True
PAIRS = tuple(
    ("modes", metric, better, worse, dataset)
    for dataset in ("ring8", "grid25")
    for metric in ("modes-kl", "high-quality")
    for better, worse in (("nonsaturating-gan", "minimax-gan"), ("wgan-gp", "wgan"))
)
