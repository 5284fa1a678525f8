"""A likelihood model against GANs, by the modes that their samples reach: five trainings of each."""

SENTENCE = "Likelihood models cover the modes, GANs drop them."
SAID_BY = "Goodfellow (2016), section 3.2.5; Metz et al. (2017)"
DECIDED_BY = "the reverse KL of the modes of a ring of 8 Gaussians and of a grid of 25, over five trainings of each"
CARRIES = (
    "to points in the plane and small networks. Of the 8 modes a least squares GAN reaches 6.0 and a non-saturating "
    "one 6.8 on average, the others all; of the 25 a WGAN with gradient penalty reaches all, the others here 9 to 19: "
    "some GANs drop modes, and some do not. Of digits there is one training of each, which decides nothing, since the "
    "noise of its training decides which modes a GAN drops."
)
OF_TRAINING = True
PAIRS = tuple(
    ("modes", "modes-kl", "nsf", worse, dataset)
    for dataset in ("ring8", "grid25")
    for worse in ("minimax-gan", "nonsaturating-gan", "lsgan", "wgan", "wgan-gp")
)
