"""Autoencoders: a code from which the data are given back; a density fitted to the codes draws samples."""

FAMILY = "autoencoder"
EXAMPLES = ("denoising-autoencoder",)  # what `genbench evaluate` measures by itself
