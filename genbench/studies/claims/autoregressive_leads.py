"""Autoregressive models against the others in likelihood on the 8x8 digits."""

SENTENCE = "Autoregressive models lead in likelihood."
SAID_BY = "van den Oord et al. (2016), and every comparison of families since"
DECIDED_BY = (
    "exact values of a PixelCNN against those of other families; where the other value is a bound, its true value may "
    "be lower, and nothing is decided"
)
CARRIES = "to 8x8 images of 17 levels; true values below the bounds of a diffusion model, a VAE and a flow are unknown."
PAIRS = (
    ("digits", "nll", "pixelcnn-pp", "full-mixture"),
    ("digits", "nll", "pixelcnn-pp", "bernoulli-vae"),
    ("digits", "nll", "pixelcnn-pp", "conv-vae"),
    ("digits", "nll", "pixelcnn-pp", "nsf"),
    ("digits", "nll", "pixelcnn-pp", "ddpm"),
)
