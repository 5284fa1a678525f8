"""Mixtures: a weighted sum of simple densities."""

FAMILY = "mixture"
EXAMPLES = ("mixture",)  # what `genbench evaluate` measures by itself
