"""Ways of training a GAN, by the modes of a ring of eight Gaussians that its samples reach."""

SENTENCE = "The non-saturating loss beats minimax, and a gradient penalty beats clipping."
SAID_BY = "Goodfellow et al. (2014), section 3; Gulrajani et al. (2017)"
DECIDED_BY = "the reverse KL of the modes of a ring of eight Gaussians and the share of samples near a mode"
CARRIES = "to these trainings: with one of each, another seed may turn the order."
OF_TRAINING = True
PAIRS = (
    ("ring8", "modes-kl", "nonsaturating-gan", "minimax-gan"),
    ("ring8", "modes-kl", "wgan-gp", "wgan"),
    ("ring8", "high-quality", "nonsaturating-gan", "minimax-gan"),
    ("ring8", "high-quality", "wgan-gp", "wgan"),
)
