"""A metric is a pure function of arrays, plus a card: what it needs, what it gives, its version and reference.

Every file here defines

    VERSION     an int, raised whenever a value can change
    NEEDS       the inputs of `compute`, by the names of the artifacts in `run/artifacts.py`, where each has a line on
                what it holds (`genbench list artifacts` prints them)
    OUTPUTS     {name: card}, a card being {"unit": one of UNITS, "direction": "lower" | "higher" | "none",
                "title": ..., "group": one of GROUPS, "place": a number}. Columns of a leaderboard stand in the
                order of the places of all metrics: take one between those of its neighbours
    REFERENCE   authors, year
    MIN_SAMPLES the fewest samples it can do with, where that is more than one
    compute(*needs, **parameters) -> {name: Measure}

as literals that can be read without importing the file. A metric neither draws from global
randomness, nor touches a network or a disk, nor changes its inputs. Every parameter of `compute`
beyond NEEDS has a default and is part of the record's identity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from genbench.numerics.intervals import Z95, wilson

KINDS = ("exact", "upper_bound", "lower_bound", "estimate")
GROUPS = (
    "likelihood",  # how probable test data are under the model
    "fidelity",  # how much its samples are like real data
    "diversity",  # how much of real data its samples reach
    "copying",  # how much they owe to single training examples
    "modes",  # how many of the known modes or classes they fall into, and how evenly
    "representation",  # what latents and codes keep, and how evenly they are spaced
    "cost",  # how long sampling takes
)
# Every unit of a value, and whether a column's header names it. Shares, counts and distances speak for themselves.
UNITS = {
    "bits/dim": True,  # nats / (D ln 2) of one example; a record of text says bits/char in its place
    "bits/char": True,
    "nats": True,
    "1/s": True,
    "ms": True,
    "100 nats/feature": False,
    "share": False,  # of 1; an excess over what fresh data would have can be below 0
    "%": False,
    "classes": False,
    "modes": False,
    "effective samples": False,
    "z": False,  # standard deviations of the statistic under its null hypothesis
    "balls / k": False,  # balls that hold a sample, over the number that would on average
    "radius / distance": False,
    "feature distance": False,
    "squared feature distance": False,
    "squared feature distance / squared path": False,  # the path as a share of the whole one
    "squared MMD": False,
    "squared MMD x 1000": False,
    "squared share of the range": False,
    "dB": False,
    "similarity": False,  # 1 for equal images
}


@dataclass(frozen=True)
class Measure:
    """One number and what it is.

    Arguments:
        kind: "exact", "upper_bound", "lower_bound" or "estimate": how the value stands to what it measures.
        stderr, ci95: standard error and 95 % interval, or None.
        ci_method: how the interval was made; where there is none, why.
        n_nonfinite: how many of the values behind it were NaN or infinite. They are not left out.
        details: further numbers, JSON types only. A leaderboard shows `note` as a footnote, and marks `flagged`.
    """

    value: float
    kind: str
    stderr: float | None
    ci95: tuple[float, float] | None
    ci_method: str
    n_nonfinite: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind


def normal(
    value: float,
    stderr: float,
    kind: str = "estimate",
    method: str = "normal",
    least: float = -math.inf,
    most: float = math.inf,
    **rest: Any,
) -> Measure:
    """value +- 1.96 stderr, cut at the `least` and the `most` that the value can be."""
    half = Z95 * stderr
    return Measure(value, kind, stderr, (max(least, value - half), min(most, value + half)), method, **rest)


def normal_of_log(value: float, relative: float, method: str, **rest: Any) -> Measure:
    """exp(log value +- 1.96 relative), with `relative` the standard error of the logarithm."""
    factor = math.exp(Z95 * relative)
    return Measure(value, "estimate", value * relative, (value / factor, value * factor), method, **rest)


def share(successes: int, n: int, **rest: Any) -> Measure:
    """A share of n independent trials."""
    return share_of_trials(successes / n, n, "Wilson", **rest)


def share_of_trials(p: float, trials: float, method: str, z: float = Z95, **rest: Any) -> Measure:
    """A share p that varies as that of so many independent trials, with Wilson's interval at the quantile z."""
    return Measure(p, "estimate", math.sqrt(p * (1 - p) / trials), wilson(p, trials, z), method, **rest)


def mean(values: np.ndarray, kind: str = "estimate", **rest: Any) -> Measure:
    """The mean of values `[n]`, with a t interval that is corrected for their skewness.

    Log-likelihoods are skewed: the plain interval of 50 draws of x ~ N(0, 1) under its own density
    holds the truth 92 times in 100, this one 95 times (docs/coverage.md). A non-finite value makes the
    mean non-finite, and is counted.

    References:
        On the removal of skewness by transformation (Hall, 1992), the monotone cubic g_1.
    """
    values = np.asarray(values, dtype=np.float64)
    n, bad = len(values), int((~np.isfinite(values)).sum())
    with np.errstate(invalid="ignore"):
        value = float(values.mean())
    if bad or n < 2:
        why = f"none: {bad} of {n} values are not finite" if bad else "none: one value has no spread"
        return Measure(value, kind, None, None, why, n_nonfinite=bad, **rest)
    sd = float(values.std(ddof=1))
    q = float(stats.t.ppf(0.975, n - 1)) / math.sqrt(n)
    gamma = float(((values - value) ** 3).mean() / sd**3) if sd > 0 else 0.0

    def untransform(t: float) -> float:
        if abs(gamma) < 1e-6:  # the limit, where the formula is 0 / 0
            return t
        return 3 / gamma * (float(np.cbrt(1 + gamma * (t - gamma / (6 * n)))) - 1)

    ci = (value - sd * untransform(q), value - sd * untransform(-q))
    return Measure(value, kind, sd / math.sqrt(n), ci, "t over examples, corrected for skewness (Hall 1992)", **rest)
