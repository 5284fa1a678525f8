"""Density and coverage: how many of the data's balls hold a sample, and how many of the balls hold any sample.

M training examples are compared with N samples: as many as there are samples, chosen by their contents, or all
where there are fewer. About each lies a ball that reaches to its k-th nearest other one of the M; a sample lies
inside below that radius (`<`, as in prdc 0.2, whose values these are at the same rows). Then

    density   1/(k N) sum_i (number of balls that hold sample i)      coverage   1/M #{balls that hold a sample}

Density may exceed 1, where samples crowd into the densest parts of the data. Where both sets are of
one distribution, E density = 1 and E coverage = 1 - prod_{i=1..k} (M - i)/(M + N - i), near
1 - 2^-k at equal counts, 0.97 for k = 5; with M = 60 N it would be 0.08, which nobody could read. Balls about
k + 1 coinciding examples have radius 0 and hold nothing, not even their copies: sets of identical points have both
values 0, as in prdc.

Neighbouring balls hold or miss the same samples, and all samples see the same balls. The intervals
count that by the design effect of `_groups`, and cover the draw of both sets. In many dimensions a
few samples are near to most of the data, the more so the more data; groups show that too small: with
1,000 rows in 64 dimensions coverage's interval holds its truth 90 times in 100.

References:
    Reliable fidelity and diversity metrics for generative models (Naeem et al., 2020), equations 3-8.
"""

from __future__ import annotations

import numpy as np

from genbench.domains import check
from genbench.metrics import Measure, _groups
from genbench.metrics._inputs import counts, point_sets, reference
from genbench.numerics.points import Points

VERSION = 2
MIN_SAMPLES = 6  # for k = 5
NEEDS = ("sample_features", "reference_features")
OUTPUTS = {
    "density": {
        "unit": "balls / k",
        "direction": "higher",
        "range": (0, None),
        "title": "density",
        "misses": "blind to missing classes, repeated images and copies of training data",
        "group": "fidelity",
        "place": 220,
    },
    "coverage": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "coverage",
        "misses": "counts a ball with one sample in it as reached; blind to repeated images and to copies",
        "group": "diversity",
        "place": 230,
    },
}
REFERENCE = "Naeem et al., 2020"
DOMAINS = {"k": "a whole number in [1, inf)"}


def compute(
    sample_features: Points, reference_features: Points, k: int = 5, intervals: bool = True
) -> dict[str, Measure]:
    check(DOMAINS, {"k": k}, "density_coverage")
    x, train = point_sets(k + 1, sample_features=sample_features, reference_features=reference_features)
    y = reference(x, train)
    details = {**counts(x, train, y), "k": k}

    def crowding(x: Points, y: Points) -> np.ndarray:
        return x.balls(y, k).open / k

    def reached(x: Points, y: Points) -> np.ndarray:
        radii = y.nearest(y, k)[0][:, -1]
        return y.nearest(x)[0][:, 0] < radii

    return {
        "density": _groups.mean(crowding, x, y, k + 1, details, intervals),
        "coverage": _groups.share(reached, x, y, k + 1, details, intervals=intervals),
    }
