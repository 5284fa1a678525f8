"""Priors and posteriors richer than a standard normal, against the plain VAE with the same decoder."""

SENTENCE = "A richer prior or posterior makes a better VAE."
SAID_BY = "Tomczak, Welling (2018); Kingma et al. (2016)"
DECIDED_BY = "the Fréchet distance of samples; of likelihoods there are bounds on both sides, which decide nothing"
CARRIES = "to 16 latents and 8x8 images; the decoders differ by family of likelihood, which the board states."
PAIRS = (
    ("digits", "fd[digits-cnn]", "vampprior-vae", "vae"),
    ("digits", "fd[digits-cnn]", "flow-posterior-vae", "vae"),
)
