"""Adversarial models: a generator trained against a critic, without a likelihood."""

FAMILY = "gan"
