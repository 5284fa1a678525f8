"""Fréchet distance between an autoencoder's reconstructions of the test images and those images.

Called rFID in InceptionV3's features. The reconstructions are rounded to levels first. Samples can be no
better than what the decoder can say at all, so it bounds what a prior over codes can reach.

Each reconstruction belongs to an image, so the two sets are not independent: an image moves the value by both
its influences at once, phi1 + phi2 of `fd`, and J = var(phi1 + phi2)/n in place of the sum of two
variances.

References:
    GANs trained by a two time-scale update rule converge to a local Nash equilibrium (Heusel et al., 2017).
    Taming transformers for high-resolution image synthesis (Esser, Rombach, Ommer, 2021), for reconstructions.
"""

from __future__ import annotations

import math

import numpy as np

from genbench.metrics import Measure, alone, normal
from genbench.metrics._halves import corrected
from genbench.metrics._inputs import point_sets
from genbench.metrics.fd import influences, terms
from genbench.numerics.moments import variance_of_means
from genbench.numerics.points import Points

VERSION = 3
NEEDS = ("reconstruction_features", "test_features")
OUTPUTS = {
    "rfd": {
        "unit": "squared feature distance",
        "direction": "lower",
        "range": (0, None),
        "title": "Fréchet distance of reconstructions",
        "misses": "the images need not be those that were given; says nothing of samples",
        "group": "representation",
        "place": 440,
    },
}
REFERENCE = "Heusel et al., 2017"


def compute(
    reconstruction_features: np.ndarray | Points, test_features: np.ndarray | Points, intervals: bool = True
) -> dict[str, Measure]:
    x, y = point_sets(2, reconstruction_features=reconstruction_features, test_features=test_features)
    if len(x) != len(y):
        raise ValueError(f"{len(x)} reconstructions of {len(y)} images")
    mean_term, covariance_term = terms(x, y)
    value = max(mean_term + covariance_term, 0.0)  # rounding can make a distance of 0 negative
    details = {"n": len(x), "dimension": x.d, "mean_term": mean_term, "covariance_term": covariance_term}
    if not intervals:
        return {"rfd": alone(value, details=details)}
    if len(x) < 4:
        why = "none: halves of fewer than 4 rows have no covariance"
        return {"rfd": Measure(value, "estimate", None, None, why, details=details)}
    method = "normal at this count, by the influence of pairs with its quadratic part corrected from halves"
    parts = [paired_variance(x.part(places), half) for places, half in y.halves]  # an image keeps its reconstruction
    variance = corrected(paired_variance(x, y), parts)
    return {"rfd": normal(value, math.sqrt(variance), method=method, least=0.0, details=details)}


def paired_variance(x: Points, y: Points) -> float:
    """J of pairs: var(phi1 + phi2)/n."""
    phi1, phi2 = influences(x, y)
    return variance_of_means(phi1 + phi2)
