"""Fréchet distance between Gaussians fitted to the features of samples and of training data.

    FD = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

in float64, covariances with ddof = 1 and nothing added to their diagonals. Called FID when the
features are those of torch-fidelity's InceptionV3, and then the value of torch-fidelity 0.4.0 up to rounding: it
sums roots of the eigenvalues of S1 S2.

The plug-in value exceeds that of infinitely many samples by about c/n, so it compares at equal
counts only, and the interval is for the expectation *at these counts*. Its standard error comes
from the influence function: a row u (centred) of the first set moves FD by

    phi(u) = 2 (mu1 - mu2).u + u'(I - T12) u,    T12 the optimal map from N(0, S1) to N(0, S2),

and J(n) = var phi1 / n1 + var phi2 / n2, in which the quadratic part counts twice; `_halves.py` corrects that.

Of a published reference the moments are enough (`--reference`). Then the second term cannot be known: the interval is
for the expectation over draws of the samples, at this very reference, and the record says so.

References:
    GANs trained by a two time-scale update rule converge to a local Nash equilibrium (Heusel et al., 2017).
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure, _shared, alone, normal
from genbench.metrics._halves import variance
from genbench.metrics._inputs import points_and_moments, said_of
from genbench.numerics import roots
from genbench.numerics.moments import variance_of_means
from genbench.numerics.points import Points, Summary

VERSION = 3
MIN_SAMPLES = 2
NEEDS = ("sample_features", "reference_moments")
OUTPUTS = {
    "fd": {
        "unit": "squared feature distance",
        "direction": "lower",
        "range": (0, None),
        "title": "Fréchet distance",
        "misses": "blind to copies of training data; compares means and covariances alone, and has a bias that grows "
        "as samples get fewer",
        "group": "fidelity",
        "place": 100,
    },
}
REFERENCE = "Heusel et al., 2017"


def compute(
    sample_features: np.ndarray | Points, reference_moments: np.ndarray | Points | Summary, intervals: bool = True
) -> dict[str, Measure]:
    x, y = points_and_moments(MIN_SAMPLES, sample_features, reference_moments)
    mean_term, covariance_term = terms(x, y)
    value = max(mean_term + covariance_term, 0.0)  # rounding can make a distance of 0 negative
    details = {
        "n_samples": len(x),
        **said_of(y),
        "dimension": x.d,
        "mean_term": mean_term,
        "covariance_term": covariance_term,
    }
    if not intervals:
        return {"fd": alone(value, details=details)}
    if min(len(s) for s in (x, y) if isinstance(s, Points)) < 4:
        why = "none: halves of fewer than 4 rows have no covariance"
        return {"fd": Measure(value, "estimate", None, None, why, details=details)}
    corrected = spread(x, y)[0]
    method = f"normal {at(y)}, by the influence function with its quadratic part corrected from halves"
    shared = of_training(x, y, corrected) if isinstance(y, Points) else ()  # of published moments nobody knows the rows
    return {"fd": normal(value, float(np.sqrt(corrected)), method=method, least=0.0, details=details, shared=shared)}


def at(y: Points | Summary) -> str:
    """What an interval takes as given."""
    return "at these counts" if isinstance(y, Points) else "over the samples alone, at this reference"


def terms(x: Points, y: Points | Summary) -> tuple[float, float]:
    """|mu1 - mu2|^2, and tr S1 + tr S2 - 2 tr (S1 S2)^(1/2); FD is their sum."""

    def make() -> tuple[float, float]:
        a, b = x.moments, y.moments
        covariances = float(np.trace(a.covariance) + np.trace(b.covariance)) - 2 * _root_trace(x, y)
        return float(((a.mean - b.mean) ** 2).sum()), covariances

    return x.remember_against(y, "fd terms", make)


def spread(x: Points, y: Points | Summary) -> tuple[float, float]:
    """V1 + V2 and V1 + 2 V2 of `_halves`, over the draws of both sets; of x alone where y is a summary."""
    if isinstance(y, Points):
        return variance(linear_variance, x, y), linear_variance(x, y)

    def of_samples(x: Points) -> float:
        return variance_of_means(_influence(x.x, x.moments.mean, *_moved(x, y)))

    return variance(of_samples, x), of_samples(x)


def linear_variance(x: Points, y: Points) -> float:
    """J: var phi1 / n1 + var phi2 / n2."""
    return variance_of_means(*influences(x, y))


def of_training(x: Points, y: Points, corrected: float) -> tuple[float, ...]:
    """How FD moves with y, to first order, with the variance that was corrected by `_halves.py`."""
    whole = linear_variance(x, y)
    return _shared.of_rows(influences(x, y)[1], y, corrected / whole if whole > 0 else 0.0)


def influences(x: Points, y: Points) -> tuple[np.ndarray, np.ndarray]:
    """phi of every row of x `[n1]` and of y `[n2]`, up to a constant."""

    def make() -> tuple[np.ndarray, np.ndarray]:
        t = _transport(x, y)
        shift = x.moments.mean - y.moments.mean
        phi1 = _influence(x.x, x.moments.mean, shift, t.P, t.w)
        return phi1, _influence(y.x, y.moments.mean, -shift, t.Q, t.w)

    return x.remember_against(y, "fd influences", make)


def _moved(x: Points, y: Points | Summary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What `_influence` takes of rows of x: mu1 - mu2, and P and w of the map."""
    t = _transport(x, y)
    return x.moments.mean - y.moments.mean, t.P, t.w


def _transport(x: Points, y: Points | Summary) -> roots.Transport:
    if _short(x, y):
        return roots.transport_of_factors(_factor(x), _factor(y))
    return roots.transport(x.moments.covariance, y.moments.covariance)


def _root_trace(x: Points, y: Points | Summary) -> float:
    if isinstance(y, Points) and max(len(x), len(y)) <= x.d:
        return roots.root_trace_of_data(x.x, y.x)
    if _short(x, y):
        return roots.nuclear_norm(_factor(x), _factor(y))
    return roots.root_trace(x.moments.covariance, y.moments.covariance)


def _short(x: Points, y: Points | Summary) -> bool:
    """Whether one of the covariances is known not to have full rank."""
    return min(x.d + 1 if n is None else n for n in (len(x), y.n if isinstance(y, Summary) else len(y))) <= x.d


def _factor(x: Points | Summary) -> roots.Factor:
    """Of the covariance: from the rows themselves where they are few, which is exact at any rank."""

    def make() -> roots.Factor:
        if isinstance(x, Points) and len(x) <= x.d:
            return roots.factor_of_data(x.x)
        return roots.factor_of_covariance(x.moments.covariance)

    return x.remember("factor", make)


def _influence(
    x: np.ndarray, mean: np.ndarray, shift: np.ndarray, P: np.ndarray, w: np.ndarray, block: int = 4096
) -> np.ndarray:
    """2 shift.u + u'(I - P w P')u for every row, up to a constant: `[n]`."""
    parts = []
    for i in range(0, len(x), block):
        u = x[i : i + block] - mean  # [b, d]
        parts.append(2 * u @ shift + (u * u).sum(1) - (u @ P) ** 2 @ w)
    return np.concatenate(parts)
