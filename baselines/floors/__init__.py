"""Floors: models that count, average or store the data; a model that does not beat them has learned nothing."""

FAMILY = "floor"
