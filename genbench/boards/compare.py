"""Two models, or two runs, against each other: the difference of every metric with its 95 % interval.

Log-likelihoods of the same test examples are compared by pairs: an example that is hard for one model is hard for the
other, and the difficulty that they share cancels; pieces of one sequence in batches. A row of several checkpoints
stands for their mean, whose variance has a part between them. Samples that were compared with
the same training examples have the covariance that comes from these, where both runs keep it (`metrics/_shared.py`).
Every other metric is compared as two independent estimates, new - base +- 1.96 sqrt(SE_new^2 + SE_base^2), or from both
intervals where one has no standard error. Only values that could stand in one column of a leaderboard are compared; all
that one side alone has is named.

Two bounds decide nothing of the true values. But both numbers are of one column, by the same estimator with as many
draws, so that what they certify can be compared: "not decided: two bounds; certified worse". That is what a gate on a
bound judges: whether the number got worse beyond chance, not whether the model did.

All verdicts of a call hold together: their p-values are adjusted by Holm's correction (1979), and what is "at least"
so much better comes from intervals that hold together (Bonferroni). The intervals shown are those of single metrics.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from decimal import ROUND_DOWN, Context
from pathlib import Path
from typing import Any, cast

import numpy as np
from tabulate import tabulate

from genbench.boards.columns import apart, by_place, columns_of, matches
from genbench.boards.ranks import PER_EXAMPLE, SAME, TRAINING, Row, independent, kept, of_training
from genbench.boards.seeds import shown_rows
from genbench.boards.tables import NO_INTERVAL, SIGNS, reason
from genbench.errors import GenbenchError, unknown
from genbench.metrics._batches import mean_of_examples
from genbench.numerics import student
from genbench.numerics.intervals import Z95
from genbench.numerics.multiple import LEVEL, detectable, holm, p_value, quantile
from genbench.run.records import Record, Run, open_run
from genbench.space import Space
from genbench.text import markdown as shown
from genbench.text import one_line

APART = np.array([-1.0, 1.0])  # new - base
BOTH = "<>"
SPARED = "measured with --no-intervals"
# What two numbers can say of what they stand for, by the kinds of base and new. With b and n the true values, an exact
# value or an estimate is its true value (up to its interval), an upper bound is at least it, a lower bound at most.
# "<": that n < b, if the number of new is below that of base; ">": that n > b, if it is above. Two bounds of one kind
# decide nothing. How far an estimate and a bound are from one true value is unknown on both sides.
DECIDES = {
    ("exact", "exact"): BOTH,
    ("exact", "estimate"): BOTH,
    ("estimate", "exact"): BOTH,
    ("estimate", "estimate"): BOTH,
    ("upper_bound", "upper_bound"): "",
    ("lower_bound", "lower_bound"): "",
    ("exact", "upper_bound"): "<",  # n <= its bound < b
    ("lower_bound", "exact"): "<",
    ("lower_bound", "upper_bound"): "<",
    ("exact", "lower_bound"): ">",
    ("upper_bound", "exact"): ">",
    ("upper_bound", "lower_bound"): ">",
    ("estimate", "upper_bound"): "",
    ("estimate", "lower_bound"): "",
    ("upper_bound", "estimate"): "",
    ("lower_bound", "estimate"): "",
}

# The kinds whose numbers say how good a model is at least, by the better side: so many bits are enough for a code.
CERTIFIES = {"lower": {"exact", "upper_bound"}, "higher": {"exact", "lower_bound"}}


def of_numbers(kinds: tuple[str, str], direction: str) -> bool:
    """Whether two values are alike as numbers, whatever the true values: of one kind, or both certified."""
    return kinds[0] == kinds[1] or certified(kinds, direction)


def certified(kinds: tuple[str, str], direction: str) -> bool:
    return set(kinds) <= CERTIFIES.get(direction, set())


@dataclass(frozen=True)
class Difference:
    """new - base of one metric of one model.

    Arguments:
        direction: which side of the metric is better.
        kinds: what the two values are, of base and of new.
        base, new: the two values, in `unit`; None where one is not finite.
        ci95: the interval of the difference, None where there is none.
        method: how the interval was made; where there is none, why.
        verdict: what `judge` says.
        freedom: the degrees of freedom of a t interval, None for a normal one.
        p: two-sided, of this difference alone; None where nothing is tested.
        p_holm: adjusted for all that the call tests.
        detectable: the difference that would have been noticed 4 times in 5, of one that was not.
    """

    model: str
    metric: str
    unit: str
    direction: str
    kinds: tuple[str, str]
    base: float | None
    new: float | None
    difference: float | None
    ci95: tuple[float, float] | None
    method: str
    verdict: str
    freedom: float | None = None
    p: float | None = None
    p_holm: float | None = None
    detectable: float | None = None

    @property
    def decided(self) -> bool:
        """Whether the kinds of the two values allow a verdict."""
        return not self.verdict.startswith(UNDECIDED)

    @property
    def judged(self) -> bool:
        """Whether a gate can judge it: by a verdict, or by the numbers alone."""
        return self.decided or of_numbers(self.kinds, self.direction)

    @property
    def said(self) -> str:
        """In a line."""
        what = one_line(f"{self.model}, {self.metric}: {value(self.base)} -> {value(self.new)}")
        return what if self.decided else f"{what}, {self.verdict}"


@dataclass(frozen=True)
class Missing:
    """A value that cannot be compared since a side does not have it.

    Arguments:
        lacking: "base", "new", or "both" for a metric that applies to neither.
        why: in words.
    """

    model: str
    metric: str
    lacking: str
    why: str

    @property
    def said(self) -> str:
        return one_line(f"{self.model}, {self.metric}: {self.why}")


@dataclass(frozen=True)
class Comparison:
    """Everything that two sides have, each metric of each model once: compared, or named with the reason."""

    runs: tuple[Run, Run]
    differences: list[Difference]
    missing: list[Missing]

    @property
    def metrics(self) -> set[str]:
        return {d.metric for d in self.differences} | {m.metric for m in self.missing}

    def left_out(self) -> list[str]:
        """A line for every model and reason, of what one side has and the other lacks."""
        lines: dict[tuple[str, str], list[str]] = {}
        for m in self.missing:
            if m.lacking != "both":
                lines.setdefault((m.model, m.why), []).append(m.metric)
        return [f"{model}: {', '.join(metrics)}: {why}" for (model, why), metrics in lines.items()]


def side(text: str) -> tuple[Run, str, dict[str, list[Record]]]:
    """`RUN` or `RUN:MODEL` -> the run, the model that is named or "", and the records by model.

    A folder that exists is meant as it is, whatever colons are in its name.

    Raises:
        GenbenchError: no such run, or no such model in it.
    """
    ends = [i for i in range(len(text), 0, -1) if text[i : i + 1] in ("", ":") and os.path.isdir(text[:i])]
    path, model = (text[: ends[0]], text[ends[0] + 1 :]) if ends else (text.partition(":")[0], text.partition(":")[2])
    run = open_run(Path(path))
    by_model: dict[str, list[Record]] = {}
    for record in shown_rows([run]):
        by_model.setdefault(record.model["name"], []).append(record)
    if not model:
        return run, "", by_model
    if model not in by_model:
        raise unknown(f"model in {path}", model, by_model)
    return run, model, {model: by_model[model]}


def compare(base: str, new: str) -> Comparison:
    """The differences in every metric that both sides measured alike, of models of the same name.

    Arguments:
        base, new: `RUN` or `RUN:MODEL`. Where both name a model, these two are compared, whatever their names; where
            one does, that model is.

    Raises:
        GenbenchError: no such run or model.
    """
    (run_a, model_a, models_a), (run_b, model_b, models_b) = side(base), side(new)
    if model_a and model_b:
        pairs = [(model_a, model_b)]
    else:
        pairs = [(m, m) for m in ([model_a or model_b] if model_a or model_b else {**models_a, **models_b})]
    place = by_place()
    found = Comparison((run_a, run_b), [], [])
    for a, b in pairs:
        name = a if a == b else f"{a} -> {b}"
        records_a, records_b = models_a.get(a, []), models_b.get(b, [])
        if not records_a or not records_b:
            lacking, where, has = ("base", base, records_b) if not records_a else ("new", new, records_a)
            metrics = sorted({r.metric["name"] for r in has}, key=place)
            found.missing.extend(Missing(name, metric, lacking, f"no such model in {where}") for metric in metrics)
            continue
        columns_a = {key: c.records[a] for key, c in columns_of(records_a).items()}
        columns_b = {key: c.records[b] for key, c in columns_of(records_b).items()}
        unlike = {r.metric["name"]: r for key, r in columns_b.items() if key not in columns_a}
        alike = {r.metric["name"] for key, r in columns_a.items() if key not in columns_b} & unlike.keys()
        both = {**columns_a, **columns_b}
        for key in sorted(both, key=lambda key: (*place(both[key].metric["name"]), key)):
            ra, rb, metric = columns_a.get(key), columns_b.get(key), both[key].metric["name"]
            if ra and rb and ra.status == rb.status == "ok":
                found.differences.append(difference(name, run_a, ra, run_b, rb))
            elif ra and not rb and metric in alike:
                other = unlike[metric]
                how = f"{apart(ra, [other])} in {base}, {apart(other, [ra])} in {new}"
                found.missing.append(Missing(name, metric, "new", f"measured differently, {how}"))
            elif ra or metric not in alike:
                lost = missing(name, metric, (base, ra), (new, rb))
                others = [r for r in (*columns_a.values(), *columns_b.values()) if r.metric["name"] == metric]
                if lost.lacking != "both" and (differs := apart(both[key], others)):
                    lost = replace(lost, why=f"with {differs} {lost.why}")  # it is compared in another column
                found.missing.append(lost)
    return replace(found, differences=together(found.differences))


def missing(name: str, metric: str, base: tuple[str, Record | None], new: tuple[str, Record | None]) -> Missing:
    """Who lacks a value, and why: a side has no record of it, or one without a value."""
    a, b = (record.status if record else "skipped" for _, record in (base, new))
    if b == "ok":
        lacking, (where, record) = "base", base
    elif a == b == "skipped":
        lacking, (where, record) = "both", new
    else:
        lacking, (where, record) = "new", new
    if record is None:
        return Missing(name, metric, lacking, f"not measured in {where}")
    word = "not applicable" if record.status == "skipped" else record.status
    return Missing(name, metric, lacking, f"{word} in {where} ({reason(record)})")


def behind(run_a: Run, a: Record, run_b: Run, b: Record) -> tuple[np.ndarray, np.ndarray] | None:
    """log p of every test example under two models, None where a run lacks it, or a value is no mean of it."""
    artifact, found = PER_EXAMPLE.get(a.metric["name"], ""), []
    for run, record in ((run_a, a), (run_b, b)):
        key = record.arrays.get(artifact, "")
        log_p = kept(record, artifact, [run]) if isinstance(record, Row) else run.example_values(key)
        if log_p is None:
            return None
        mean = -Space.from_dict(record.dataset["space"]).bits_per_dim(1.0) * float(log_p.mean())
        if not math.isclose(mean, cast(float, record.value), rel_tol=SAME, abs_tol=SAME):
            return None
        found.append(log_p)
    return (found[0], found[1]) if len(found[0]) == len(found[1]) else None


def difference(name: str, run_a: Run, a: Record, run_b: Run, b: Record) -> Difference:
    """The difference in one metric of two records with status ok.

    Paired where both runs keep the log-likelihoods; else of independent estimates, by their standard errors or, where
    one has none, by their intervals. A value that is not finite is worse than any that is.
    """
    assert a.kind is not None
    assert b.kind is not None
    direction, kinds = a.metric["direction"], (a.kind, b.kind)
    card = (name, a.metric["name"], a.metric["unit"], direction, kinds, a.value, b.value)
    if a.value is None or b.value is None:
        verdict = "unknown"
        if (a.value is None) != (b.value is None):
            gap = math.inf if (b.value is None) == (direction != "higher") else -math.inf
            verdict = judge(gap, (gap, gap), direction, kinds)
        return Difference(*card, None, None, "none: a value is not finite", verdict)
    gap, ci, method = b.value - a.value, None, "none: one of the two has neither a standard error nor an interval"
    if a.alone or b.alone:
        method = f"none: {'both were' if a.alone and b.alone else 'one of the two was'} {SPARED}"
    freedom: float | None = None
    if (log_p := behind(run_a, a, run_b, b)) is not None:
        space = Space.from_dict(a.dataset["space"])
        pieces = "batches" in a.details and "batches" in b.details  # of one sequence, which depend on each other
        order = np.arange(len(log_p[0])) if pieces else None
        paired = mean_of_examples(space.bits_per_dim(1.0) * (log_p[0] - log_p[1]), order)
        ci, method = paired.ci95, f"paired over {'batches of ' * pieces}examples" if paired.ci95 else paired.ci_method
        freedom = paired.details.get("batches", len(log_p[0])) - 1
        if paired.stderr is not None and (seeds := [x for x in (a, b) if isinstance(x, Row) and x.between > 0]):
            parts = [(paired.stderr**2, freedom), *((x.between, len(x.details["seeds"]) - 1) for x in seeds)]
            freedom = student.satterthwaite(*parts)
            half = student.quantile(0.975, freedom) * math.sqrt(sum(variance for variance, _ in parts))
            ci, method = (gap - half, gap + half), f"{method} and training seeds (Satterthwaite 1946)"
    elif a.stderr is not None and b.stderr is not None:
        errors, method = of_training([a, b], [run_a, run_b]), TRAINING
        if errors is None:
            errors, method = independent([a, b]), "independent"
        half = math.sqrt(max(float(APART @ errors.covariance @ APART), 0.0))
        half *= student.quantile(0.975, seen := float(errors.freedom[0, 1]))
        freedom = seen if seen < math.inf else None
        method = f"normal, {method}" if freedom is None else f"t, {method} (Satterthwaite 1946)"
        ci = gap - half, gap + half
    elif (low_high_a := limits(a)) and (low_high_b := limits(b)):
        ci, method = of_intervals(a.value, low_high_a, b.value, low_high_b), "from both intervals, independent"
    p = None
    if ci is not None and (DECIDES[kinds] or of_numbers(kinds, direction)):
        p = p_value(gap, towards_zero(gap, ci), freedom or math.inf)
    return Difference(*card, gap, ci, method, judge(gap, ci, direction, kinds), freedom, p)


def towards_zero(gap: float, ci: tuple[float, float]) -> float:
    """How far an interval reaches from the estimate on the side of 0."""
    return gap - ci[0] if gap > 0 else ci[1] - gap


def together(differences: list[Difference]) -> list[Difference]:
    """The differences with verdicts that hold for all of them at once (Holm), and what could have been noticed."""
    tested = [d for d in differences if d.p is not None]
    adjusted = iter(holm([d.p for d in tested if d.p is not None]))
    found = []
    for d in differences:
        if d.p is None or d.ci95 is None or d.difference is None:
            found.append(d)
            continue
        p, freedom = next(adjusted), d.freedom or math.inf
        wider = quantile(len(tested), freedom) / quantile(1, freedom)
        least = abs(d.difference) - wider * towards_zero(d.difference, d.ci95)
        verdict = judge(d.difference, d.ci95, d.direction, d.kinds, p, least)
        seen = None
        if verdict == NONE:
            half = max(d.ci95[1] - d.difference, d.difference - d.ci95[0])
            seen = detectable(half / quantile(1, freedom), len(tested), freedom)
        found.append(replace(d, verdict=verdict, p_holm=p, detectable=seen))
    return found


def limits(record: Record) -> tuple[float, float] | None:
    """The 95 % interval of a value, else that of its standard error, None without either."""
    if record.ci95 is not None and None not in record.ci95:
        return record.ci95[0], record.ci95[1]
    if record.value is None or record.stderr is None:
        return None
    return record.value - Z95 * record.stderr, record.value + Z95 * record.stderr


def of_intervals(
    a: float, limits_a: tuple[float, float], b: float, limits_b: tuple[float, float]
) -> tuple[float, float]:
    """The 95 % interval of b - a from those of a and b, which may be lopsided; that of normal ones where they are.

    References:
        Construction of confidence limits about effect measures: a general approach (Zou, Donner, 2008), equation 7.
    """
    (low_a, high_a), (low_b, high_b) = limits_a, limits_b
    return b - a - math.hypot(b - low_b, high_a - a), b - a + math.hypot(high_b - b, a - low_a)


UNDECIDED = "not decided"
NONE = "no difference"


def judge(
    gap: float,
    ci: tuple[float, float] | None,
    direction: str,
    kinds: tuple[str, str],
    p: float = 0.0,
    least: float = 0.0,
) -> str:
    """better or worse; "no difference" where the interval holds 0; "unknown" where there is a gap but no interval.

    Of a metric without a better side (direction "none") it is "changed" where the interval does not hold 0. Where
    `DECIDES` says that two kinds decide nothing, or only the other side, they are "not decided: two bounds"; where a
    bound decides, the true values differ by more than the numbers do: "at least 0.02 better". Where it does not, and
    the numbers are alike, what happened to them is added: "not decided: two bounds; certified worse".

    Arguments:
        p: adjusted for all that is tested with it; from `LEVEL` on there is no difference either.
        least: what the two numbers differ by at least, 0 or less where that is not known.
    """
    sign = "" if ci is None or ci[0] <= 0 <= ci[1] or p >= LEVEL else "<" if ci[1] < 0 else ">"
    decides = DECIDES[kinds]
    if decides != BOTH and (not sign or sign not in decides):
        return f"{UNDECIDED}: {why_undecided(kinds)}" + (change(sign, direction, kinds) if sign else "")
    if ci is None:
        return "unknown" if gap else NONE
    if not sign:
        return NONE
    known = decides != BOTH and 0 < least < math.inf
    if direction == "none":
        return f"changed by at least {down(least)}" if known else "changed"
    word = "better" if (sign == "<") == (direction == "lower") else "worse"
    return f"at least {down(least)} {word}" if known else word


def change(sign: str, direction: str, kinds: tuple[str, str]) -> str:
    """What happened to the numbers of two values whose true values are not decided; empty where they are not alike."""
    if certified(kinds, direction):
        return f"; certified {'better' if (sign == '<') == (direction == 'lower') else 'worse'}"
    return f"; the bound is {'lower' if sign == '<' else 'higher'}" if of_numbers(kinds, direction) else ""


def why_undecided(kinds: tuple[str, str]) -> str:
    bounds = sum(kind.endswith("_bound") for kind in kinds)
    return "two bounds" if bounds == 2 else f"a bound and an {'estimate' if 'estimate' in kinds else 'exact value'}"


def down(x: float) -> str:
    """A number above 0 with two digits, never more than it is.

    Example:
        >>> down(0.02999), down(1234.0)
        ('0.029', '1200')
    """
    return f"{float(Context(prec=2, rounding=ROUND_DOWN).create_decimal(x)):g}"


def table(differences: list[Difference]) -> str:
    """Aligned markdown: a row for each difference; the header of the verdicts names what they are adjusted for.

    How the intervals were made stands below, by letters; a model that is the only one, above.
    """
    methods = list(dict.fromkeys(d.method for d in differences))
    models = {d.model for d in differences}
    rows = [
        [
            *([d.model] if len(models) > 1 else []),
            d.metric,
            *(f"{SIGNS[kind]} {value(x)}" for kind, x in zip(d.kinds, (d.base, d.new), strict=True)),
            interval(d),
            lettered(methods.index(d.method)),
            d.verdict if d.detectable is None else f"{d.verdict} (detectable: {d.detectable:.2g})",
        ]
        for d in differences
    ]
    rows = [[shown(one) for one in row] for row in rows]
    headers = ["model", "metric", "base", "new", "difference (95 %)", "how", adjusted_for(differences)]
    align = ["left", "left", "right", "right", "right", "left", "left"]
    alone = len(models) == 1
    parts = [f"{shown(*models)}:"] if alone else []
    parts.append(tabulate(rows, headers[alone:], tablefmt="pipe", colalign=align[alone:], disable_numparse=True))
    parts.append("\n".join(f"- {lettered(i)}: {shown(method)}" for i, method in enumerate(methods)))
    return "\n\n".join(parts) + "\n"


def lettered(i: int) -> str:
    """`a`, `b`, ...; after `z` come `a1`, `b1`."""
    return f"{chr(ord('a') + i % 26)}{i // 26 or ''}"


def adjusted_for(differences: list[Difference]) -> str:
    """`verdict (Holm, 12 tests)`, or `verdict` where one difference alone is tested."""
    tests = sum(d.p is not None for d in differences)
    return f"verdict (Holm, {tests} tests)" if tests > 1 else "verdict"


def value(x: float | None) -> str:
    return "not finite" if x is None else f"{x:.4g}"


def interval(d: Difference) -> str:
    """`+0.1 [+0.05, +0.15]`: the difference, and its interval where it has one."""
    if d.difference is None:
        return ""
    bounds = NO_INTERVAL * d.method.endswith(SPARED) if d.ci95 is None else f" [{d.ci95[0]:+.4g}, {d.ci95[1]:+.4g}]"
    return f"{d.difference:+.4g}{bounds}"


def as_dicts(found: Comparison) -> list[dict[str, Any]]:
    """JSON types only: of every difference its fields, of what is missing those that it has, "missing" its verdict."""
    empty = dict.fromkeys(Difference.__dataclass_fields__)
    return [asdict(d) for d in found.differences] + [
        {**empty, "model": m.model, "metric": m.metric, "method": m.why, "verdict": "missing"} for m in found.missing
    ]


GATE = re.compile(r"(?P<metric>[^:]+):(?P<sign>[+-])(?P<amount>\d+(\.\d+)?(e[+-]?\d+)?)(?P<percent>%?)")


@dataclass(frozen=True)
class Gate:
    """A change that is forbidden: `fd:+2%` a rise of more than 2 %, `fd:-2` a fall of more than 2, in its unit."""

    text: str
    metric: str
    sign: int
    amount: float
    percent: bool

    @classmethod
    def read(cls, text: str) -> Gate:
        """
        Raises:
            GenbenchError: a gate that cannot be read.
        """
        found = GATE.fullmatch(text)
        if not found or not math.isfinite(float(found["amount"])):
            raise GenbenchError(
                f"gate '{text}' cannot be read", "Write METRIC:+AMOUNT or METRIC:-AMOUNT, with % or without."
            )
        return cls(
            text, found["metric"], 1 if found["sign"] == "+" else -1, float(found["amount"]), bool(found["percent"])
        )

    def forbids(self, d: Difference) -> bool:
        """Whether a difference is beyond the gate for certain, or is not there to be judged.

        Percent are of the size of the base value. A change is forbidden if its interval lies wholly on that side of 0,
        also by Holm's correction, or if it has no interval; so is a new value that is not finite. Of two bounds of one
        kind, and of an exact value and a bound that both certify, the numbers are judged; what is alike in neither way
        (an estimate and a bound) is not forbidden: `undecided` names it.
        """
        if d.new is None:
            return True
        if d.base is None or d.difference is None or not d.judged:
            return False
        limit = self.amount * (abs(d.base) / 100 if self.percent else 1)
        sure = d.ci95 is None or min(self.sign * bound for bound in d.ci95) > 0
        chance = d.p_holm is not None and d.p_holm >= LEVEL
        return self.sign * d.difference > limit and sure and not chance

    def undecided(self, differences: Iterable[Difference]) -> list[Difference]:
        """Those of its metric that it cannot judge, since the kinds of their values are not alike."""
        return [d for d in differences if matches(d.metric, self.metric) and not d.judged and d.new is not None]

    def forbids_better(self, differences: Iterable[Difference]) -> bool:
        """Whether it forbids that a metric becomes better, which is seldom meant."""
        better = {"lower": -1, "higher": 1}
        return any(better.get(d.direction) == self.sign for d in differences if matches(d.metric, self.metric))


def tripped(found: Comparison, gate: Gate) -> list[Difference | Missing]:
    """What trips a gate: the differences that it forbids, and the values that new lacks.

    Where nothing at all was compared of its metric, all that is missing trips it: a gate never passes unseen.

    Raises:
        GenbenchError: a metric that neither side has.
    """
    differences = [d for d in found.differences if matches(d.metric, gate.metric)]
    absent = [m for m in found.missing if matches(m.metric, gate.metric)]
    if not differences and not absent:
        raise unknown("metric of a gate", gate.metric, found.metrics)
    lost = [m for m in absent if m.lacking == "new" or not differences]
    return [*(d for d in differences if gate.forbids(d)), *lost]
