"""Latent-variable models: p(x) = int p(x | z) p(z) dz, trained on a bound."""

FAMILY = "latent-variable"
EXAMPLES = ("vae",)  # what `genbench evaluate` measures by itself
