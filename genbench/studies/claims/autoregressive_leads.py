"""Autoregressive models against the others in likelihood, on 8x8 digits and on binary MNIST."""

SENTENCE = "Autoregressive models lead in likelihood."
SAID_BY = "van den Oord et al. (2016), and every comparison of families since, which adds that VAEs follow closely"
DECIDED_BY = (
    "exact values of an autoregressive model against those of other families; where the other value is a bound, its "
    "true value may be lower, and nothing is decided"
)
CARRIES = (
    "to two sets of small images. True values below the bounds of a diffusion model, a VAE and a flow are unknown. "
    "`vaes-follow-closely` asks what annealed importance sampling makes of that, and how far behind VAEs are."
)
PAIRS = (
    ("digits", "nll", "pixelcnn-pp", "full-mixture"),
    ("digits", "nll", "pixelcnn-pp", "bernoulli-vae"),
    ("digits", "nll", "pixelcnn-pp", "conv-vae"),
    ("digits", "nll", "pixelcnn-pp", "nsf"),
    ("digits", "nll", "pixelcnn-pp", "ddpm"),
    ("mnist-binary", "nll", "row-lstm", "vampprior-vae"),
    ("mnist-binary", "nll", "row-lstm", "mixture"),
)
