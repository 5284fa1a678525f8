"""Energy-based models: a mass for every observation, whose sum over all of them is the hard part."""

FAMILY = "energy-based"
EXAMPLES = ("rbm",)  # what `genbench evaluate` measures by itself
