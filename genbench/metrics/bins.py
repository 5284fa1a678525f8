"""Bins: the share of k-means bins whose frequency differs between samples and training data, and their JS divergence.

The bins are the cells of k-means centres on the training data. With p_b and q_b the shares of the samples and of
the training data in bin b, a bin is different where the two-proportion z-test with pooled variance,

    z_b = (p_b - q_b) / sqrt(P_b (1 - P_b) (1/n + 1/m)),    P_b = (n p_b + m q_b)/(n + m),

has a two-sided p-value below 0.05. A bin that is empty (or full) on both sides is not different. Of equal
distributions one bin in twenty is different. JSD = KL(p || M)/2 + KL(q || M)/2 with M = (p + q)/2, in nats, from 0 to
log 2. Both depend on the counts: compare at equal n. In pixels they are those of the paper.

k-means: scikit-learn's, one k-means++ start from RandomState(0) and at most 100 rounds (Elkan's, which are Lloyd's
with fewer distances); the reference code (ndb.py at commit 2feb641) leaves the starts to its release of scikit-learn,
ten at that time, unseeded, and above 1,000 dimensions takes a sixth of them, here all. It is fitted once for all
models.

Intervals. The tests of different bins are nearly independent, so the variance of NDB is sum_b pi_b (1 - pi_b)/K^2,
where pi_b, the power of bin b's test, is estimated at z_b, which errs upwards; so does K independent trials of one
probability. The smaller of the two goes into Wilson's interval, as so many trials. The variance of the JSD is that
of a linear part and, where the two are alike, of a quadratic one, V2 = r/32 (1/n + 1/m)^2 with r = (bins seen) - 1.
The delete-one jackknife of both sets counts V2 twice: it less V2 is taken, and at least V2. The JSD exceeds its limit
of many samples by about r/8 (1/n + 1/m) where the two are alike (`bias` in the details); the interval is for the
expectation at these counts. Both intervals are given the bins.

References:
    On GANs and GMMs (Richardson, Weiss, 2018), section 3; code: github.com/eitanrich/gans-n-gmms.
    The jackknife estimate of variance (Efron, Stein, 1981).
"""

from __future__ import annotations

import math
import warnings

import numpy as np
from scipy.special import ndtr, ndtri, rel_entr

from genbench.domains import check
from genbench.metrics import Measure, normal, share_of_trials
from genbench.metrics._inputs import enough, point_sets
from genbench.numerics.points import Points

VERSION = 2
NEEDS = ("sample_features", "reference_features")
OUTPUTS = {
    "ndb": {
        "unit": "share",
        "direction": "lower",
        "range": (0, 1),
        "title": "statistically different bins",
        "misses": "blind to copies and to imbalance; a single image repeated can look better than real data",
        "group": "diversity",
        "place": 270,
    },
    "jsd": {
        "unit": "nats",
        "direction": "lower",
        "range": (0, 0.6931471805599453),
        "title": "Jensen-Shannon divergence of bins",
        "misses": "blind to copies of training data; what happens within a bin does not count",
        "group": "diversity",
        "place": 280,
    },
}
REFERENCE = "Richardson, Weiss, 2018"
DOMAINS = {"bins": "a whole number in [2, inf)"}

LEVEL = 0.05
ROUNDS = 100


def compute(
    sample_features: np.ndarray | Points, reference_features: np.ndarray | Points, bins: int = 100
) -> dict[str, Measure]:
    check(DOMAINS, {"bins": bins}, "bins")
    x, y = point_sets(1, sample_features=sample_features, reference_features=reference_features)
    enough(len(y), f"reference_features with {bins} bins", bins)
    centres = y.remember(("bins", bins), lambda: Points(_centres(y.x, bins), y.device))
    training = y.remember(("bin counts", bins), lambda: _counts(y, centres))
    found = _counts(x, centres)
    details = {"counts": found.tolist(), "train_counts": training.tolist(), "n_samples": len(x), "n_train": len(y)}
    return {"ndb": different_bins(found, training, details), "jsd": jsd_of_counts(found, training, dict(details))}


def different_bins(a: np.ndarray, b: np.ndarray, details: dict) -> Measure:
    """NDB of two histograms of counts `[K]`."""
    z, K = z_of_counts(a, b), len(a)
    threshold = -ndtri(LEVEL / 2)
    different = int((2 * ndtr(-np.abs(z)) < LEVEL).sum())
    p = different / K
    power = ndtr(z - threshold) + ndtr(-threshold - z)
    variance = min(float((power * (1 - power)).sum()) / K**2, p * (1 - p) / K)
    trials = p * (1 - p) / variance if variance > 0 else K
    details = {"different": np.flatnonzero(np.abs(z) > threshold).tolist(), **details}
    method = "Wilson at as many trials as the tests' powers amount to"
    return share_of_trials(p, trials, method, details=details)


def z_of_counts(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The two-proportion z of every bin, 0 where a bin is empty or full on both sides: `[K]`."""
    n, m = a.sum(), b.sum()
    pooled = (a + b) / (n + m)
    se = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return np.divide(a / n - b / m, se, out=np.zeros(len(a)), where=se > 0)


def jsd_of_counts(a: np.ndarray, b: np.ndarray, details: dict) -> Measure:
    """JSD in nats of two histograms of counts `[K]`, each of draws from its own multinomial."""
    n, m = int(a.sum()), int(b.sum())
    value = min(max(float(_jsd(a / n, b / m)), 0.0), math.log(2))  # rounding can take it outside
    r, both = int((a + b > 0).sum()) - 1, 1 / n + 1 / m
    details = {"bias": r / 8 * both, **details}
    if min(n, m) < 2 or r == 0:
        why = "none: one row has no spread" if r else "none: all fell in one bin, whose estimated variance is 0"
        return Measure(value, "estimate", None, None, why, details=details)
    V2 = r / 32 * both**2
    stderr = math.sqrt(max(_jackknife(a, b / m) + _jackknife(b, a / n) - V2, V2))
    method = "normal at these counts, delete-one jackknife less its quadratic part, cut at 0 and log 2"
    return normal(value, stderr, method=method, least=0.0, most=math.log(2), details=details)


def _jsd(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p || M)/2 + KL(q || M)/2 of distributions `[..., K]`: `[...]` nats."""
    middle = (p + q) / 2
    return (rel_entr(p, middle).sum(-1) + rel_entr(q, middle).sum(-1)) / 2


def _jackknife(a: np.ndarray, q: np.ndarray) -> float:
    """(n-1)/n sum_i (JSD_(i) - mean)^2 over the rows behind the counts a: those of one bin are alike."""
    seen, n = np.flatnonzero(a), a.sum()
    left_out = _jsd((a - np.eye(len(a))[seen]) / (n - 1), q)
    mean = a[seen] @ left_out / n
    return float((n - 1) / n * (a[seen] @ (left_out - mean) ** 2))


def _centres(x: np.ndarray, bins: int) -> np.ndarray:
    """k-means: `[bins, d]`."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # of fewer distinct points than bins: some stay empty
        means = KMeans(bins, n_init=1, max_iter=ROUNDS, random_state=0, algorithm="elkan")
        return means.fit(x.astype(np.float64)).cluster_centers_


def _counts(x: Points, centres: Points) -> np.ndarray:
    """How many rows are nearest to every centre, ties to the first: `[bins]`."""
    _, index = x.nearest(centres, 1)
    return np.bincount(index[:, 0], minlength=len(centres))
