"""A likelihood model against GANs, by the modes that their samples reach: five trainings of each."""

SENTENCE = "Likelihood models cover the modes, GANs drop them."
SAID_BY = "Goodfellow (2016), section 3.2.5; Metz et al. (2017)"
DECIDED_BY = "the reverse KL of the modes of a ring of eight Gaussians, over five trainings of each"
CARRIES = (
    "to a ring and small networks. Of eight modes a least squares GAN reaches 6.0 and a non-saturating one 6.8 on "
    "average, the others all: some GANs drop modes, and some do not. Of digits there is one training of each, which "
    "decides nothing, since the noise of its training decides which modes a GAN drops."
)
OF_TRAINING = True
PAIRS = tuple(
    ("modes", "modes-kl", "nsf", worse) for worse in ("minimax-gan", "nonsaturating-gan", "lsgan", "wgan", "wgan-gp")
)
