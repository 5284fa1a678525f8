"""log 1/K sum_k exp w_k, of an array and of a stream, with the effective sample size of the weights.

The running state is (n, m, s, q) with m the largest w so far, s = sum exp(w - m) and
q = sum exp 2(w - m): nothing overflows, and no weight is kept. w = -inf is a weight of 0 and counts
in K. +inf and NaN are faults of whoever made the weights; they propagate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def log_mean_exp(w: np.ndarray, axis: int = 0) -> np.ndarray:
    """log-mean-exp of `w` along `axis`, in float64."""
    return LogMeanExp.of(np.moveaxis(np.asarray(w), axis, 0)).log_mean


@dataclass(frozen=True)
class LogMeanExp:
    """What K log-weights of each of B elements come to.

    Arguments:
        n: K, the number of weights seen.
        m: the largest, `[B]`.
        s, q: sums of exp(w - m) and exp 2(w - m), `[B]`; where m is not finite, 0 stands in its place.

    Example:
        >>> state = LogMeanExp.of(np.log([[1.0], [2.0]])).merge(LogMeanExp.of(np.log([[3.0]])))
        >>> np.exp(state.log_mean).round(12), state.ess.round(6)  # mean 2; 6^2 / (1 + 4 + 9)
        (array([2.]), array([2.571429]))
    """

    n: int
    m: np.ndarray
    s: np.ndarray
    q: np.ndarray

    @classmethod
    def of(cls, w: np.ndarray) -> LogMeanExp:
        """The state of weights `[K, ...]`, K >= 1."""
        w = np.asarray(w, dtype=np.float64)
        if w.ndim == 0 or len(w) == 0:
            raise ValueError(f"log-mean-exp needs at least one weight, got shape {list(w.shape)}")
        m = w.max(0)
        with np.errstate(over="ignore"):
            e = w - _finite(m)
            s = np.exp(e, out=e).sum(0)
            return cls(len(w), m, s, np.multiply(e, e, out=e).sum(0))

    def merge(self, other: LogMeanExp) -> LogMeanExp:
        """The state of the weights of both."""
        m = np.maximum(self.m, other.m)  # NaN wins
        with np.errstate(over="ignore", invalid="ignore"):  # only where m is not finite
            a, b = (np.where(part.m == -np.inf, 0.0, np.exp(_finite(part.m) - _finite(m))) for part in (self, other))
            return LogMeanExp(self.n + other.n, m, self.s * a + other.s * b, self.q * a * a + other.q * b * b)

    @property
    def log_mean(self) -> np.ndarray:
        """log 1/K sum exp w: `[B]`; -inf where every weight is 0."""
        with np.errstate(divide="ignore"):
            return _finite(self.m) + np.log(self.s) - np.log(self.n)

    @property
    def ess(self) -> np.ndarray:
        """(sum of weights)^2 / sum of squares, 1..K (Kong 1992): `[B]`; NaN where every weight is 0."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.s * self.s / self.q

    @property
    def variance(self) -> np.ndarray:
        """Variance of `log_mean` by the delta method: `[B]`; NaN for K = 1, which shows no spread.

        var(w)/(K mean(w)^2), w the weights themselves, ddof 1, which is (K/ESS - 1)/(K - 1).
        """
        if self.n < 2:
            return np.full_like(self.s, np.nan)
        return np.maximum(self.n / self.ess - 1, 0) / (self.n - 1)  # rounding can make the ESS exceed K


def _finite(m: np.ndarray) -> np.ndarray:
    """The reference that weights are divided by: their maximum, or 0 where that is not finite."""
    return np.where(np.isfinite(m), m, 0.0)
