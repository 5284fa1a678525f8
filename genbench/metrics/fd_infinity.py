"""FD-infinity: the Fréchet distance of infinitely many samples, by extrapolation over subsets of them.

    FD_n = FD_infinity + b/n + O(1/n^2)

so a straight line through FD of subsets against 1/n has FD-infinity for its intercept. As published,
the training set stays as it is: the value is the distance to *this many* training examples, whose
own bias remains. A value below 0 means just that.

The published code draws its 15 subsets of n/10 to n samples at random, so that chance decides how
much a sample counts, and its small subsets feel the 1/n^2 term most. Here the samples are shuffled
(by their contents, so their order does not matter) and cut into `parts`, and the line goes through FD
of all samples and the mean FD without one part. Then every sample counts alike, the line adds nothing
to the linear part of the variance V1 + V2 (see `_halves.py`) and V2 / (parts - 1) to the quadratic
part, and of a term c/n^2 some -c/n^2 remains. With 5 samples per feature that is a third of the
standard error, with 2 it may be all of it: below 4 there is a warning.

The interval covers the draw of the samples and of the training set; of a published reference, whose moments are
enough here, that of the samples alone.

References:
    Effectively unbiased FID and inception score and where to find them (Chong, Forsyth, 2020), section 3.
    Notes on bias in estimation (Quenouille, 1956), for leaving out one part at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce

import numpy as np

from genbench.domains import check
from genbench.metrics import Measure, alone, normal
from genbench.metrics._inputs import enough, points_and_moments, said_of
from genbench.metrics.fd import at, of_training, spread, terms
from genbench.numerics.moments import merge
from genbench.numerics.points import Points, Summary

VERSION = 1
MIN_SAMPLES = 10
NEEDS = ("sample_features", "reference_moments")
OUTPUTS = {
    "fd_infinity": {
        "unit": "squared feature distance",
        "direction": "lower",
        "range": (None, None),
        "title": "FD of infinitely many samples",
        "misses": "blind to copies of training data; compares means and covariances alone",
        "group": "fidelity",
        "place": 110,
    },
}
REFERENCE = "Chong & Forsyth, 2020"
DOMAINS = {"parts": "a whole number in [2, inf)"}


def compute(
    sample_features: np.ndarray | Points,
    reference_moments: np.ndarray | Points | Summary,
    parts: int = 5,
    intervals: bool = True,
) -> dict[str, Measure]:
    check(DOMAINS, {"parts": parts}, "fd_infinity")
    x, y = points_and_moments(4, sample_features, reference_moments)
    enough(len(x), f"fd_infinity with parts={parts}", 2 * parts)
    found = [(1 / len(subset), sum(terms(subset, y))) for subset in _without_one_part(x, parts)]
    inverse, less = (float(part) for part in np.mean(found, 0))
    whole = sum(terms(x, y))
    slope = (less - whole) / (inverse - 1 / len(x))
    details = {
        "n_samples": len(x),
        **said_of(y),
        "dimension": x.d,
        "sizes": [len(x), 1 / inverse],
        "fd": [whole, less],
        "slope": slope,
    }
    curved = f"{len(x)} samples of {x.d} features: below 4 to 1, FD may not be linear in 1/n, and the value too low"
    warnings = (curved,) if len(x) < 4 * x.d else ()
    value = whole - slope / len(x)
    if not intervals:
        return {"fd_infinity": alone(value, details=details, warnings=warnings)}
    once, twice = spread(x, y)
    stderr = np.sqrt(once + max(twice - once, 0.0) / (parts - 1))
    over = "" if isinstance(y, Points) else f" {at(y)}"
    method = f"normal{over}, by the influence function with its quadratic part corrected from halves"
    shared = of_training(x, y, once) if isinstance(y, Points) else ()
    measure = normal(value, float(stderr), method=method, details=details, warnings=warnings, shared=shared)
    return {"fd_infinity": measure}


def _without_one_part(x: Points, parts: int) -> Iterator[Points]:
    """The shuffled rows without each part in turn; moments are merged from those of the parts."""
    blocks = [x.part(places) for places in np.array_split(x.shuffled(0), parts)]
    for i in range(parts):
        others = blocks[:i] + blocks[i + 1 :]
        subset = Points(np.concatenate([block.x for block in others]), x.device, x.tile)
        subset.moments = reduce(merge, [block.moments for block in others])
        yield subset
