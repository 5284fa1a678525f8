"""Mixtures: a weighted sum of simple densities."""

FAMILY = "mixture"
