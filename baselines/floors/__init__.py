"""Floors: models that count, average or store the data; a model that does not beat them has learned nothing."""

FAMILY = "floor"
EXAMPLES = ("independent-pixels", "resampler")  # what `genbench evaluate` measures by itself
