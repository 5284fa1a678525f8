"""Fréchet distance between Gaussians fitted to the features of samples and of training data.

    FD = |mu1 - mu2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2)

in float64, covariances with ddof = 1 and nothing added to their diagonals. Called FID when the
features are those of torch-fidelity's InceptionV3.

The plug-in value exceeds that of infinitely many samples by about c/n, so it compares at equal
counts only, and the interval is for the expectation *at these counts*. Its standard error comes
from the influence function: a row u (centred) of the first set moves FD by

    phi(u) = 2 (mu1 - mu2).u + u'(I - T12) u,    T12 the optimal map from N(0, S1) to N(0, S2),

and J(n) = var phi1 / n1 + var phi2 / n2. That is V1 + 2 V2 where the variance is V1 + V2, V1 ~ 1/n
its linear and V2 ~ 1/n^2 its quadratic part, which rules when the two sets are alike. Halves of the
data have 2 V1 + 8 V2, so 3/2 J(n) - 1/4 J(n/2) = V1 + V2.

References:
    GANs trained by a two time-scale update rule converge to a local Nash equilibrium (Heusel et al., 2017).
    The jackknife estimate of variance (Efron, Stein, 1981): the quadratic part counts twice.
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure, normal
from genbench.metrics._inputs import matrices
from genbench.numerics import roots
from genbench.numerics.moments import Moments, moments

VERSION = 1
MIN_SAMPLES = 2
NEEDS = ("sample_features", "train_features")
OUTPUTS = {"fd": {"unit": "squared feature distance", "direction": "lower", "title": "Fréchet distance"}}
REFERENCE = "Heusel et al., 2017"


def compute(sample_features: np.ndarray, train_features: np.ndarray) -> dict[str, Measure]:
    x, y = matrices(MIN_SAMPLES, sample_features=sample_features, train_features=train_features)
    a, b = moments(x), moments(y)
    mean_term = float(((a.mean - b.mean) ** 2).sum())
    covariance_term = float(np.trace(a.covariance) + np.trace(b.covariance)) - 2 * _root_trace(x, y, a, b)
    value = mean_term + covariance_term
    details = {
        "n_samples": len(x),
        "n_train": len(y),
        "dimension": x.shape[1],
        "mean_term": mean_term,
        "covariance_term": covariance_term,
    }
    if min(len(x), len(y)) < 4:
        why = "none: halves of fewer than 4 rows have no covariance"
        return {"fd": Measure(value, "estimate", None, None, why, details=details)}
    method = "normal at these counts, by the influence function with its quadratic part corrected from halves"
    return {"fd": normal(value, float(np.sqrt(_variance(x, y))), method=method, details=details)}


def _root_trace(x: np.ndarray, y: np.ndarray, a: Moments, b: Moments) -> float:
    if min(len(x), len(y)) <= x.shape[1]:
        return roots.nuclear_norm(roots.factor_of_data(x), roots.factor_of_data(y))
    return roots.root_trace(a.covariance, b.covariance)


def _variance(x: np.ndarray, y: np.ndarray) -> float:
    """V1 + V2 of the module's docstring, and at least J/2, which it is where V1 = 0."""
    # A fixed shuffle: rows may come sorted by class, and both halves must look like the whole.
    rng = np.random.RandomState(0)
    x, y = x[rng.permutation(len(x))], y[rng.permutation(len(y))]
    whole = _linear_variance(x, y)
    halves = (_linear_variance(x[::2], y[::2]) + _linear_variance(x[1::2], y[1::2])) / 2
    return max(1.5 * whole - 0.25 * halves, 0.5 * whole)


def _linear_variance(x: np.ndarray, y: np.ndarray) -> float:
    """J: var phi1 / n1 + var phi2 / n2."""
    a, b = moments(x), moments(y)
    if min(len(x), len(y)) <= x.shape[1]:
        t = roots.transport_of_factors(roots.factor_of_data(x), roots.factor_of_data(y))
    else:
        t = roots.transport(a.covariance, b.covariance)
    shift = a.mean - b.mean
    phi1 = _influence(x, a.mean, shift, t.P, t.w)
    phi2 = _influence(y, b.mean, -shift, t.Q, t.w)
    return float(phi1.var(ddof=1) / len(x) + phi2.var(ddof=1) / len(y))


def _influence(
    x: np.ndarray, mean: np.ndarray, shift: np.ndarray, P: np.ndarray, w: np.ndarray, block: int = 4096
) -> np.ndarray:
    """2 shift.u + u'(I - P w P')u for every row, but for a constant: `[n]`."""
    parts = []
    for i in range(0, len(x), block):
        u = x[i : i + block] - mean  # [b, d]
        parts.append(2 * u @ shift + (u * u).sum(1) - (u @ P) ** 2 @ w)
    return np.concatenate(parts)
