"""Which metric sees which fault? Every metric of samples is measured on real data with known faults planted in them.

    held-out data -> draws with a fault of growing strength -> records -> one verdict for each metric and fault

At each strength S draws with the fault meet R = 4 S draws of real data. A metric *sees* the fault if every
draw with it is worse than every draw without: one measurement is then enough to notice, whatever the metric's
unit or distribution. Were the fault nothing to the metric, the S + R draws would be exchangeable (given the
pool they come from), and the S would come last with probability 1 / C(S + R, S) at most: 1 in 53,130 for
S = 5, small enough for a table of many cells, and ties can only lessen it. The same rule in the other
direction says that a fault *looks better* than real data.

Where neither holds at any strength, the metric may still *lean*: Spearman's rank correlation of value and
strength over all draws differs from 0 (p < 0.05 by Holm's correction over the whole table), so the mean moves,
but by too little for one measurement. Without even that it is *blind*.

It is *monotone* if, of real data and all strengths in their order, no two are told apart by the first rule in
a direction opposite to two others: a curve may be flat from some strength on, but not turn back. A flat one
has C(k, 2) pairs of k strengths in which to turn by chance, with probability 2 / C(2 S, S) each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations
from pathlib import Path
from typing import Any

from scipy import stats
from tabulate import tabulate

from genbench import catalog
from genbench.boards.columns import ARROWS, by_place
from genbench.datasets import Dataset
from genbench.errors import GenbenchError, Unavailable, unknown
from genbench.models.adapters import Source
from genbench.models.adapters.memory import made
from genbench.numerics.multiple import holm
from genbench.run.artifacts import ARTIFACTS
from genbench.run.artifacts.declaration import MODEL, SAMPLES
from genbench.run.plan import Plan, plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Record, Run
from genbench.studies import faults
from genbench.text import markdown as escaped

REAL_PER_FAULT = 4  # draws of real data for each draw with a fault
MOST_SAMPLES = 1000
LEVEL = 0.05  # of a trend, over the whole table


@dataclass(frozen=True)
class Audit:
    """What will be measured.

    Arguments:
        todo: the sources are draws; each one's `args` name its fault, strength and seed.
        strengths: of every fault, in order; empty where it cannot be planted.
        seeds: S, draws at each strength.
        omitted: {what: why} of the strengths and metrics that were asked for and cannot be.
    """

    todo: Plan
    strengths: dict[str, list[float]]
    seeds: int
    n_pool: int
    omitted: dict[str, str]


def prepare(
    dataset: Dataset,
    suite: Suite,
    names: Iterable[str] | None = None,
    strengths: Iterable[float] | None = None,
    seeds: int = 5,
    n_samples: int | None = None,
    weights: dict[str, Path] | None = None,
) -> Audit:
    """The plan of an audit; nothing is measured.

    Arguments:
        suite: its metrics, with their parameters and extractor.
        names: of faults, None for all.
        strengths: of every fault, each in its unit, None for each fault's own.
        seeds: draws at each strength.
        n_samples: in each draw; by default a third of the pool, at most 1,000.
        weights: of extractors, as `plan` takes them.

    Raises:
        GenbenchError: an unknown fault or metric, one that asks the model, or too many samples for the pool.
    """
    held = faults.hold_out(dataset)
    chosen = {name: strengths_of(name, strengths) for name in (faults.FAULTS if names is None else names)}
    n = min(MOST_SAMPLES, len(held.pool) // 3) if n_samples is None else n_samples
    if seeds < 2:
        raise GenbenchError(f"{seeds} draws at each strength tell nothing of chance", "Give --seeds 2 or more.")
    if not 1 <= n <= len(held.pool) // 2:
        raise GenbenchError(
            f"draws of {n} from {len(held.pool)} held-out examples are too much alike to show their spread",
            f"Give --samples from 1 to {len(held.pool) // 2}.",
        )
    specs, unsuitable = suitable(suite.metrics, n)
    sources, kept, impossible = drawn(held, chosen, seeds, n)
    omitted = unsuitable | impossible
    suite = replace(suite, dataset=held.dataset.name, metrics=specs, protocol=Protocol(n_samples=n))
    todo = plan(suite, held.dataset, sources, weights)
    if not (todo.jobs and any(kept.values())):
        why = "; ".join(f"{what}: {reason}" for what, reason in omitted.items())
        raise GenbenchError(f"nothing to audit on '{dataset.name}'", f"Change metrics, faults or data. {why}")
    for job in todo.jobs:
        if asks_the_model(job.entry):
            raise GenbenchError(
                f"metric '{job.metric}' measures more of a model than its samples, which are all that an audit has",
                "Leave it out with --metrics.",
            )
    return Audit(todo, kept, seeds, len(held.pool), omitted)


def drawn(
    held: faults.HeldOut, chosen: dict[str, list[float]], seeds: int, n: int
) -> tuple[list[Source], dict[str, list[float]], dict[str, str]]:
    """Draws of real data and of every fault that can be planted; its strengths; and why the others cannot be."""
    sources = [source(held, "control", 0.0, seed, n) for seed in range(REAL_PER_FAULT * seeds)]
    kept: dict[str, list[float]] = {}
    impossible: dict[str, str] = {}
    for fault, wanted in chosen.items():
        reasons: dict[str, list[float]] = {}
        kept[fault] = []
        for s in wanted:
            try:
                sources += [source(held, fault, s, seed, n) for seed in range(seeds)]
                kept[fault].append(s)
            except Unavailable as reason:
                reasons.setdefault(str(reason), []).append(s)
        impossible |= {f"{fault} {listed(missed)}": reason for reason, missed in reasons.items()}
    return sources, kept, impossible


def source(held: faults.HeldOut, fault: str, strength: float, seed: int, n: int) -> Source:
    """One draw. Strength 0 of the control is real data."""
    family = fault if strength else "real"
    name = f"{fault} {strength:g} #{seed}" if strength else f"real #{seed}"
    args = {"fault": family, "strength": strength, "seed": seed}
    return made(name, family, partial(faults.plant, held, fault, strength, seed, n), args)


def strengths_of(fault: str, given: Iterable[float] | None) -> list[float]:
    """In growing order; 0 is real data, which every fault is compared with.

    Raises:
        GenbenchError: no such fault, or a strength below 0.
    """
    if fault not in faults.FAULTS:
        raise unknown("fault", fault, faults.FAULTS)
    found = sorted(set(faults.FAULTS[fault].strengths if given is None else given) - {0.0})
    if not found or not all(s > 0 and math.isfinite(s) for s in found):
        raise GenbenchError(f"strengths {found} of '{fault}'", "Give numbers above 0, as --strengths 0.1,0.2,0.5.")
    return found


def suitable(given: Iterable[str], n: int) -> tuple[tuple[str, ...], dict[str, str]]:
    """The metrics' names with `all` spelt out: those of samples that n are enough for; and why others are not."""
    specs, why = [], {}
    for spec in given:
        if spec != "all":
            specs.append(spec)
            continue
        for name, entry in catalog.entries("metrics").items():
            if asks_the_model(entry):
                continue
            if n < (least := entry.constants.get("MIN_SAMPLES", 1)):
                why[name] = f"needs at least {least} samples, a draw has {n}"
            else:
                specs.append(name)
    return tuple(specs), why


