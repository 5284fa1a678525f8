"""Codes with a learned prior against Gaussian latents."""

SENTENCE = "A VQ-VAE's samples are sharper than a VAE's."
SAID_BY = "van den Oord, Vinyals, Kavukcuoglu (2017)"
DECIDED_BY = "precision: the share of samples that lie where real digits do; and density, which counts how deep"
CARRIES = "to 8x8 digits; how sharp large pictures are is another matter."
PAIRS = (
    ("digits", "precision[digits-cnn]", "vqvae", "vae"),
    ("digits", "density[digits-cnn]", "vqvae", "vae"),
)
