"""Disentanglement: whether each factor that the data were made of has a coordinate of the code to itself.

**MIG** (Chen et al. 2018, equation 6). I(z_j; v_k) is the mutual information of coordinate j and factor k over the test
examples, with z_j in 20 bins that hold equally many, and

    MIG = 1/K sum_k [ I(z_j1; v_k) - I(z_j2; v_k) ] / H(v_k),    j1 and j2 the two coordinates that tell most of v_k

Counts of finite samples show information where there is none; the bias (cells - rows - columns + 1)/2n is taken off
(Miller 1955, with the cells, rows and columns that are not empty). Paper and peers bin into equal widths: bins of equal
counts make the value the same for every monotone map of a coordinate.

**DCI** (Eastwood and Williams 2018). A random forest learns each factor from the training codes; R_jk is the importance
of coordinate j for factor k (mean decrease of impurity; every split may choose among all coordinates, since one that is
offered only idle ones must take one of them, and makes it look important). With P_jk = R_jk / sum_k R_jk and Q_jk =
R_jk / sum_j R_jk,

    disentanglement  sum_j rho_j (1 - H_K(P_j)),   rho_j = sum_k R_jk / sum R,   H_K the entropy to the base K
    completeness     1/K sum_k (1 - H_d(Q_k)),                                   to the base d
    informativeness  accuracy of the forests on test codes, mean over factors

So a code in which each coordinate is about one factor has disentanglement 1, one in which each factor lies in one
coordinate completeness 1. Of one coordinate or one factor the respective entropy is 0.

Intervals cover fresh test examples. That of the MIG is the delta method's, by the influence of each example on the
information and on the entropy, given which two coordinates tell most. Disentanglement and completeness are of one set
of forests, and have none.

References:
    Isolating sources of disentanglement in variational autoencoders (Chen, Li, Grosse, Duvenaud, 2018).
    A framework for the quantitative evaluation of disentangled representations (Eastwood, Williams, 2018).
    Challenging common assumptions in the unsupervised learning of disentangled representations (Locatello et al.,
    2019): none of this comes without a choice that the data do not make.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from genbench.domains import check
from genbench.errors import Unavailable
from genbench.metrics import Measure, mean, normal
from genbench.metrics._inputs import enough, matrices

VERSION = 1
NEEDS = ("train_encodings", "train_factors", "test_encodings", "test_factors")
OUTPUTS = {
    "mig": {
        "unit": "share",
        "direction": "higher",
        "range": (-1, 1),
        "title": "mutual information gap",
        "misses": "a factor spread over coordinates of its own counts as little as one that none tells",
        "group": "representation",
        "place": 408,
    },
    "dci_disentanglement": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "disentanglement of DCI",
        "misses": "blind to how many coordinates share a factor, and to factors that none tells",
        "group": "representation",
        "place": 454,
    },
    "dci_completeness": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "completeness of DCI",
        "misses": "blind to how many factors share a coordinate",
        "group": "representation",
        "place": 456,
    },
    "dci_informativeness": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "accuracy of forests that read the factors from the code",
        "misses": "blind to how the factors lie in the code",
        "group": "representation",
        "place": 458,
    },
}
REFERENCE = "Chen et al., 2018; Eastwood, Williams, 2018"
DOMAINS = {"bins": "a whole number in [2, inf)", "trees": "a whole number in [1, inf)"}


def compute(
    train_encodings: np.ndarray,
    train_factors: np.ndarray,
    test_encodings: np.ndarray,
    test_factors: np.ndarray,
    bins: int = 20,
    trees: int = 30,
) -> dict[str, Measure]:
    """Arguments: `bins` of each coordinate, for the MIG; `trees` of each forest, for DCI."""
    check(DOMAINS, {"bins": bins, "trees": trees}, "disentanglement")
    train, test = matrices(2, train_encodings=train_encodings, test_encodings=test_encodings)
    enough(len(test), "test_encodings", bins)
    for what, x, factors in (("train_factors", train, train_factors), ("test_factors", test, test_factors)):
        if factors.ndim != 2 or len(factors) != len(x) or factors.dtype.kind not in "iu":
            raise ValueError(f"{what}: expected integers [{len(x)}, factors], got {factors.dtype} {factors.shape}")
    if any(len(np.unique(v)) < 2 for v in (*train_factors.T, *test_factors.T)):
        raise Unavailable("a factor that never varies is told by anything")
    found = {"mig": gap(test, test_factors, bins)}
    importance, right = read(train, train_factors, test, test_factors, trees)
    disentangled, complete = scores(importance)
    why = "none: of one set of forests"
    size = {"n_train": len(train), "n_test": len(test), "dimension": train.shape[1]}
    found["dci_disentanglement"] = Measure(disentangled, "estimate", None, None, why, details=dict(size))
    found["dci_completeness"] = Measure(complete, "estimate", None, None, why, details=dict(size))
    by_factor = right.mean(0).tolist()
    found["dci_informativeness"] = mean(right.mean(1), least=0.0, most=1.0, details={**size, "by_factor": by_factor})
    return found


def gap(codes: np.ndarray, factors: np.ndarray, bins: int) -> Measure:
    """The MIG of codes `[n, d]` and factors `[n, K]`."""
    n, d = codes.shape
    binned = [in_bins(z, bins) for z in codes.T]
    value, influence, by_factor = 0.0, np.zeros(n), []
    for v in factors.T:
        table = [information(b, v) for b in binned]
        order = np.argsort([-corrected for corrected, _ in table], kind="stable")
        surprise = -np.log(np.unique(v, return_counts=True)[1][np.unique(v, return_inverse=True)[1]] / n)
        entropy = float(surprise.mean())
        first, second = (table[j] for j in order[:2]) if d > 1 else (table[0], (0.0, np.zeros(n)))
        ratio = (first[0] - second[0]) / entropy
        pointwise = first[1] - second[1]
        influence += (pointwise - pointwise.mean() - ratio * (surprise - entropy)) / entropy / factors.shape[1]
        value += ratio / factors.shape[1]
        by_factor.append({"gap": ratio, "coordinates": order[:2].tolist(), "told": first[0] / entropy})
    details: dict[str, Any] = {"n_test": n, "dimension": d, "bins": bins, "by_factor": by_factor}
    stderr = float(influence.std(ddof=1)) / math.sqrt(n)
    return normal(value, stderr, method="normal, by the influence of each example", least=-1, most=1, details=details)


def in_bins(z: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each value `[n]`, of bins that hold equally many; equal values share one."""
    inner = np.unique(np.quantile(z, np.arange(1, bins) / bins))
    return np.searchsorted(inner, z, side="right")


