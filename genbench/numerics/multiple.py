"""Several tests at once: p-values, levels and effects that hold for all of them together.

References:
    A simple sequentially rejective multiple test procedure (Holm, 1979).
    Minimum detectable effects: a simple way to report the statistical power of experimental designs (Bloom, 1995).
"""

from __future__ import annotations

import math

import numpy as np

from genbench.numerics import student

POWER = 0.8  # with which an effect is noticed that counts as detectable
LEVEL = 0.05


def holm(p: list[float]) -> list[float]:
    """p-values of which those below a level are false with at most that probability, all together (Holm, 1979)."""
    order = np.argsort(p, kind="stable")
    stepped = np.asarray(p)[order] * (len(p) - np.arange(len(p)))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted.tolist()


def p_value(gap: float, reach: float, freedom: float = math.inf) -> float:
    """Two-sided, that an effect is 0 whose 95 % interval reaches from the estimate `gap` so far towards 0.

    Below 0.05 exactly if the interval does not reach 0. Without a reach an effect is there for certain, or is none.

    Arguments:
        freedom: the degrees of freedom of the t interval, infinite for a normal one.
    """
    if reach == 0:
        return float(gap == 0)
    return 2 * student.above(quantile(1, freedom) * abs(gap) / reach, freedom)


def quantile(tests: int, freedom: float = math.inf) -> float:
    """Half the width of an interval in standard errors, with which `tests` of them hold at 95 % (Bonferroni)."""
    return -student.quantile(LEVEL / (2 * tests), freedom)


def detectable(stderr: float, tests: int, freedom: float = math.inf) -> float:
    """The effect that is noticed with probability `POWER` by a two-sided test among `tests` (Bloom, 1995).

    At the level of the first of Holm's steps, which is the strictest.
    """
    return stderr * (quantile(tests, freedom) + student.quantile(POWER, freedom))
