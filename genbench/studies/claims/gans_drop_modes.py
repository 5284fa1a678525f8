"""Likelihood models against GANs, by the modes that their samples reach."""

SENTENCE = "Likelihood models cover the modes, GANs drop them."
SAID_BY = "Goodfellow (2016), section 3.2.5; Metz et al. (2017)"
DECIDED_BY = "recall of real digits, and the reverse KL of the modes of a ring of eight Gaussians"
CARRIES = (
    "to these trainings: which modes a GAN drops is decided by the noise of its training, so one of each decides "
    "nothing."
)
OF_TRAINING = True
PAIRS = (
    *(("ring8", "modes-kl", "maf", worse) for worse in ("minimax-gan", "nonsaturating-gan", "lsgan", "wgan")),
    *(("digits", "recall[digits-cnn]", "gated-pixelcnn", worse) for worse in ("gan", "dcgan")),
)