def asks_the_model(entry: catalog.Entry) -> bool:
    """Whether a metric needs anything but samples and data."""
    asked = {ARTIFACTS[need].asks for need in entry.constants["NEEDS"]}
    return MODEL in asked or SAMPLES not in asked


@dataclass(frozen=True)
class Finding:
    """How one metric answers to one fault.

    Arguments:
        metric: with its extractor.
        family: what the metric compares: `compared_with`.
        direction: "lower" or "higher" is better, or "none".
        real: the values of real data.
        values: {strength: values of the draws}, in growing order, where every draw has a value.
        silent: strengths at which a draw has none: the metric failed or was not finite.
        trend: p of Spearman's correlation, corrected for the other cells of the table.
    """

    metric: str
    family: str
    unit: str
    direction: str
    fault: str
    real: tuple[float, ...]
    values: dict[float, tuple[float, ...]]
    silent: tuple[float, ...] = ()
    trend: float = 1.0

    def told_apart(self, better: tuple[float, ...], worse: tuple[float, ...]) -> bool:
        """Whether every one of `worse` is worse than every one of `better`; without a direction, larger."""
        return max(worse) < min(better) if self.direction == "higher" else min(worse) > max(better)

    @cached_property
    def seen_from(self) -> float | None:
        """The least strength at which the fault is worse than real data."""
        return next((s for s, v in self.values.items() if self.told_apart(self.real, v)), None)

    @cached_property
    def better_from(self) -> float | None:
        """The least strength at which the fault looks better than real data."""
        return next((s for s, v in self.values.items() if self.told_apart(v, self.real)), None)

    @cached_property
    def monotone(self) -> bool:
        pairs = list(combinations([self.real, *self.values.values()], 2))
        return not (any(self.told_apart(a, b) for a, b in pairs) and any(self.told_apart(b, a) for a, b in pairs))

    @cached_property
    def correlation(self) -> tuple[float, float]:
        """Spearman's of strength and badness, and its p; 0 and 1 where one of the two is constant."""
        points = [(0.0, v) for v in self.real] + [(s, v) for s, draws in self.values.items() for v in draws]
        strengths, values = zip(*points, strict=True)
        if len(set(values)) == 1 or len(set(strengths)) == 1:
            return 0.0, 1.0
        sign = -1 if self.direction == "higher" else 1
        found = stats.spearmanr(strengths, values)
        return sign * float(found.statistic), float(found.pvalue)

    @property
    def verdict(self) -> str:
        """sees, looks better, sees and looks better, leans worse, leans better, blind; changes, leans, blind."""
        words = ["sees"] * (self.seen_from is not None) + ["looks better"] * (self.better_from is not None)
        leans = self.trend < LEVEL
        if self.direction == "none":
            return "changes" if words else "leans" if leans else "blind"
        if words:
            return " and ".join(words)
        return ("leans worse" if self.correlation[0] > 0 else "leans better") if leans else "blind"


