"""Floors: models that need no learning; whoever cannot beat them has learned nothing."""

FAMILY = "floor"
