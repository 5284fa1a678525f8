"""Shares and means over rows that are judged against a common set, with intervals that know it.

Where all rows of a set are judged against the same balls they agree by necessity, and their mean
varies more than that of independent rows. How much more is seen in groups: shuffle both sets, part
each into G, and every pair of parts repeats the whole measurement, at the same ratio of counts, on
data of its own. The design effect is the variance between groups over that of independent rows,

    deff = var_g(mean of group g) / mean_g(variance within group g / its rows),    at least 1.

As a ratio it carries over to the whole set, where the value itself depends on the counts. The
interval is then that of n / deff independent rows, at the quantile of t for G groups: Wilson's for a
share, Hall's for a mean. It covers the draw of both sets.

References:
    Survey sampling (Kish, 1965), sections 4.4 and 8.2: replicated samples, and the design effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genbench import metrics
from genbench.metrics import Measure, _shared
from genbench.numerics import student
from genbench.numerics.moments import variance_of_means
from genbench.numerics.points import Points

MANY, FEW, ROWS = 10, 5, 20  # groups: many where each has so many rows of either set, else few
Judged = Callable[[Points, Points], np.ndarray]  # two sets -> a value for every row of one of them, `[n]`


@dataclass(frozen=True)
class Design:
    """The design effect, and the number of groups that it was seen in."""

    effect: float
    groups: int

    @property
    def quantile(self) -> float:
        """Of t, for a 95 % interval."""
        return student.quantile(0.975, self.groups - 1)


def share(
    judged: Judged,
    x: Points,
    y: Points,
    at_least: int,
    details: dict[str, Any],
    shared: tuple[float, ...] | None = None,
    intervals: bool = True,
) -> Measure:
    """The share of rows for which `judged(x, y)` is true.

    Arguments:
        at_least: the fewest rows of either set that a group can be measured with.
        shared: how the value moves with the training examples (`_shared.py`). None where neighbours decide that: it is
            seen in halves then, and carries over to the whole set as a ratio, as the design effect does.
    """
    rows = judged(x, y)
    p = float(rows.mean())
    if not intervals:
        return metrics.alone(p, details=details)
    found = design(judged, x, y, at_least)
    if found is None:
        return Measure(p, "estimate", None, None, too_few(at_least), details=details)
    method = f"Wilson at n / deff rows, deff from {found.groups} groups of both sets"
    details = {**details, "design_effect": found.effect}
    measure = metrics.share_of_trials(p, len(rows) / found.effect, method, found.quantile, details=details)
    return replace(measure, shared=moving(judged, x, y, at_least, measure.stderr) if shared is None else shared)


def mean(
    judged: Judged, x: Points, y: Points, at_least: int, details: dict[str, Any], intervals: bool = True
) -> Measure:
    """The mean of `judged(x, y)`, which is nowhere below 0: see `share`."""
    rows = judged(x, y)
    if not intervals:
        return metrics.alone(float(np.asarray(rows, np.float64).mean()), details=details)
    found = design(judged, x, y, at_least)
    plain = metrics.mean(rows)
    if found is None or plain.stderr is None or plain.ci95 is None:
        return replace(plain, stderr=None, ci95=None, ci_method=too_few(at_least), details=details)
    wider = math.sqrt(found.effect)
    stretch = wider * found.quantile / student.quantile(0.975, len(rows) - 1)
    low, high = (plain.value + stretch * (end - plain.value) for end in plain.ci95)
    return replace(
        plain,
        stderr=wider * plain.stderr,
        ci95=metrics.holding(plain.value, low, high, least=0.0),
        ci_method=f"{plain.ci_method}, times sqrt(deff) from {found.groups} groups of both sets",
        details={**details, "design_effect": found.effect},
        shared=moving(judged, x, y, at_least, wider * plain.stderr),
    )


def moving(judged: Judged, x: Points, y: Points, at_least: int, stderr: float | None) -> tuple[float, ...]:
    """The deviations of halves, as those of a value with this standard error."""
    found = np.array(_shared.of_halves(judged, x, y, at_least))
    size = float(np.linalg.norm(found))
    return tuple((found * (stderr or 0.0) / size).tolist()) if size > 0 else ()


def design(judged: Judged, x: Points, y: Points, at_least: int) -> Design | None:
    """The design effect of the mean of `judged`; None where the groups would be too small."""
    smaller = min(len(x), len(y))
    count = MANY if smaller >= MANY * ROWS else FEW
    if smaller // count < at_least:
        return None
    groups = [judged(a, b) for a, b in zip(parts(x, count, 0), parts(y, count, 1), strict=True)]
    between = np.var([rows.mean() for rows in groups], ddof=1)
    within = np.mean([variance_of_means(rows) for rows in groups])
    return Design(max(1.0, float(between / within)) if within > 0 else 1.0, count)


def parts(x: Points, count: int, seed: int) -> list[Points]:
    """The rows, shuffled since they may come sorted by class, and dealt out to `count` sets.

    Arguments:
        seed: another one for each of two sets that meet, or a copy would share its original's part.
    """

    def deal() -> list[np.ndarray]:
        order = x.shuffled(seed)
        return [order[i::count] for i in range(count)]

    return x.pieces(f"{count} parts from seed {seed}", deal)


def too_few(at_least: int) -> str:
    return f"none: an interval needs {FEW * at_least} rows of either set, for {FEW} groups"
