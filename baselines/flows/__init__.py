"""Flows: an invertible map from data to noise, and the change of variables."""

FAMILY = "flow"
EXAMPLES = ("realnvp",)  # what `genbench evaluate` measures by itself
