"""Student's t by the functions that scipy.stats itself calls, without the second that importing scipy.stats takes.

References:
    An approximate distribution of estimates of variance components (Satterthwaite, 1946).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri, stdtr, stdtridf, stdtrit


def quantile(p: float, freedom: float) -> float:
    """The x with P(T <= x) = p; degrees of freedom may be infinite."""
    return float(stdtrit(freedom, p))


def above(x: float, freedom: float) -> float:
    """P(T > x)."""
    return float(stdtr(freedom, -x))


def freedom(p: float, x: float) -> float:
    """The degrees of freedom with P(T <= x) = p; infinite where x is a normal quantile or less, p > 1/2."""
    return float(stdtridf(p, x)) if x > ndtri(p) * (1 + 1e-6) else math.inf


def as_normal(t: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """The normal values that are exceeded as often as those of t."""
    return -np.sign(t) * ndtri(stdtr(freedom, -np.abs(t)))


def satterthwaite(*parts: tuple[float, float]) -> float:
    """The degrees of freedom of a sum of independent variances, each with its own; of nothing, infinite."""
    below = sum(variance**2 / freedom for variance, freedom in parts)
    return sum(variance for variance, _ in parts) ** 2 / below if below > 0 else math.inf
