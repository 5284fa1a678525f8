"""The ends of 95 % intervals: a normal quantile, Wilson's interval of a share, and how well a value is known."""

from __future__ import annotations

import math

from genbench.numerics import student

Z95 = 1.959963984540054  # P(|z| <= Z95) = 0.95 for z ~ N(0, 1)


def wilson(p: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share p of n trials, n > 0 and not always whole.

    Its ends are the two s with |p - s| = z sqrt(s (1 - s) / n), the roots of a quadratic. Each is written as a part
    of what it cannot exceed, so rounding keeps 0 <= low <= p <= high <= 1, and low = 0 for p = 0, high = 1 for p = 1.
    """
    q, c = 1 - p, z * z / (2 * n)
    reach = c + math.sqrt(c * (c + 2 * p * q))
    return p * (p / (p + reach)), p + q * (reach / (q + reach))


def spread(stderr: float, ci95: tuple[float, float] | None) -> tuple[float, float]:
    """The standard error of a value, and with how many degrees of freedom its interval takes it for known.

    They are those of the t interval that is as wide: few for what was seen in few groups or trainings, infinite for a
    normal interval or none. An interval that no t with a degree of freedom or more explains, of a share of 0 with a
    standard error of 0, is that of a normal value.
    """
    half = (ci95[1] - ci95[0]) / 2 if ci95 is not None else 0.0
    found = student.freedom(0.975, half / stderr) if stderr > 0 else 0.0
    return (stderr, found) if found >= 1 else (half / Z95, math.inf)
