"""Autoregressive models: the chain rule, p(x) = prod_i p(x_i | x_<i), one value after another."""

FAMILY = "autoregressive"
EXAMPLES = ("gated-pixelcnn",)  # what `genbench evaluate` measures by itself
