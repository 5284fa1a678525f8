"""The ends of 95 % intervals: a normal quantile, Wilson's interval of a share, and how well a value is known."""

from __future__ import annotations

import math

Z95 = 1.959963984540054  # P(|z| <= Z95) = 0.95 for z ~ N(0, 1)


def wilson(p: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share p of n trials, n > 0 and not always whole.

    Its ends are the two s with |p - s| = z sqrt(s (1 - s) / n), the roots of a quadratic. Each is written as a part
    of what it cannot exceed, so rounding keeps 0 <= low <= p <= high <= 1, and low = 0 for p = 0, high = 1 for p = 1.
    """
    q, c = 1 - p, z * z / (2 * n)
    reach = c + math.sqrt(c * (c + 2 * p * q))
    return p * (p / (p + reach)), p + q * (reach / (q + reach))


def known(stderr: float, ci95: tuple[float, float] | None) -> float:
    """The standard error of a normal value whose 95 % interval is as wide, never below the value's own.

    A standard error that was seen in few groups or trainings is not known itself, and the interval, by Student's t,
    says so. What takes variances for known (rank sets, differences of two values) takes this one.
    """
    return stderr if ci95 is None else max(stderr, (ci95[1] - ci95[0]) / (2 * Z95))
