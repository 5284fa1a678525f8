"""Improved precision and recall: the share of samples on the data's manifold, and of data on the samples' manifold.

The manifold of a set is the union of balls about its points, each reaching to the point's k-th
nearest neighbour in the set, itself excluded; a point on the edge of a ball is inside (`<=`, as in
torch-fidelity and the paper; prdc takes `<`). Where k + 1 points of a set coincide their balls have
radius 0 and hold exactly their copies.

Wilson's interval treats the samples (for recall: the training examples) as independent trials
against a fixed manifold. It leaves out that the manifold itself is estimated from one set of
finite size, by which both values depend on n: compare at equal counts.

References:
    Improved precision and recall metric for assessing generative models (Kynkäänniemi et al., 2019), equations 1-3.
"""

from __future__ import annotations

from genbench.metrics import Measure, share
from genbench.metrics._inputs import point_sets
from genbench.numerics.points import Points

VERSION = 1
MIN_SAMPLES = 4  # for k = 3
NEEDS = ("sample_features", "train_features")
OUTPUTS = {
    "precision": {"unit": "share", "direction": "higher", "title": "precision"},
    "recall": {"unit": "share", "direction": "higher", "title": "recall"},
}
REFERENCE = "Kynkäänniemi et al., 2019"


def compute(sample_features: Points, train_features: Points, k: int = 3) -> dict[str, Measure]:
    x, y = point_sets(k + 1, sample_features=sample_features, train_features=train_features)
    details = {"n_samples": len(x), "n_train": len(y), "k": k}
    return {"precision": _covered(x, y, k, details), "recall": _covered(y, x, k, details)}


def _covered(x: Points, y: Points, k: int, details: dict) -> Measure:
    """The share of x on the manifold of y."""
    return share(int((x.balls(y, k).closed > 0).sum()), len(x), details=dict(details))
