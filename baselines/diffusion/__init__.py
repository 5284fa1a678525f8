"""Diffusion: noise added step by step, and a network that takes it away."""

FAMILY = "diffusion"
EXAMPLES = ("ddpm",)  # what `genbench evaluate` measures by itself
