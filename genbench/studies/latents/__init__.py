"""Studies of latent variables: how noisy gradients are, what encoders lose, where latents collapse; docs/latents.md."""
