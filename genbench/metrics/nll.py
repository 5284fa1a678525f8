"""Negative log-likelihood of the test data in bits per dimension, with the kind of number it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._likelihood import bits_per_dim
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

VERSION = 2
NEEDS = ("log_likelihood", "space", "test_sequence")
OUTPUTS = {
    "nll": {
        "unit": "bits/dim",
        "direction": "lower",
        "range": (None, None),
        "title": "negative log-likelihood",
        "misses": "says little of how samples look: both can be good without the other (Theis et al., 2016)",
        "group": "likelihood",
        "place": 10,
    },
}
REFERENCE = "Theis, van den Oord, Bethge 2016"


def compute(log_likelihood: LogLikelihood, space: Space, test_sequence: np.ndarray | None) -> dict[str, Measure]:
    """-mean log p(x) / (D ln 2), by the strongest statement that the model makes."""
    return {"nll": bits_per_dim(log_likelihood, space, test_sequence)}
