"""Vendi score: how many wholly different samples would be as diverse as these.

    VS_q = exp H_q(lambda),    lambda the eigenvalues of K/n,  K_ij = cosine of the features of samples i and j

with Shannon's entropy for q = 1 and Renyi's, log(sum lambda^q) / (1 - q), for other orders: small q
counts rare kinds in full, large q the common ones alone; q = inf is 1 / largest eigenvalue. From 1
(all alike) to n. The eigenvalues are those of X'X/n too, X the unit rows, where d < n.

The value grows with n, and the interval is for its expectation at this n. A row u adds u u' / n to
X'X/n, and a first-order perturbation of the eigenvalues gives what that adds to the entropy,

    phi(u) = sum_k (v_k.u)^2 dH/dlambda_k - sum_k lambda_k dH/dlambda_k,    v_k the eigenvectors,

hence var H = var phi / n, less its quadratic part (see `_halves.py`), which rules where all eigenvalues
are alike. With n < 3 d that is too little, since each row has an eigenvector almost to itself, and the
delete-one jackknife is too much (Efron, Stein 1981); there their geometric mean is taken.

For q = 1 the value is that of the package vendi-score 0.0.3 on rows of length 1. Its `score_X` ignores q (`score_K`
does not), and it leaves rows of zeros out of the diversity; here such a row is a direction of its own
(`numerics/directions.py`).

References:
    The Vendi score: a diversity evaluation metric for machine learning (Friedman, Dieng, 2023), definition 3.1.
    Cousins of the Vendi score (Pasarkar, Dieng, 2024), equation 2: the order q.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.linalg import eigh, eigvalsh

from genbench.domains import check
from genbench.metrics import Measure, alone, normal_of_log
from genbench.metrics._halves import variance
from genbench.metrics._inputs import point_sets
from genbench.numerics.directions import directions
from genbench.numerics.moments import variance_of_means
from genbench.numerics.points import Points

VERSION = 3
MIN_SAMPLES = 2
NEEDS = ("sample_features",)
OUTPUTS = {
    "vendi": {
        "unit": "effective samples",
        "direction": "higher",
        "range": (1, None),
        "title": "Vendi score",
        "misses": "knows no data: blind to whether samples are like it, and to copies of training data",
        "group": "diversity",
        "place": 240,
    },
}
REFERENCE = "Friedman & Dieng, 2023"
DOMAINS = {"q": 'a number in (0, inf] or "inf"'}

MANY = 3  # rows per feature: from there on the influence function is enough
EPS = float(np.finfo(np.float64).eps)


def compute(sample_features: np.ndarray | Points, q: float | str = 1.0, intervals: bool = True) -> dict[str, Measure]:
    """`q`: the order, positive; "inf" is one."""
    check(DOMAINS, {"q": q}, "vendi")
    (x,) = point_sets(MIN_SAMPLES, sample_features=sample_features)
    q = float(q)
    (x,) = directions(x)
    H = _renyi(_spectrum(x)[0] if intervals else _eigenvalues(x), q)[0]
    value = min(max(math.exp(H), 1.0), len(x))  # rounding can take it outside
    details = {"n": len(x), "d": x.d, "q": q if math.isfinite(q) else "inf"}
    if not intervals:
        return {"vendi": alone(value, details=details)}
    if why := _no_interval(len(x), x.d, q):
        return {"vendi": Measure(value, "estimate", None, None, f"none: {why}", details=details)}
    how = "its influence function, corrected from halves"
    how += ", and the delete-one jackknife" if len(x) < MANY * x.d else ""
    method = f"normal for the entropy at this n, by {how}"
    error = math.sqrt(_variance(x, q))
    return {"vendi": normal_of_log(value, error, method, least=1.0, most=len(x), details=details)}


def _no_interval(n: int, d: int, q: float) -> str:
    """Why the influence function does not give one; by simulation, it does for q = 1 at any n and d."""
    if n < 4:
        return "halves of fewer than 4 rows show no spread"
    if math.isinf(q):
        return "the largest eigenvalue is not smooth where two of them meet"
    return f"of order {q:g} only for n of at least {MANY} d" if q != 1 and n < MANY * d else ""


def _variance(x: Points, q: float) -> float:
    """Of the entropy H_q."""
    once = variance(lambda part: variance_of_means(_entropy(part, q)[1]), x)
    if len(x) >= MANY * x.d:
        return once
    return math.sqrt(once * (len(x) - 1) * left_out(x).var())


def _entropy(x: Points, q: float) -> tuple[float, np.ndarray]:
    """H_q of the unit rows, and the influence phi of each `[n]`."""
    eigenvalues, squares = _spectrum(x)
    H, gradient = _renyi(eigenvalues, q)
    return H, squares @ gradient - eigenvalues @ gradient


def left_out(x: Points) -> np.ndarray:
    """H_1 without each of the unit rows in turn: `[n]`, exact, from one decomposition.

    Leaving out row x_i takes x_i x_i' / n from C = X'X/n, which adds N_i(t) / D_i(t) to tr (C + t)^-1 by

        N = sum_k p_k lambda_k / (lambda_k + t)^2,   D = sum_k p_k t / (lambda_k + t),   p_k = (v_k.x_i)^2 / n lambda_k

    (Sherman, Morrison; what the p_k lack to 1 belongs to lambda = 0), and

        tr C log C = int_0^inf [tr C / (1 + t) - tr C (C + t)^-1] dt.

    The trapezoidal rule in log t errs by exp(-2 pi^2 / h), the integrand being analytic for |Im log t| < pi.
    """
    n, h = len(x), 0.5
    w, squares = _spectrum(x)
    p, w = squares / (n * w), w[:, None]
    t = np.exp(np.arange(-36, 36, h))  # beyond, less than exp(-36) is missing
    N = p @ (w / (w + t) ** 2)  # [n, len(t)]
    D = p @ (t / (w + t)) + np.maximum(1 - p.sum(1, keepdims=True), 0)
    change = h * ((t * N / D - 1 / (n * (1 + t))) @ t)  # of tr C log C, tr C being less by 1/n
    whole = float((w * np.log(w)).sum())
    return -n / (n - 1) * (whole + change) - math.log(n / (n - 1))  # C times n / (n - 1) has trace 1


def _spectrum(x: Points) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvalues lambda_k of X'X/n that stand clear of rounding `[r]`, and (v_k.x_i)^2 `[n, r]`."""
    return x.remember("spectrum", lambda: _decompose(x.x.astype(np.float64)))