def findings(audit: Audit, run: Run) -> tuple[list[Finding], dict[str, str]]:
    """What the run's records say, metric by metric; and of the metrics without a value on real data, why."""
    draws: dict[str, dict[tuple[str, float], list[Record | None]]] = {}
    for one in audit.todo.sources:
        where = (one.args["fault"], one.args["strength"])
        for cell in audit.todo.cells(one):
            label = cell.job.label(cell.output)
            draws.setdefault(label, {}).setdefault(where, []).append(run.get(cell.id))
    jobs = {job.label(output): (job, output) for job in audit.todo.jobs for output in job.outputs}
    found, missing = [], {}
    for label in sorted(draws, key=by_place()):
        real = numbers(draws[label]["real", 0.0])
        if real is None:
            missing[label] = why_none(draws[label]["real", 0.0])
            continue
        job, output = jobs[label]
        card = job.entry.constants["OUTPUTS"][output]
        metric = (label, compared_with(job.needs), card["unit"], card["direction"])
        for fault, strengths in audit.strengths.items():
            measured = {s: numbers(draws[label][fault, s]) for s in strengths}
            values = {s: v for s, v in measured.items() if v is not None}
            found.append(Finding(*metric, fault, real, values, tuple(s for s in strengths if s not in values)))
    adjusted = holm([f.correlation[1] for f in found])
    return [replace(f, trend=p) for f, p in zip(found, adjusted, strict=True)], missing


def numbers(records: list[Record | None]) -> tuple[float, ...] | None:
    """The values, None unless every draw has one."""
    values = [r.value for r in records if r is not None and r.status == "ok" and r.value is not None]
    return tuple(values) if len(values) == len(records) else None


def why_none(records: list[Record | None]) -> str:
    record = next(r for r in records if r is None or r.status != "ok" or r.value is None)
    if record is None:
        return "not measured yet"
    return record.error["message"] if record.error else "not finite on real data"


def compared_with(needs: tuple[str, ...]) -> str:
    """What a metric compares samples with: metrics that share it stand in one row of the picture."""
    if any(need in needs for need in ("modes", "train_labels", "test_labels")):
        return "samples, classes or modes"
    train, test = (any(need.startswith(kind) for need in needs) for kind in ("train", "test"))
    if train and test:
        return "samples, training and test data"
    return "samples, training data" if train else "samples, test data" if test else "samples alone"


def signs(f: Finding) -> str:
    """A verdict in a few signs: see the legend."""
    marks = ("±", "±") if f.direction == "none" else ("", "!")
    found = zip(marks, (f.seen_from, f.better_from), strict=True)
    text = " ".join(f"{mark}{s:g}" for mark, s in found if s is not None)
    leaning = {"leans worse": "~", "leans better": "!~", "leans": "±~"}
    turned = " ↺" if text and not f.monotone else ""
    return (text or leaning.get(f.verdict, "·")) + turned + " ?" * bool(f.silent)


