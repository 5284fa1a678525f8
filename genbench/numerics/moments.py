"""Mean and covariance in float64, gathered block by block.

    mean = 1/n sum_i x_i        S = 1/(n-1) sum_i (x_i - mean)(x_i - mean)'

Two blocks merge exactly (Chan, Golub, LeVeque 1983, equation 2.1b), so a set of features needs the
memory of one block. The order is that of the rows: block size and order change rounding only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

STRIP = 16  # rows of a scatter that are added to at once, so that what is added stays in the cache


@dataclass(frozen=True)
class Moments:
    """The sufficient statistics of a Gaussian.

    Arguments:
        n: number of rows.
        mean: `[d]` float64.
        scatter: sum of (x - mean)(x - mean)', `[d, d]` float64.
    """

    n: int
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """`[d, d]`, ddof = 1; ValueError below two rows."""
        if self.n < 2:
            raise ValueError(f"a covariance needs at least 2 rows, got {self.n}")
        return self.scatter / (self.n - 1)


def moments(x: np.ndarray, block: int = 4096) -> Moments:
    """Moments of the rows of `x` `[n, d]`, n >= 1."""
    if x.ndim != 2 or len(x) == 0:
        raise ValueError(f"moments: expected [n, d] with n >= 1, got {list(x.shape)}")
    total = _of_block(x[:block])
    for i in range(block, len(x), block):
        total = merge(total, _of_block(x[i : i + block]))
    return total


def merge(a: Moments, b: Moments) -> Moments:
    """The moments of the rows of both."""
    n = a.n + b.n
    delta = b.mean - a.mean
    scatter = a.scatter + b.scatter
    for r in range(0, len(delta), STRIP):
        scatter[r : r + STRIP] += np.outer(delta[r : r + STRIP], delta) * (a.n * b.n / n)
    return Moments(n, a.mean + delta * (b.n / n), scatter)


def variance_of_means(*samples: np.ndarray) -> float:
    """The variance of a sum of means of independent samples `[n]`, n >= 2: sum var / n, ddof = 1."""
    return sum(float(x.var(ddof=1)) / len(x) for x in samples)


def _of_block(x: np.ndarray) -> Moments:
    centred = x.astype(np.float64)  # [n, d]
    mean = centred.mean(0)
    centred -= mean
    return Moments(len(x), mean, centred.T @ centred)  # NumPy sees that it is symmetric, and does half the work
