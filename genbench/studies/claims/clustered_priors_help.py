"""A VAE whose prior is a mixture of posteriors, against one of the same networks with a standard normal."""

SENTENCE = "A richer prior than N(0, I) makes a better VAE."
SAID_BY = "Tomczak, Welling (2018), table 1"
DECIDED_BY = "the Fréchet distance of samples of binary MNIST, and the bound on its likelihood by 1,000 draws"
CARRIES = (
    "to 50 latents, one prior (VampPrior) and one training of each. On the digits the two models differ in their "
    "decoders as well, so that they decide nothing."
)
OF_BOUNDS = True
PAIRS = (
    ("mnist-binary", "fd[mnist-cnn]", "vampprior-vae", "vae"),
    ("mnist-binary", "nll", "vampprior-vae", "vae"),
)
