"""Ways of training a GAN, by the modes of a ring of eight Gaussians that its samples reach: five trainings of each."""

SENTENCE = "The non-saturating loss beats minimax, and a gradient penalty beats clipping."
SAID_BY = "Goodfellow et al. (2014), section 3; Gulrajani et al. (2017)"
DECIDED_BY = (
    "the reverse KL of the modes of a ring of eight Gaussians and the share of samples near a mode, over five trainings"
)
CARRIES = "to a ring, small networks and one setting of each; what share of settings succeeds is not asked."
OF_TRAINING = True
PAIRS = tuple(
    ("modes", metric, better, worse)
    for metric in ("modes-kl", "high-quality")
    for better, worse in (("nonsaturating-gan", "minimax-gan"), ("wgan-gp", "wgan"))
)
