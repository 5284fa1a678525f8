"""Data copying, C_T: are samples closer to the training set than test examples are? A z statistic; negative: copying.

Features wider than 64 go to their 64 principal components on the training set. k-means parts the
training set into 3 cells (seeded, best of 10 starts), and with it the space. In each cell, with n
samples and m test examples, U counts the pairs in which the sample is farther from the cell's
training examples than the test example is (1/2 for equal), and

    z = (U - (n m/2 - 1/2)) / sqrt(n m (n + m + 1) / 12)        C_T = sum_c m_c z_c / sum_c m_c

over the cells with more than 20 samples and with test examples. The variance is not corrected for
ties, as in the authors' code (data_copying_tests.py at commit 50db23a of github.com/casey-meehan/data-copying),
which leaves the cells to its caller, and out those below a share of the samples. Large positive values: samples
farther off than real data.

z grows with sqrt n: C_T is a test statistic, not an effect, and compares at equal counts. Where samples
and test examples are alike each z is about N(0, 1), so C_T has a standard deviation of
sqrt(sum m_c^2) / sum m_c, `null_sd` in the details, and not 1. Away from there z is wider or narrower;
the interval is by the delete-one jackknife over samples and over test examples, which takes the
cells and the training set as given.

References:
    A non-parametric test to detect data-copying in generative models (Meehan, Chaudhuri, Dasgupta, 2020), section 4.
    The jackknife estimate of variance (Efron, Stein, 1981).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh

from genbench.domains import check
from genbench.errors import GenbenchError
from genbench.metrics import Measure, normal
from genbench.metrics._inputs import point_sets
from genbench.numerics.points import Points

VERSION = 1
MIN_SAMPLES = 61  # so that one of three cells has more than 20
NEEDS = ("sample_features", "train_features", "test_features")
OUTPUTS = {
    "data_copying": {
        "unit": "z",
        "direction": "none",
        "range": (None, None),
        "title": "data copying C_T",
        "misses": "moves with blur and noise as well, away from copying, which can hide it; blind to missing classes",
        "group": "copying",
        "place": 320,
    },
}
REFERENCE = "Meehan et al., 2020"
DOMAINS = {
    "cells": "a whole number in [1, inf)",
    "components": "a whole number in [1, inf)",
    "seed": "a whole number in [0, 4294967295]",
}

FEW = 20  # a cell with no more samples is left out


@dataclass(frozen=True)
class Cells:
    """A partition of feature space, and the training examples of every cell.

    Arguments:
        middle, axes: features are taken as (x - middle) axes, `[d]` and `[d, c]`; as they are where axes is None.
        centres: `[cells, c]`; a cell is what is nearest to one.
    """

    middle: np.ndarray
    axes: np.ndarray | None
    centres: np.ndarray
    train: list[Points]

    def distances(self, x: Points) -> list[np.ndarray]:
        """Squared, from the rows in each cell to the nearest training example in it, ascending: `[n_c]` each."""
        z = project(x.x, self.middle, self.axes)
        cell = Points(z).nearest(Points(self.centres))[1][:, 0]
        return [
            np.sort(Points(z[cell == c], x.device, x.tile).nearest(train)[0][:, 0])
            if (cell == c).any()
            else np.empty(0)
            for c, train in enumerate(self.train)
        ]


def compute(
    sample_features: Points,
    train_features: Points,
    test_features: Points,
    cells: int = 3,
    components: int = 64,
    seed: int = 0,
) -> dict[str, Measure]:
    check(DOMAINS, {"cells": cells, "components": components, "seed": seed}, "data_copying")
    x, train, test = point_sets(
        2, sample_features=sample_features, train_features=train_features, test_features=test_features
    )
    key = ("cells", cells, components, seed)
    partition = train.remember(key, lambda: part(train, cells, components, seed))
    of_test = test.remember_against(train, key, lambda: partition.distances(test))
    of_samples = partition.distances(x)
    kept = [c for c in range(len(of_test)) if len(of_samples[c]) > FEW and len(of_test[c])]
    if not kept:
        counts = [len(a) for a in of_samples]
        raise GenbenchError(
            f"data_copying: no cell has more than {FEW} samples, and test examples; samples by cell: {counts}",
            f"Ask for more samples (--samples), at least {cells * FEW + 1}.",
        )
    U = [placements(of_samples[c], of_test[c]) for c in kept]
    V = [placements(of_test[c], of_samples[c], above=False) for c in kept]
    z = [z_score(u.sum(), len(u), len(v)) for u, v in zip(U, V, strict=True)]
    m = np.array([len(v) for v in V])
    value = float(m @ z / m.sum())
    details = {
        "n_samples": len(x),
        "n_train": len(train),
        "n_test": len(test),
        "null_sd": math.sqrt(float(m @ m)) / int(m.sum()),
        "cells": [
            {"z": float(z[i]), "n_samples": len(U[i]), "n_test": len(V[i]), "n_train": len(partition.train[c])}
            for i, c in enumerate(kept)
        ],
        "samples_left_out": len(x) - sum(map(len, U)),
        "tests_left_out": len(test) - int(m.sum()),
    }
    if m.sum() < 2:
        why = "none: one test example has no spread"
        return {"data_copying": Measure(value, "estimate", None, None, why, details=details)}
    stderr = math.sqrt(jackknife(U, V, len(x), len(test)))
    method = "normal, delete-one jackknife over samples and over test examples, given training set and cells"
    return {"data_copying": normal(value, stderr, method=method, details=details)}


def part(train: Points, cells: int, components: int, seed: int) -> Cells:
    """k-means on the principal components, whatever the order of the rows."""
    from sklearn.cluster import KMeans

    middle = train.moments.mean
    axes = principal_axes(train, components) if train.d > components else None
    z = project(train.x, middle, axes)
    kmeans, factor = KMeans(min(cells, len(train.rows)), n_init=10, random_state=seed), within_range(z)
    centres = kmeans.fit(z[train.shuffled(seed)] * factor).cluster_centers_ / factor
    cell = Points(z).nearest(Points(centres))[1][:, 0]
    return Cells(middle, axes, centres, [Points(z[cell == c], train.device, train.tile) for c in range(len(centres))])


def within_range(z: np.ndarray) -> Any:
    """A power of two by which rows are multiplied whose squares float32 does not hold, 1 for others."""
    exponent = int(np.frexp(float(np.abs(z).max()))[1])
    return np.result_type(z, np.float32).type(1.0 if abs(exponent) <= 20 else 2.0**-exponent)


def principal_axes(train: Points, components: int) -> np.ndarray:
    """The leading eigenvectors of the covariance, no more than its rank can be: `[d, c]`."""
    d, count = train.d, min(components, len(train) - 1)
    return eigh(train.moments.covariance, subset_by_index=[d - count, d - 1])[1]


def project(x: np.ndarray, middle: np.ndarray, axes: np.ndarray | None) -> np.ndarray:
    return x if axes is None else (x - middle) @ axes


def placements(a: np.ndarray, b: np.ndarray, above: bool = True) -> np.ndarray:
    """For every a, how many b lie below it (or above it), equal ones counting 1/2: `[n]`.

    Arguments:
        a, b: ascending.
    """
    below = (np.searchsorted(b, a, "left") + np.searchsorted(b, a, "right")) / 2
    return below if above else len(b) - below


def z_score(U: np.ndarray | float, n: int, m: int) -> np.ndarray | float:
    """Of the Mann-Whitney U of n values against m, with its correction for continuity and none for ties."""
    return (U - (n * m / 2 - 0.5)) / math.sqrt(n * m * (n + m + 1) / 12)


def jackknife(U: list[np.ndarray], V: list[np.ndarray], n: int, m: int) -> float:
    """The variance of C_T by leaving out each of n samples, and each of m test examples.

    Arguments:
        U, V: placements of the samples and of the test examples in every cell kept, `[n_c]` and `[m_c]`: one left
            out takes its placement from U.
    """
    sizes = np.array([len(v) for v in V], dtype=np.float64)
    z = np.array([z_score(u.sum(), len(u), len(v)) for u, v in zip(U, V, strict=True)])
    total, weight = float(sizes @ z), float(sizes.sum())
    without_sample, without_test = [], []
    for u, v, own in zip(U, V, sizes * z, strict=True):
        without_sample.append((total - own + len(v) * z_score(u.sum() - u, len(u) - 1, len(v))) / weight)
        less = (len(v) - 1) * z_score(u.sum() - v, len(u), len(v) - 1) if len(v) > 1 else np.zeros(1)
        without_test.append((total - own + less) / (weight - 1))
    here = total / weight
    return spread(without_sample, n, here) + spread(without_test, m, here)


def spread(left_out: list[np.ndarray], count: int, here: float) -> float:
    """(n-1)/n sum_i (C_(i) - mean)^2 of `count` rows; `here` without those that are in no cell kept."""
    values = np.concatenate(left_out)
    return (count - 1) * float(np.append(values, np.full(count - len(values), here)).var())
