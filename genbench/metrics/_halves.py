"""The variance of a statistic of one or two sets, from a first-order estimate that counts its quadratic part twice.

The variance is V1 + V2: V1 ~ 1/n of the statistic's linear part and V2 ~ 1/n^2 of its quadratic
part, which rules where the linear part vanishes, as it does for a distance between sets that are
alike. A jackknife or an influence function estimates J(n) = V1 + 2 V2. Halves of the data have
2 V1 + 8 V2, so 3/2 J(n) - 1/4 J(n/2) = V1 + V2.

References:
    The jackknife estimate of variance (Efron, Stein, 1981): the quadratic part counts twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from genbench.metrics import Measure, holding
from genbench.numerics.intervals import Z95
from genbench.numerics.points import Points

PLENTY = 4000  # rows of which one half is enough: J of either then differs by a few per cent


def corrected(whole: float, parts: list[float]) -> float:
    """V1 + V2 from J of everything and of halves; at least J/2, which it is where V1 = 0."""
    return max(1.5 * whole - 0.25 * sum(parts) / len(parts), 0.5 * whole)


def variance(first_order: Callable[..., float], *sets: Points) -> float:
    """V1 + V2 of a statistic of sets, for which `first_order` gives J."""
    used = 1 if min(map(len, sets)) >= PLENTY else 2
    return corrected(first_order(*sets), [first_order(*(x.halves[i][1] for x in sets)) for i in range(used)])


def of_square(value: float, stderr: float, method: str, details: dict[str, Any]) -> Measure:
    """A squared distance, whose root r is the more normal: (r +- 1.96 stderr / 2r)^2, r + ... >= 0."""
    value = max(value, 0.0)  # rounding can make a distance of 0 negative
    root = math.sqrt(value)
    half = Z95 * stderr / (2 * root) if root > 0 else 0.0
    ci = holding(value, max(root - half, 0.0) ** 2, (root + half) ** 2)
    return Measure(value, "estimate", stderr, ci, method, details=details)
