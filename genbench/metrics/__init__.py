"""A metric is a pure function of arrays, plus a card: what it needs, what it gives, its version and reference.

Every file here defines

    VERSION     an int, raised whenever a value can change
    NEEDS       the inputs of `compute`, by the names of the artifacts in `run/artifacts/`, where each has a line on
                what it holds (`genbench list artifacts` prints them)
    OUTPUTS     {name: card}, a card being {"unit": one of UNITS, "direction": one of DIRECTIONS, "range": the least
                and the most that the value and its interval can be, None for no limit, "title": ...,
                "misses": what it does not see, as docs/audit.md found where that has it, "group": one of GROUPS,
                "place": a number}. Columns of a leaderboard stand in the order of the places of all metrics: take one
                between those of its neighbours
    REFERENCE   authors, year
    DOMAINS     {parameter: the values that it can have, in the words of `genbench/domains.py`}, where there are any
    MIN_SAMPLES the fewest samples it can do with, where that is more than one
    compute(*needs, **parameters) -> {name: Measure}

(and, where the interval takes work of its own, `intervals=True` as the last parameter: without them it gives the same
values `alone`) as literals that can be read without importing the file. A metric neither draws from global
randomness, nor touches a network or a disk, nor changes its inputs. Every parameter of `compute`
beyond NEEDS has a default and is part of the record's identity.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genbench.numerics import student
from genbench.numerics.intervals import Z95, wilson

KINDS = ("exact", "upper_bound", "lower_bound", "estimate")
DIRECTIONS = ("lower", "higher", "none")
GROUPS = (
    "likelihood",  # how probable test data are under the model
    "fidelity",  # how much its samples are like real data
    "diversity",  # how much of real data its samples reach
    "copying",  # how much they owe to single training examples
    "modes",  # how many of the known modes or classes they fall into, and how evenly
    "representation",  # what latents and codes keep, and how evenly they are spaced
    "translation",  # whether translated examples are of the other domain, and what they keep
    "uses",  # what it is trained for: to find anomalies, to decide, to be fair to rare groups
    "cost",  # what sampling takes of time, and training of time and memory
)
ROUNDING = 1e-9  # by which a value may leave its range, relative to the end, or absolute at 0
# Every unit of a value, and whether a column's header names it. Shares, counts and distances speak for themselves.
UNITS = {
    "bits/dim": True,  # nats / (D ln 2) of one example; a record of text says bits/char in its place
    "bits/char": True,
    "nats": True,
    "1/s": True,
    "ms": True,
    "s": True,
    "MB": True,
    "100 nats/feature": False,
    "cost": False,  # as the cost matrix of the record has it
    "share": False,  # of 1; an excess over what fresh data would have can be below 0
    "%": False,
    "classes": False,
    "modes": False,
    "units": False,
    "effective samples": False,
    "acceptance": False,  # signed: of changes that would be accepted
    "z": False,  # standard deviations of the statistic under its null hypothesis
    "balls / k": False,  # balls that hold a sample, over the number that would on average
    "radius / distance": False,
    "feature distance": False,
    "squared feature distance": False,
    "squared feature distance / squared path": False,  # the path as a share of the whole one
    "squared MMD": False,
    "squared MMD x 1000": False,
    "share of the range": False,
    "squared share of the range": False,
    "dB": False,
    "similarity": False,  # 1 for equal images
}


@dataclass(frozen=True)
class Measure:
    """One number and what it is.

    Raises ValueError where it contradicts itself: an interval that does not hold its value, a spread below 0.

    Arguments:
        value: NaN and infinities stay as they are.
        kind: "exact", "upper_bound", "lower_bound" or "estimate": how the value stands to what it measures.
        stderr, ci95: standard error and 95 % interval, finite, or None.
        ci_method: how the interval was made; where there is none, why.
        n_nonfinite: how many of the values behind it were NaN or infinite. They are not left out.
        details: further numbers, JSON types only. A leaderboard shows `note` as a footnote, and marks `flagged`.
        shared: how a value moves with the training examples, which other models share; empty where that is not known,
            or nothing is shared. See `_shared.py`.
    """

    value: float
    kind: str
    stderr: float | None
    ci95: tuple[float, float] | None
    ci_method: str
    n_nonfinite: int = 0
    details: dict[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    shared: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"a value is one of {', '.join(KINDS)}, not {self.kind!r}")
        if not _is_number(self.value):
            raise ValueError(f"a value is a number, not {self.value!r}")
        if self.stderr is not None and not (_is_number(self.stderr) and 0 <= self.stderr < math.inf):
            raise ValueError(f"a standard error is a finite number of at least 0, or None, not {self.stderr!r}")
        if self.ci95 is not None:
            low, high = self.ci95
            if not (_is_number(low) and _is_number(high) and -math.inf < low <= self.value <= high < math.inf):
                raise ValueError(f"an interval is finite and holds its value {self.value!r}: not {self.ci95!r}")
        if not isinstance(self.ci_method, str):
            raise ValueError(f"ci_method says how the interval was made, or why there is none, not {self.ci_method!r}")
        if not isinstance(self.n_nonfinite, int | np.integer) or self.n_nonfinite < 0:
            raise ValueError(f"n_nonfinite is a count, not {self.n_nonfinite!r}")
        if not isinstance(self.details, dict):
            raise ValueError(f"details is a dict, not {self.details!r}")
        json.dumps(self.details, default=_plain)
        if not all(isinstance(warning, str) for warning in self.warnings):
            raise ValueError(f"warnings are texts, not {self.warnings!r}")
        if not all(_is_number(one) and math.isfinite(one) for one in self.shared):
            raise ValueError(f"shared are finite numbers, not {self.shared!r}")


def _is_number(x: Any) -> bool:
    return isinstance(x, int | float | np.integer | np.floating) and not isinstance(x, bool)


def _plain(x: Any) -> Any:
    """A NumPy number as JSON has it."""
    if isinstance(x, np.generic):
        return x.item()
    raise ValueError(f"details have JSON types only, no {type(x).__name__}")


def check_outputs(cards: Mapping[str, Mapping[str, Any]], found: Any) -> None:
    """What a metric gave, beside the cards that it declared (`OUTPUTS`).

    Raises:
        ValueError: an output is missing, was never declared, is no `Measure`, or leaves its range by more than
            rounding.
    """
    if not isinstance(found, Mapping):
        raise ValueError(f"a metric gives {{output: Measure}}, not a {type(found).__name__}")
    if missing := sorted(set(cards) - set(found)):
        raise ValueError(f"the metric declares {', '.join(missing)}, and did not give it")
    if extra := sorted(map(str, set(found) - set(cards))):
        raise ValueError(f"the metric gave {', '.join(extra)}, which it does not declare")
    for name, card in cards.items():
        measure = found[name]
        if not isinstance(measure, Measure):
            raise ValueError(f"{name}: a metric gives a Measure, not a {type(measure).__name__}")
        least, most = card.get("range", (None, None))
        for number in (measure.value, *(measure.ci95 or ())):
            below = least is not None and number < least - ROUNDING * max(1, abs(least))
            above = most is not None and number > most + ROUNDING * max(1, abs(most))
            if below or above:
                raise ValueError(f"{name}: {number!r} is outside the range {[least, most]} of its card")


NOT_ASKED = "none: not asked for"


def alone(value: float, **rest: Any) -> Measure:
    """An estimate without its interval, which nobody asked for."""
    return Measure(value, "estimate", None, None, NOT_ASKED, **rest)


def holding(
    value: float, low: float, high: float, least: float = -math.inf, most: float = math.inf
) -> tuple[float, float]:
    """An interval cut at the least and the most that the value can be; it holds the value whatever was rounded."""
    return min(value, max(least, low)), max(value, min(most, high))


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
    return Measure(value, kind, stderr, holding(value, value - half, value + half, least, most), method, **rest)


def normal_of_log(
    value: float, relative: float, method: str, least: float = 0.0, most: float = math.inf, **rest: Any
) -> Measure:
    """exp(log value +- 1.96 relative), with `relative` the standard error of the logarithm, cut like `normal`."""
    factor = math.exp(Z95 * relative)
    ci = holding(value, value / factor, value * factor, least, most)
    return Measure(value, "estimate", value * relative, ci, method, **rest)


def share(successes: int, n: int, **rest: Any) -> Measure:
    """A share of n independent trials."""
    return share_of_trials(successes / n, n, "Wilson", **rest)


def share_of_trials(p: float, trials: float, method: str, z: float = Z95, **rest: Any) -> Measure:
    """A share p that varies as that of so many independent trials, with Wilson's interval at the quantile z."""
    return Measure(p, "estimate", math.sqrt(p * (1 - p) / trials), wilson(p, trials, z), method, **rest)


def mean(
    values: np.ndarray, kind: str = "estimate", least: float = -math.inf, most: float = math.inf, **rest: Any
) -> Measure:
    """The mean of values `[n]`, with a t interval that is corrected for their skewness, cut like that of `normal`.

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
    with np.errstate(over="ignore"):
        sd = float(values.std(ddof=1))
    if not math.isfinite(sd):
        return Measure(value, kind, None, None, "none: the spread is beyond what float64 holds", **rest)
    q = student.quantile(0.975, n - 1) / math.sqrt(n)
    gamma = 0.0
    if 1e-100 < sd < 1e100:
        gamma = float(((values - value) ** 3).mean() / sd**3)
    elif sd > 0:  # its cube would leave the range of float64
        gamma = float((((values - value) / sd) ** 3).mean())

    def untransform(t: float) -> float:
        if abs(gamma) < 1e-6:  # the limit, where the formula is 0 / 0
            return t
        return 3 / gamma * (float(np.cbrt(1 + gamma * (t - gamma / (6 * n)))) - 1)

    ci = holding(value, value - sd * untransform(q), value - sd * untransform(-q), least, most)
    return Measure(value, kind, sd / math.sqrt(n), ci, "t over examples, corrected for skewness (Hall 1992)", **rest)
