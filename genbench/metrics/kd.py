"""Kernel distance: the unbiased squared MMD with kernel k(x, y) = (x.y/d + 1)^3 between sample and training features.

    KD = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

Called KID when the features are torch-fidelity's InceptionV3. By default the full U-statistic: it
needs only the row sums of the kernel, has no noise of subsets, and the same sums give its
delete-one jackknife exactly (per set, added up), which counts the quadratic part of the variance
twice: `_halves.py` corrects that. A value below 0 means just that.

With `subsets` > 0 the value is that of torch-fidelity 0.4.0 with rng_seed=2020: the mean over that many pairs of
random subsets, drawn from one RandomState(2020), with the spread of the subsets in the details. Its default is 100
subsets of 1,000 rows, this one's none: the two differ by the noise of the subsets.

References:
    Demystifying MMD GANs (Binkowski, Sutherland, Arbel, Gretton, 2018), sections 4 and 5.
    A kernel two-sample test (Gretton et al., 2012), lemma 6.
"""

from __future__ import annotations

import numpy as np

from genbench.domains import check
from genbench.metrics import Measure, _shared, alone, normal
from genbench.metrics._halves import variance
from genbench.metrics._inputs import enough, point_sets
from genbench.numerics.kernels import Cubic, cubic
from genbench.numerics.points import Points

VERSION = 2
MIN_SAMPLES = 3
NEEDS = ("sample_features", "reference_features")
OUTPUTS = {
    "kd": {
        "unit": "squared MMD",
        "direction": "lower",
        "range": (None, None),
        "title": "kernel distance",
        "misses": "blind to copies of training data",
        "group": "fidelity",
        "place": 120,
    },
}
REFERENCE = "Binkowski et al., 2018"
DOMAINS = {"subsets": "a whole number in [0, inf)", "subset_size": "a whole number in [2, inf)"}

SHORT = 1e-6  # rows of which adding 1 to |x|^2 / d loses more than six digits


def compute(
    sample_features: Points,
    reference_features: Points,
    subsets: int = 0,
    subset_size: int = 1000,
    intervals: bool = True,
) -> dict[str, Measure]:
    check(DOMAINS, {"subsets": subsets, "subset_size": subset_size}, "kd")
    x, y = point_sets(MIN_SAMPLES, sample_features=sample_features, reference_features=reference_features)
    details: dict[str, float] = {"n_samples": len(x), "n_train": len(y), "dimension": x.d}
    kernel = Cubic(above_one=max(longest(x), longest(y)) < SHORT)
    if subsets > 0:
        values = _over_subsets(x.x, y.x, subsets, subset_size, kernel.above_one)
        details |= {"subset_std": float(values.std())}
        why = "none: subsets overlap, so their spread is no standard error; subsets=0 has one"
        return {"kd": Measure(float(values.mean()), "estimate", None, None, why, details=details)}
    xx, yy, xy = (a.kernel_sums(b, kernel) for a, b in ((x, x), (y, y), (x, y)))
    value = unbiased_mmd2(xx, yy, xy)
    if not intervals:
        return {"kd": alone(value, details=details)}
    if min(len(x), len(y)) < 2 * MIN_SAMPLES:
        why = f"none: halves of fewer than {MIN_SAMPLES} rows have no jackknife"
        return {"kd": Measure(value, "estimate", None, None, why, details=details)}

    def spread(a: Points, b: Points) -> float:
        return jackknife(a, b, kernel) + jackknife(b, a, kernel)

    whole, corrected = spread(x, y), variance(spread, x, y)
    shared = _shared.of_rows(-(len(y) - 1) * without_each(y, x, kernel), y, corrected / whole if whole > 0 else 0.0)
    method = "normal, delete-one jackknife with its quadratic part corrected from halves"
    return {"kd": normal(value, float(np.sqrt(corrected)), method=method, details=details, shared=shared)}


def unbiased_mmd2(xx: np.ndarray, yy: np.ndarray, xy: np.ndarray) -> float:
    """The U-statistic from row sums: within x `[n]` and y `[m]` without the diagonal, and of x against y `[n]`."""
    n, m = len(xx), len(yy)
    return float(xx.sum() / (n * (n - 1)) + yy.sum() / (m * (m - 1)) - 2 * xy.sum() / (n * m))


def longest(x: Points) -> float:
    """The largest |x_i|^2 / d."""
    return float(np.einsum("ij,ij->i", x.x, x.x).max()) / x.d


def jackknife(x: Points, y: Points, kernel: Cubic) -> float:
    """(n-1)/n sum_i (KD_(i) - mean)^2 over the rows of x."""
    return float((len(x) - 1) * without_each(x, y, kernel).var())


def without_each(x: Points, y: Points, kernel: Cubic) -> np.ndarray:
    """KD without each row of x, by taking it out of the sums, up to a constant `[n]`."""
    n, m = len(x), len(y)
    within, across = x.kernel_sums(x, kernel), x.kernel_sums(y, kernel)
    return (within.sum() - 2 * within) / ((n - 1) * (n - 2)) - 2 * (across.sum() - across) / ((n - 1) * m)


def _over_subsets(x: np.ndarray, y: np.ndarray, subsets: int, size: int, above_one: bool) -> np.ndarray:
    """KD of `subsets` pairs of random subsets, in torch-fidelity's order of drawing."""
    enough(min(len(x), len(y)), f"kd with subset_size={size}", size)
    rng = np.random.RandomState(2020)
    values = np.empty(subsets)
    for i in range(subsets):
        a = x[rng.choice(len(x), size, replace=False)].astype(np.float64)
        b = y[rng.choice(len(y), size, replace=False)].astype(np.float64)
        within = _within(a, above_one) + _within(b, above_one)
        values[i] = within / (size * (size - 1)) - 2 * _kernel(a, b, above_one).mean()
    return values


def _within(x: np.ndarray, above_one: bool) -> float:
    """sum_{i != j} k(x_i, x_j)."""
    k = _kernel(x, x, above_one)
    return float(k.sum() - np.trace(k))


def _kernel(x: np.ndarray, y: np.ndarray, above_one: bool) -> np.ndarray:
    """k(x_i, y_j) `[n, m]`."""
    products = x @ y.T  # where y is x, NumPy sees that it is symmetric, and does half the work
    products /= x.shape[1]
    return cubic(products, above_one)
