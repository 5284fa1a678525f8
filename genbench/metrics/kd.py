"""Kernel distance: the unbiased squared MMD with kernel k(x, y) = (x.y/d + 1)^3 between sample and training features.

    KD = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)

Called KID when the features are torch-fidelity's InceptionV3. By default the full U-statistic: it
needs only the row sums of the kernel, has no noise of subsets, and the same sums give its
delete-one jackknife exactly (per set, added up), which counts the quadratic part of the variance
twice: `_halves.py` corrects that. A value below 0 means just that.

With `subsets` > 0 the value is that of torch-fidelity 0.4.0 with rng_seed=2020: the mean over that many pairs of
random subsets, drawn from one RandomState(2020), with the spread of the subsets in the details. Its default is 100
subsets of 1,000 rows, this one's none: the two differ by the noise of the subsets.

From 1,024 dimensions on products are those of float32 where their error, bounded in `numerics/single.py`, is at most a
thousandth of the standard error that the jackknife shows at least (of a subset, of that of its rows); else of float64.

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
from genbench.numerics import single
from genbench.numerics.kernels import Cubic, cubic
from genbench.numerics.points import Points
from genbench.numerics.single import Single, SingleCubic

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

NEGLIGIBLE = 1e-3  # error, of a standard error
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
        values = _over_subsets(x.x, y.x, subsets, subset_size, kernel)
        details |= {"subset_std": float(values.std())}
        why = "none: subsets overlap, so their spread is no standard error; subsets=0 has one"
        return {"kd": Measure(float(values.mean()), "estimate", None, None, why, details=details)}
    if _worth_single(x.x, y.x, kernel) and x.device == "cpu":
        fast = SingleCubic()
        errors = [a.kernel_error(b, fast) for a, b in ((x, x), (y, y), (x, y))]
        if _negligible([a.kernel_sums(b, fast) for a, b in ((x, x), (y, y), (x, y), (y, x))], errors):
            kernel = fast
    value = unbiased_mmd2(*(a.kernel_sums(b, kernel) for a, b in ((x, x), (y, y), (x, y))))
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
    return _left_out(x.kernel_sums(x, kernel), x.kernel_sums(y, kernel), len(y))


def _left_out(within: np.ndarray, across: np.ndarray, m: int) -> np.ndarray:
    n = len(within)
    return (within.sum() - 2 * within) / ((n - 1) * (n - 2)) - 2 * (across.sum() - across) / ((n - 1) * m)


def _worth_single(x: np.ndarray, y: np.ndarray, kernel: Cubic) -> bool:
    return not kernel.above_one and single.worth(min(len(x), len(y)), x.shape[1])


def _negligible(sums: list[np.ndarray], errors: list[float]) -> bool:
    """Whether KD from these sums is as good as exact: far nearer to it than one standard error.

    The jackknife counts the quadratic part of the variance twice, so half of it is no more than the variance.

    Arguments:
        sums: within x and y, of x against y and of y against x.
        errors: what all sums within x, within y and across may be off together.
    """
    xx, yy, xy, yx = sums
    off_xx, off_yy, off_xy = errors
    n, m = len(xx), len(yy)
    off = off_xx / (n * (n - 1)) + off_yy / (m * (m - 1)) + 2 * off_xy / (n * m)
    at_least = ((n - 1) * _left_out(xx, xy, m).var() + (m - 1) * _left_out(yy, yx, n).var()) / 2
    return off <= NEGLIGIBLE * np.sqrt(at_least)


def _over_subsets(x: np.ndarray, y: np.ndarray, subsets: int, size: int, kernel: Cubic) -> np.ndarray:
    """KD of `subsets` pairs of random subsets, in torch-fidelity's order of drawing."""
    enough(min(len(x), len(y)), f"kd with subset_size={size}", size)
    rng = np.random.RandomState(2020)
    values = np.empty(subsets)
    for i in range(subsets):
        a, b = (z[rng.choice(len(z), size, replace=False)] for z in (x, y))
        found = _of_single(a, b) if _worth_single(a, b, kernel) else None
        values[i] = _of_double(a.astype(np.float64), b.astype(np.float64), kernel) if found is None else found
    return values


def _of_single(x: np.ndarray, y: np.ndarray) -> float | None:
    X, Y = Single(x), Single(y)
    (xx, _, off_xx), (yy, _, off_yy), (xy, yx, off_xy) = single.sums(X, X), single.sums(Y, Y), single.sums(X, Y)
    return unbiased_mmd2(xx, yy, xy) if _negligible([xx, yy, xy, yx], [off_xx, off_yy, off_xy]) else None


def _of_double(x: np.ndarray, y: np.ndarray, kernel: Cubic) -> float:
    within = _within(x, kernel.above_one) + _within(y, kernel.above_one)
    return within / (len(x) * (len(x) - 1)) - 2 * _kernel(x, y, kernel.above_one).mean()


def _within(x: np.ndarray, above_one: bool) -> float:
    """sum_{i != j} k(x_i, x_j)."""
    k = _kernel(x, x, above_one)
    return float(k.sum() - np.trace(k))


def _kernel(x: np.ndarray, y: np.ndarray, above_one: bool) -> np.ndarray:
    """k(x_i, y_j) `[n, m]`."""
    products = x @ y.T  # where y is x, NumPy sees that it is symmetric, and does half the work
    products /= x.shape[1]
    return cubic(products, above_one)
