"""Parzen window (legacy): the log-density of test data under Gaussians about the samples.

No likelihood of the model, and never ranked: kept so that old papers can be compared. In nats for
each example, as those papers give it, a density on the scale of the raw values.
"""

from __future__ import annotations

import numpy as np

from genbench.likelihood import parzen as window
from genbench.metrics import Measure, mean

VERSION = 1
NEEDS = ("samples", "validation", "test")
OUTPUTS = {
    "parzen": {
        "unit": "nats",
        "direction": "none",
        "range": (None, None),
        "title": "Parzen window log-density (legacy)",
        "misses": "depends on the width of the window more than on the model; blind to copies of training data",
        "group": "likelihood",
        "place": 480,
    },
}
REFERENCE = "Breuleux, Bengio, Vincent 2009"


def compute(samples: np.ndarray, validation: np.ndarray, test: np.ndarray) -> dict[str, Measure]:
    """The mean log-density of `test` `[N, ...]`, with the bandwidth that suits `validation` best."""
    found = window.parzen(samples, validation, test)
    details = {"bandwidth": found.bandwidth, "n_samples": len(samples), "n": len(test)}
    return {"parzen": mean(found.values, details=details, warnings=found.warnings)}