def information(a: np.ndarray, b: np.ndarray) -> tuple[float, np.ndarray]:
    """I(a; b) of two lists of classes with its bias taken off, and the pointwise information of each pair `[n]`."""
    n = len(a)
    (a, of_a), (b, of_b) = coded(a), coded(b)
    joint = np.zeros((of_a, of_b))
    np.add.at(joint, (a, b), 1.0)
    pointwise = np.log(n * joint[a, b] / (joint.sum(1)[a] * joint.sum(0)[b]))
    bias = ((joint > 0).sum() - of_a - of_b + 1) / (2 * n)
    return float(pointwise.mean() - bias), pointwise


def coded(x: np.ndarray) -> tuple[np.ndarray, int]:
    """Classes as 0, 1, ..., and how many there are."""
    values, index = np.unique(x, return_inverse=True)
    return index, len(values)


def read(
    train: np.ndarray, train_factors: np.ndarray, test: np.ndarray, test_factors: np.ndarray, trees: int
) -> tuple[np.ndarray, np.ndarray]:
    """R `[d, K]`, and which factors of which test examples the forests tell `[n, K]`, 1.0 or 0.0."""
    importance, right = [], []
    for known, asked in zip(train_factors.T, test_factors.T, strict=True):
        forest = RandomForestClassifier(trees, max_features=None, random_state=0, n_jobs=1).fit(train, known)
        importance.append(forest.feature_importances_)
        right.append((forest.predict(test) == asked).astype(np.float64))
    return np.stack(importance, 1), np.stack(right, 1)


def scores(R: np.ndarray) -> tuple[float, float]:
    """Disentanglement and completeness of importances `[d, K]`; 0 where nothing is of importance."""
    d, K = R.shape
    if not R.sum() > 0:
        return 0.0, 0.0
    used = R[R.sum(1) > 0]
    weights = used.sum(1) / R.sum()
    disentangled = float(weights @ (1 - entropies(used / used.sum(1, keepdims=True), K)))
    columns = R[:, R.sum(0) > 0]
    told = (1 - entropies((columns / columns.sum(0)).T, d)).sum() / K
    return min(1.0, max(0.0, disentangled)), min(1.0, max(0.0, float(told)))


def entropies(p: np.ndarray, base: int) -> np.ndarray:
    """Of each row, to a base; 0 to the base 1."""
    if base == 1:
        return np.zeros(len(p))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * np.log(p), 0.0)
    return -terms.sum(1) / math.log(base)
