"""CMMD: the biased squared MMD, times 1000, with kernel k(x, y) = exp(-|x - y|^2 / (2 sigma^2)), sigma = 10.

    CMMD = 1000 (mean_{i, j} k(x_i, x_j) + mean_{i, j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j))

The value follows the paper's equation; it was held against no release of code. Made for the embeddings of CLIP, of
which the authors' code takes the directions, |x| = 1; here
every extractor's features are scaled so, which leaves such embeddings as they are and gives sigma
one meaning for all. `normalise=False` takes the features as they come.

The means include i = j, so the value exceeds that of infinitely many samples by about 1000/n times
the spread of the kernel: compare at equal counts. The interval is for the expectation at these
counts, and normal for the root of CMMD, which is less skewed where the two sets are alike.

References:
    Rethinking FID: towards a better evaluation metric for image generation (Jayasumana et al., 2024), equation 4.
    A kernel two-sample test (Gretton et al., 2012), equation 5.
"""

from __future__ import annotations

import numpy as np

from genbench.domains import check
from genbench.errors import GenbenchError
from genbench.metrics import Measure, alone
from genbench.metrics._halves import of_square, variance
from genbench.metrics._inputs import point_sets
from genbench.numerics.kernels import Gaussian
from genbench.numerics.points import Points

VERSION = 2
MIN_SAMPLES = 4
NEEDS = ("sample_features", "reference_features")
OUTPUTS = {
    "cmmd": {
        "unit": "squared MMD x 1000",
        "direction": "lower",
        "range": (0, None),
        "title": "CMMD",
        "misses": "blind to copies of training data",
        "group": "fidelity",
        "place": 130,
    },
}
REFERENCE = "Jayasumana et al., 2024"
DOMAINS = {"sigma": "a number in [1e-100, 1e100]", "normalise": "true or false"}

SCALE = 1000
LEAST = 1e-8  # a mean kernel value as near to 0 or to 1 leaves of the value its rounding, or the counts alone


def compute(
    sample_features: np.ndarray | Points,
    reference_features: np.ndarray | Points,
    sigma: float = 10.0,
    normalise: bool = True,
    intervals: bool = True,
) -> dict[str, Measure]:
    check(DOMAINS, {"sigma": sigma, "normalise": normalise}, "cmmd")
    x, y = point_sets(MIN_SAMPLES, sample_features=sample_features, reference_features=reference_features)
    kernel = Gaussian(sigma, of_directions=normalise)
    n, m = len(x), len(y)
    xx, yy, xy = (float(a.kernel_sums(b, kernel).sum()) for a, b in ((x, x), (y, y), (x, y)))
    told_apart(sigma, [xx / (n * (n - 1)), yy / (m * (m - 1)), xy / (n * m)], x, y)
    value = SCALE * ((xx + n) / n**2 + (yy + m) / m**2 - 2 * xy / (n * m))  # k(x_i, x_i) = 1
    details = {"n_samples": n, "n_train": m, "dimension": x.d}
    if not intervals:
        return {"cmmd": alone(max(value, 0.0), details=details)}  # rounding can make a distance of 0 negative
    stderr = SCALE * np.sqrt(variance(lambda a, b: _jackknife(a, b, kernel) + _jackknife(b, a, kernel), x, y))
    method = "normal for the root at these counts, delete-one jackknife with its quadratic part corrected from halves"
    return {"cmmd": of_square(value, float(stderr), method, details)}


def told_apart(sigma: float, means: list[float], x: Points, y: Points) -> None:
    """Looks whether a kernel of this width tells the rows apart.

    Arguments:
        means: of the kernel over pairs within x, within y and across.

    Raises:
        GenbenchError: it is 0 for nearly every pair, or 1 for all of them though not all rows are alike.
    """
    alike = (x.x == x.x[0]).all() and (y.x == x.x[0]).all()
    if max(means) < LEAST or (min(means) > 1 - LEAST and not alike):
        raise GenbenchError(
            f"a kernel of width {sigma:g} is {max(means):.0f} for all pairs of these features, to {LEAST:g}: the value "
            "says nothing of them",
            "Give a sigma near the distances between features.",
        )


def _jackknife(x: Points, y: Points, kernel: Gaussian) -> float:
    """(n-1)/n sum_i (MMD_(i) - mean)^2 over the rows of x, by taking row i out of the sums."""
    n, m = len(x), len(y)
    within, across = x.kernel_sums(x, kernel), x.kernel_sums(y, kernel)
    left_out = (within.sum() - 2 * within + n - 1) / (n - 1) ** 2 - 2 * (across.sum() - across) / ((n - 1) * m)
    return float((n - 1) * left_out.var())
