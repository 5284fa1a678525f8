"""The ends of 95 % intervals: the quantile of a normal one, and Wilson's interval of a share."""

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
