"""Anomaly detection by reconstruction: does an autoencoder fail to give back what is not of its data?

    score(x) = |x - x'|^2,    x' what the model gives back of x, in the raw range of the space

A bottleneck that was learnt on data should have no code for anything else. It often has: what is simple is easily given
back, and an autoencoder of many codes gives back nearly anything.

References:
    Replicator neural networks for outlier detection (Hawkins, He, Williams, Baxter, 2002).
    Anomaly detection using autoencoders with nonlinear dimensionality reduction (Sakurada, Yairi, 2014).
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._anomaly import area

VERSION = 1
NEEDS = ("reconstructions", "outside_reconstructions", "test", "outside")
OUTPUTS = {
    "auroc_reconstruction": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "anomalies found by reconstruction",
        "misses": "takes whatever is simple enough to be given back for data",
        "group": "uses",
        "place": 660,
    },
}
REFERENCE = "Hawkins et al., 2002"


def compute(
    reconstructions: np.ndarray, outside_reconstructions: np.ndarray, test: np.ndarray, outside: np.ndarray
) -> dict[str, Measure]:
    return {"auroc_reconstruction": area(errors(reconstructions, test), errors(outside_reconstructions, outside))}


def errors(back: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Squared error of every example `[n]`."""
    if back.shape != given.shape:
        raise ValueError(f"reconstructions: expected {list(given.shape)}, got {list(back.shape)}")
    return np.square(back.astype(np.float64) - given).reshape(len(given), -1).sum(1)
