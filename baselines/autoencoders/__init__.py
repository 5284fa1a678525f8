"""Autoencoders: a code that reconstructs; sampled by what is learned of it afterwards."""

FAMILY = "autoencoder"
