"""MiFID: the Fréchet distance, divided by how far the samples stay from the training data where that is too near.

    s = mean_i min_j (1 - |cos(x_i, y_j)|)        MiFID = FD / (s + epsilon) if s < tau, else FD

tau = 0.1 and epsilon = 1e-14, as in Kaggle's competitions with InceptionV3. The minimum is over the
training set, for each sample; torchmetrics 1.9.0 has the two swapped, and gives this value with its real
and fake features exchanged. Kaggle and torchmetrics leave out rows that sum to 0; here only rows of
zeros are special: alike among each other and at distance 1 from the rest (`numerics/directions.py`).
As in torchmetrics an FD below 1e-8 counts as 0, and 0 / epsilon too. That is for features whose squared norm is about 1
on average: of smaller ones it is 1e-8 of that norm, and of ones beyond 10,000 it is 1e-12 of it, which is rounding.

The interval is normal for log MiFID. FD and s are averages over rows up to higher orders: a sample's
part in s is its own distance, and a training example's, by the jackknife, how much farther the next
example is from the samples nearest to it. With their parts in FD (see `fd.py`) the two add up row by
row, so what FD and s have in common is counted. It is for the expectation at these counts. Where s is
within 1.96 standard errors of 0, or of tau, where the value jumps by a factor 1/tau, there is none.

References:
    On training sample memorization: lessons from benchmarking generative modeling with a large-scale
    competition (Bai, Lin, Raffel, Kan, 2021), section 3.
"""

from __future__ import annotations

import math

import numpy as np

from genbench.domains import check
from genbench.metrics import Measure, alone, normal, normal_of_log
from genbench.metrics._halves import variance
from genbench.metrics._inputs import point_sets
from genbench.metrics.fd import influences, linear_variance, terms
from genbench.numerics.directions import directions
from genbench.numerics.intervals import Z95
from genbench.numerics.moments import variance_of_means
from genbench.numerics.points import Points

VERSION = 3
MIN_SAMPLES = 4
NEEDS = ("sample_features", "train_features")
OUTPUTS = {
    "mifid": {
        "unit": "squared feature distance",
        "direction": "lower",
        "range": (0, None),
        "title": "MiFID",
        "misses": "noise looks better than real data, since it stays far from training data",
        "group": "fidelity",
        "place": 160,
    },
}
REFERENCE = "Bai et al., 2021"
DOMAINS = {"tau": "a number in (0, 1]", "epsilon": "a number in (0, 1]"}  # s is at most 1: what is divided by stays s

NO_DISTANCE, ROUNDING = 1e-8, 1e-12  # an FD that counts as 0; one that is rounding, relative to the squared norm


def compute(
    sample_features: np.ndarray | Points,
    train_features: np.ndarray | Points,
    tau: float = 0.1,
    epsilon: float = 1e-14,
    intervals: bool = True,
) -> dict[str, Measure]:
    check(DOMAINS, {"tau": tau, "epsilon": epsilon}, "mifid")
    x, y = point_sets(MIN_SAMPLES, sample_features=sample_features, train_features=train_features)
    fd = sum(terms(x, y))
    of_samples, of_train = nearest_cosines(x, y)
    s = float(of_samples.mean())
    s_error = math.sqrt(variance_of_means(of_samples, of_train))
    penalised = s < tau
    size = float(np.trace(y.moments.covariance) + y.moments.mean @ y.moments.mean)
    least = max(NO_DISTANCE * min(1.0, size), ROUNDING * size)
    value = 0.0 if fd <= least else fd / (s + epsilon) if penalised else fd
    details = {
        "n_samples": len(x),
        "n_train": len(y),
        "fd": fd,
        "cosine_distance": s,
        "cosine_distance_stderr": s_error,
        "penalised": penalised,
    }
    if not intervals:
        return {"mifid": alone(value, details=details)}
    if why := _no_interval(fd <= least, s, Z95 * s_error, tau):
        return {"mifid": Measure(value, "estimate", None, None, f"none: {why}", details=details)}
    once, twice = variance(linear_variance, x, y), linear_variance(x, y)  # V1 + V2 and V1 + 2 V2 of FD
    if not penalised:
        of_fd = "normal at these counts, that of FD"
        return {"mifid": normal(value, math.sqrt(once), method=of_fd, least=0.0, details=details)}
    phi1, phi2 = influences(x, y)
    both = variance_of_means(phi1 / fd - of_samples / s, phi2 / fd - of_train / s)
    stderr = math.sqrt(max(both - (twice - once) / fd**2, both / 2))
    method = "normal for the logarithm at these counts, by the influence functions of FD and of the distance"
    return {"mifid": normal_of_log(value, stderr, method, details=details)}


def _no_interval(equal: bool, s: float, half: float, tau: float) -> str:
    """Why there is none, with 1.96 standard errors of s in `half`."""
    if equal:
        return "the samples have the mean and covariance of the training set"
    if s <= half:
        return "the distance to training is within its error of 0, which is divided by"
    return "the distance to training is within its error of tau, where MiFID jumps" if abs(s - tau) < half else ""


def nearest_cosines(x: Points, y: Points) -> tuple[np.ndarray, np.ndarray]:
    """What s is the mean of, and what the training set adds to it.

    Returns:
        min_j (1 - |cos(x_i, y_j)|) `[n]`; and of each training example, (m-1)(s - s without it) `[m]`.
    """
    u, v = directions(x, y)
    # 1 - |cos| = min(|u - v|^2, |u + v|^2) / 2, exactly 0 for copies; where no feature is negative no cosine is.
    tables = [u.nearest(v, 2)]
    if min(u.x.min(), v.x.min()) < 0:
        tables.append(u.nearest(v.remember("opposite", lambda: Points(-v.x, v.device, v.tile)), 2))
    distances = np.concatenate([squares for squares, _ in tables], 1) / 2  # [n, 2 or 4]
    index = np.concatenate([found for _, found in tables], 1)
    best = distances.argmin(1)[:, None]
    first, example = np.take_along_axis(distances, best, 1), np.take_along_axis(index, best, 1)
    second = np.where(index == example, np.inf, distances).min(1)
    farther = np.bincount(example[:, 0], weights=second - first[:, 0], minlength=len(y)) / len(x)
    return first[:, 0], -(len(y) - 1) * farther
