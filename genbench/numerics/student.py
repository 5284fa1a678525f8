"""Student's t by the functions that scipy.stats itself calls, without the second that importing scipy.stats takes."""

from __future__ import annotations

from scipy.special import stdtr, stdtrit


def quantile(p: float, freedom: float) -> float:
    """The x with P(T <= x) = p; degrees of freedom may be infinite."""
    return float(stdtrit(freedom, p))


def above(x: float, freedom: float) -> float:
    """P(T > x)."""
    return float(stdtr(freedom, -x))