def markdown(audit: Audit, found: list[Finding], missing: dict[str, str]) -> str:
    """The table, what its signs mean, and a sentence for every metric."""
    shown = [fault for fault, strengths in audit.strengths.items() if strengths]
    by_metric = {f.metric: [g for g in found if g.metric == f.metric and g.fault in shown] for f in found}
    rows = [[f"{name} {ARROWS[row[0].direction]}".strip(), *map(signs, row)] for name, row in by_metric.items()]
    parts = [
        tabulate(rows, ["metric", *shown], tablefmt="pipe", disable_numparse=True),
        *legend(audit, found),
        "\n".join(f"- **{fault}**: {meaning(fault, audit.strengths[fault])}" for fault in shown),
        "## What each metric can be trusted with",
        "\n".join(f"- **{name}**: {sentence(row)}" for name, row in by_metric.items()),
    ]
    left_out = {**audit.omitted, **missing}
    if left_out:
        parts += ["## Left out", "\n".join(f"- {escaped(what)}: {escaped(why)}" for what, why in left_out.items())]
    return "\n\n".join(parts) + "\n"


def legend(audit: Audit, found: list[Finding]) -> list[str]:
    s, r = audit.seeds, REAL_PER_FAULT * audit.seeds
    odds = math.comb(s + r, s)
    tests = sum(len(f.values) for f in found)
    data = audit.todo.dataset
    return [
        "A number is the least strength that the metric sees: every draw with the fault is worse than every draw of "
        "real data. `!`: from there on the fault looks *better* than real data. `~`: no single draw tells, but the "
        "mean moves with the strength (`!~` the wrong way). `·`: blind. `↺`: not monotone, it turns back. `±`: it "
        "moves, for a metric without a better side. `?`: at some strength the metric gives no number.",
        f"Data: {escaped(data.name)}. A draw is {audit.todo.protocol.n_samples} samples from a pool of {audit.n_pool} "
        f"real examples; {r} draws of real data, {s} with each fault at each strength. They are compared with "
        f"{len(data.train)} training and {len(data.test)} test examples, none of them in the pool. A metric that a "
        f"fault does not concern sees it by chance at one strength in {odds:,}, and as often finds it better: of the "
        f"{tests:,} strengths in this table, {2 * tests / odds:.2g}.",
    ]


def meaning(fault: str, strengths: list[float]) -> str:
    planted = faults.FAULTS[fault]
    return f"{planted.summary} s, {planted.unit}: {listed(strengths)}."


def listed(strengths: Iterable[float]) -> str:
    return ", ".join(f"{s:g}" for s in strengths)


PHRASES = {
    "sees": "trust for",
    "unsteady": "sees, but turns back on",
    "sees and looks better": "torn by",
    "changes": "moves with",
    "leans worse": "sees only on average",
    "leans": "moves only on average with",
    "looks better": "fooled by",
    "leans better": "fooled on average by",
    "blind": "blind to",
}


def sentence(row: list[Finding]) -> str:
    """What one metric can be trusted with, in words; the control is no fault."""
    said: dict[str, list[str]] = {verdict: [] for verdict in PHRASES}
    for f in row:
        if f.fault != "control" and f.values:
            since = next((f" from {s:g}" for s in (f.seen_from, f.better_from) if s is not None), "")
            said["unsteady" if f.verdict == "sees" and not f.monotone else f.verdict].append(f.fault + since)
    return "; ".join(f"{PHRASES[verdict]} {', '.join(names)}" for verdict, names in said.items() if names) + "."


def as_dict(audit: Audit, found: list[Finding], missing: dict[str, str]) -> dict[str, Any]:
    """JSON types only."""
    return {
        "dataset": {"name": audit.todo.dataset.name, "sha256": audit.todo.dataset.sha256},
        "n_samples": audit.todo.protocol.n_samples,
        "draws": {"real": REAL_PER_FAULT * audit.seeds, "fault": audit.seeds},
        "chance": 1 / math.comb((1 + REAL_PER_FAULT) * audit.seeds, audit.seeds),
        "findings": [
            {
                "metric": f.metric,
                "fault": f.fault,
                "strength_unit": faults.FAULTS[f.fault].unit,
                "unit": f.unit,
                "direction": f.direction,
                "verdict": f.verdict,
                "seen_from": f.seen_from,
                "better_from": f.better_from,
                "monotone": f.monotone,
                "spearman": f.correlation[0],
                "spearman_p_holm": f.trend,
                "real": f.real,
                "values": [{"strength": s, "values": v} for s, v in f.values.items()],
                "no_value_at": f.silent,
            }
            for f in found
        ],
        "left_out": {**audit.omitted, **missing},
    }