def _eigenvalues(x: Points) -> np.ndarray:
    """The same eigenvalues up to rounding, without what the interval takes: `[r]`."""
    X = torch.from_numpy(x.x).double().numpy()  # by all threads
    w = eigvalsh(_smaller(X), check_finite=False, overwrite_a=True)
    return w[_clear(w)]


def _smaller(X: np.ndarray) -> np.ndarray:
    """Of X'X/n and XX'/n, which share their eigenvalues other than 0, the smaller one."""
    n, d = X.shape
    return X.T @ X / n if d < n else X @ X.T / n


def _clear(w: np.ndarray) -> np.ndarray:
    """Which eigenvalues `[r]`, ascending, stand clear of rounding."""
    return w > len(w) * EPS * w[-1]


def _decompose(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, d = X.shape
    w, V = eigh(_smaller(X))
    keep = _clear(w)
    w, V = w[keep], V[:, keep]
    if d >= n:
        return w, V**2 * (n * w)
    projections = X @ V
    return w, np.square(projections, out=projections)


def _renyi(p: np.ndarray, q: float) -> tuple[float, np.ndarray]:
    """H_q of probabilities `[r]`, all positive, and its gradient `[r]`."""
    if q == 1:
        return float(-(p * np.log(p)).sum()), -np.log(p) - 1
    if math.isinf(q):
        return -math.log(p.max()), np.where(np.arange(len(p)) == p.argmax(), -1 / p.max(), 0.0)
    power = (p / p.max()) ** q  # no power underflows that counts
    H = (math.log(power.sum()) + q * math.log(p.max())) / (1 - q)
    return float(H), q / (1 - q) * power / p / power.sum()
