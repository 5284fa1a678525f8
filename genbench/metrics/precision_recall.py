"""Improved precision and recall: the share of samples on the data's manifold, and of data on the samples' manifold.

The manifold of a set is the union of balls about its points, each reaching to the point's k-th
nearest neighbour in the set, itself excluded; a point on the edge of a ball is inside (`<=`, as in
torch-fidelity and the paper; prdc takes `<`). Where k + 1 points of a set coincide their balls have
radius 0 and hold exactly their copies.

All rows are judged against one manifold, which itself is a draw: the interval counts that by the
design effect of `_groups`, and covers the draw of both sets. Both values depend on the counts:
compare at equal counts.

References:
    Improved precision and recall metric for assessing generative models (Kynkäänniemi et al., 2019), equations 1-3.
"""

from __future__ import annotations

import numpy as np

from genbench.domains import check
from genbench.metrics import Measure, _groups
from genbench.metrics._inputs import point_sets
from genbench.numerics.points import Points

VERSION = 2
MIN_SAMPLES = 4  # for k = 3
NEEDS = ("sample_features", "train_features")
OUTPUTS = {
    "precision": {"unit": "share", "direction": "higher", "title": "precision", "group": "fidelity", "place": 200},
    "recall": {"unit": "share", "direction": "higher", "title": "recall", "group": "diversity", "place": 210},
}
REFERENCE = "Kynkäänniemi et al., 2019"
DOMAINS = {"k": "a whole number in [1, inf)"}


def compute(sample_features: Points, train_features: Points, k: int = 3) -> dict[str, Measure]:
    check(DOMAINS, {"k": k}, "precision_recall")
    x, y = point_sets(k + 1, sample_features=sample_features, train_features=train_features)
    details = {"n_samples": len(x), "n_train": len(y), "k": k}

    def inside(points: Points, manifold: Points) -> np.ndarray:
        return points.balls(manifold, k).closed > 0

    return {
        "precision": _groups.share(inside, x, y, k + 1, details),
        "recall": _groups.share(lambda x, y: inside(y, x), x, y, k + 1, details),
    }
