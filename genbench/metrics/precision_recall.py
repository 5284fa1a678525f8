"""Improved precision and recall: the share of samples on the data's manifold, and of data on the samples' manifold.

The manifold of a set is the union of balls about its points, each reaching to the point's k-th
nearest neighbour in the set, itself excluded; a point on the edge of a ball is inside (`<=`, as in
torch-fidelity and the paper; prdc takes `<`). Where k + 1 points of a set coincide their balls have
radius 0 and hold exactly their copies.

Both values depend on the counts: the more points a manifold has, the narrower its balls. So the samples meet
as many training examples (chosen by their contents), as in the paper's protocol of 50,000 and 50,000; where there
are fewer, all of them. torch-fidelity 0.4.0 and prdc 0.2 take the counts that they are given: at equal counts,
with k = 3, the values are torch-fidelity's.

All rows are judged against one manifold, which itself is a draw: the interval counts that by the
design effect of `_groups`, and covers the draw of both sets.

References:
    Improved precision and recall metric for assessing generative models (Kynkäänniemi et al., 2019), equations 1-3.
"""

from __future__ import annotations

import numpy as np

from genbench.domains import check
from genbench.metrics import Measure, _groups, _shared
from genbench.metrics._inputs import counts, point_sets, reference
from genbench.numerics.points import Points

VERSION = 3
MIN_SAMPLES = 4  # for k = 3
NEEDS = ("sample_features", "reference_features")
OUTPUTS = {
    "precision": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "precision",
        "misses": "blind to missing classes and repeated images; rewards copies of training data",
        "group": "fidelity",
        "place": 200,
    },
    "recall": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "recall",
        "misses": "blind to imbalance, repeated images and copies; a wild outlier widens what counts as reached",
        "group": "diversity",
        "place": 210,
    },
}
REFERENCE = "Kynkäänniemi et al., 2019"
DOMAINS = {"k": "a whole number in [1, inf)"}


def compute(
    sample_features: Points, reference_features: Points, k: int = 3, intervals: bool = True
) -> dict[str, Measure]:
    check(DOMAINS, {"k": k}, "precision_recall")
    x, train = point_sets(k + 1, sample_features=sample_features, reference_features=reference_features)
    y = reference(x, train)
    details = {**counts(x, train, y), "k": k}

    def inside(points: Points, manifold: Points) -> np.ndarray:
        return points.balls(manifold, k).closed > 0

    reached = _shared.of_rows(inside(y, x), y) if intervals else ()
    return {
        "precision": _groups.share(inside, x, y, k + 1, details, intervals=intervals),
        "recall": _groups.share(lambda x, y: inside(y, x), x, y, k + 1, details, reached, intervals),
    }
