"""Adversarial models: a generator trained against a critic, without a likelihood."""

FAMILY = "gan"
EXAMPLES = ("gan",)  # what `genbench evaluate` measures by itself
