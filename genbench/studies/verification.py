"""Verification: cells of a published board measured once more from their checkpoints, beside what the board says.

What has to agree follows from what a record promises. Measured by the same packages on the same processor with the same
number of threads, every value has the same bits. Elsewhere sums are rounded in another order, and then

- every value may differ by `ROUNDING` of its size or by `NEAR` of its 95 % half-width, whichever is more;
- a value that samples are drawn for, or proposals accepted, may differ by its 95 % half-width, since one rounding can
  turn one sample into another, and all that an autoregressive model draws after it. The verdict then says so: it is no
  more than that the two agree within what the value says of its own spread.

Kinds, units, better sides, counts of examples, flags, and which metrics apply, have to be the same everywhere, and what
is warned of now has to be warned of there. Clocks are never compared: they measure the machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from genbench import catalog
from genbench.boards.columns import matches
from genbench.boards.markdown import pipes
from genbench.datasets import Dataset
from genbench.environment import environment
from genbench.errors import GenbenchError
from genbench.files import content_key, sha256_file
from genbench.models.adapters import Source, parse
from genbench.run.measuring import Bench, measure_source
from genbench.run.plan import LABELS, Cell, Job, Plan, jobs, plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import DONE, Record, Run, in_rows
from genbench.text import markdown as shown
from genbench.text import one_line

ROUNDING = 1e-5  # of a value
NEAR = 0.01  # of a 95 % half-width
DECISIONS = {"n_samples", "temperatures"}  # what protocols say of metrics behind which samples are drawn or accepted
CLOCKS = ("timings", "training_timings", "training_memory")  # artifacts that measure the machine, or its torch
FAR = 1e300  # in place of a number that is not there
COMPARED = ("value", "stderr", "ci95")
SAME, ROUNDED, LOOSE, DIFFERENT = "same bits", "within rounding", "within its interval", "DIFFERS"
CLOCK, NO_SOURCE, NO_REFERENCE = "clock", "no checkpoint", "no reference"


@dataclass(frozen=True)
class Verdict:
    """What became of one cell.

    Arguments:
        said: the record of the board, under the name of its row.
        found: the record that was measured now, None where none was.
        verdict: SAME, ROUNDED, LOOSE or DIFFERENT; CLOCK, NO_SOURCE or NO_REFERENCE where nothing was measured.
        why: in words, where that is not plain.
        difference: of the values, found - said, None where one of them is not finite.
        allowed: how far value, standard error and ends of the interval may be apart by rounding alone; 0 where equal
            bits are promised.
    """

    said: Record
    found: Record | None
    verdict: str
    why: str = ""
    difference: float | None = None
    allowed: float | None = None

    @property
    def line(self) -> str:
        """In a line."""
        return one_line(f"{self.said.model['name']}, {self.said.metric['name']}: {self.verdict} {self.why}").strip()


def comparable(run: Run) -> tuple[list[Record], list[Record]]:
    """The finished records of a run under the names of their rows, each once: those to compare, and those of clocks."""
    records = {r.cell_id: r for r in in_rows([run]) if r.status in DONE}.values()
    clocks = {name for name in {r.metric["name"] for r in records} if {*job_of(name).needs} & {*CLOCKS}}
    ordered = sorted(records, key=lambda r: (r.dataset["name"], r.model["name"], r.metric["name"], r.cell_id))
    return [r for r in ordered if r.metric["name"] not in clocks], [r for r in ordered if r.metric["name"] in clocks]


def chosen(records: list[Record], metrics: list[str], models: list[str]) -> list[Record]:
    """The records of some metrics (`fd` is that of every extractor) and of some rows; of all where none is named."""
    return [
        r
        for r in records
        if (not metrics or any(matches(r.metric["name"], name) for name in metrics))
        and (not models or r.model["name"] in models)
    ]


def drawn(records: list[Record], share: float | int, seed: int) -> list[Record]:
    """A share of the records (a float) or so many, in their order, drawn by content keys of seed and cell.

    Without a generator, so that it is the same draw for every version of NumPy.
    """
    n = math.ceil(share * len(records)) if isinstance(share, float) else share
    first = {r.cell_id for r in sorted(records, key=lambda r: content_key([seed, r.cell_id]))[:n]}
    return [r for r in records if r.cell_id in first]


def job_of(name: str) -> Job:
    """The metric behind a name in records, `fd[digits-cnn]`.

    Raises:
        GenbenchError: this genbench has no such metric or extractor.
    """
    (job,) = jobs([name], "pixels", {})
    return job


def checkpoints(paths: Iterable[Path]) -> dict[str, Path]:
    """The checkpoints at these paths, and those that ship, by sha256."""
    shipped = sorted((catalog.BASELINES / "checkpoints").glob("*/*.safetensors"))
    return {sha256_file(path): path for path in (*shipped, *paths)}


def verify(
    records: list[Record],
    run: Run,
    dataset: Dataset,
    known: dict[str, Path],
    device: str = "cpu",
    batch_size: int = 500,
) -> Iterator[Verdict]:
    """Measures the cells of these records, all of one dataset, again, each verdict as soon as it is known.

    Arguments:
        run: keeps what is measured, and the arrays that cells share; what an earlier call on the same machine has put
            there is used.
        known: the checkpoints by sha256.

    Raises:
        GenbenchError: the data are others, or a metric or an extractor is not there.
    """
    for record in records:
        if record.dataset["sha256"] != dataset.sha256:
            raise GenbenchError(
                f"the board was measured on data with sha256 {record.dataset['sha256'][:16]}, "
                f"'{dataset.name}' has {dataset.sha256[:16]}",
                "Use the same data, with --data-root.",
            )
    env = environment(device)
    bench = Bench(run, "verification", env, device, batch_size, pictures=False)
    for record in records:
        if said := record.metric.get("reference"):
            yield Verdict(record, None, NO_REFERENCE, f"{said['file']} of sha256 {said['sha256'][:16]} is needed")
    for group in groups([record for record in records if not record.metric.get("reference")]):
        sources = {id(record): source_of(record, known, dataset) for record in group}
        found = {source.key: source for source in sources.values() if source is not None}
        todo = plan_of(group, dataset, list(found.values()))
        wanted: dict[str, dict[str, tuple[Record, Cell]]] = {key: {} for key in found}
        for record in group:
            source = sources[id(record)]
            if source is None:
                yield Verdict(record, None, NO_SOURCE, f"of sha256 {record.model['sha256'][:16]}")
            else:
                cell = next(c for c in todo.cells(source) if c.job.label(c.output) == record.metric["name"])
                wanted[source.key][cell.id] = (record, cell)
        for key, cells in wanted.items():
            before = {id: now for id in cells if (now := run.get(id)) is not None and now.env == env}
            for now in before.values():
                yield judge(cells[now.cell_id][0], now, env)
            for now in measure_source(todo, found[key], [c for id, (_, c) in cells.items() if id not in before], bench):
                run.put(now)
                yield judge(cells[now.cell_id][0], now, env)


def groups(records: Iterable[Record]) -> list[list[Record]]:
    """Records that one plan can measure: a record's protocol holds only what its metric depends on."""
    found: list[tuple[dict[str, Any], list[Record]]] = []
    for record in records:
        mine = {**record.protocol, f"params of {record.metric['name']}": record.metric["params"]}
        if job_of(record.metric["name"]).entry.spares:
            mine["intervals"] = not record.alone
        for said, group in found:
            if all(said.get(name, value) == value for name, value in mine.items()):
                said.update(mine)
                group.append(record)
                break
        else:
            found.append((mine, [record]))
    return [group for _, group in found]


def plan_of(group: list[Record], dataset: Dataset, sources: list[Source]) -> Plan:
    """The plan whose cells are those of the records."""
    protocol = {name: value for record in group for name, value in record.protocol.items() if name != LABELS}
    names = tuple(dict.fromkeys(record.metric["name"] for record in group))
    params = {}
    for record in group:
        params[job_of(record.metric["name"]).metric] = {
            k: math.inf if v == "inf" else v for k, v in record.metric["params"].items()
        }
    suite = Suite(dataset.name, names, protocol=Protocol(**protocol), params=params)
    return plan(suite, dataset, sources, intervals=not any(record.alone for record in group))


def source_of(record: Record, known: dict[str, Path], dataset: Dataset) -> Source | None:
    """What a record was measured of: real data, or a checkpoint that is known; None for anything else."""
    if LABELS in record.protocol:  # of which a record holds the hash alone
        return None
    if record.model.get("adapter") == "data":
        return parse(f"{record.model['name']}={record.model['source']}", dataset)
    path = known.get(record.model.get("sha256", ""))
    if record.model.get("adapter") != "checkpoint" or path is None:
        return None
    return replace(parse(str(path), dataset), name=record.model["name"], args=record.model.get("args", {}))


def judge(said: Record, now: Record, env: dict[str, Any]) -> Verdict:
    """Whether what was measured now is what the record promises of itself.

    Arguments:
        env: what `now` was measured on.
    """
    now = Record.from_json(now.to_json())
    changed = "" if now.cell_id == said.cell_id else "code or data have another identity than the record's"
    gap = None if now.value is None or said.value is None else now.value - said.value
    promised = promises_bits(said, now, env)
    allowed = 0.0 if promised else rounding(said)
    before, after = stated(said), stated(now)
    for name in before:
        if before[name] != after[name]:
            why = f"{name} is {after[name]}, was {before[name]}"
            if now.status == "error" and now.error:
                why += f": {now.error['message']}"
            return Verdict(said, now, DIFFERENT, why)
    if now.warnings and not said.warnings:
        return Verdict(said, now, DIFFERENT, f"it is warned: {now.warnings[0]}")
    if all(plain(getattr(now, name)) == plain(getattr(said, name)) for name in COMPARED):
        return Verdict(said, now, SAME, changed, gap, allowed)
    if promised:
        return Verdict(said, now, DIFFERENT, changed or "equal bits are promised", gap, allowed)
    apart = max(abs(b - a) for a, b in zip(numbers(said), numbers(now), strict=True))
    verdict = ROUNDED if apart <= allowed else DIFFERENT
    if verdict == DIFFERENT and DECISIONS & {*said.protocol} and apart <= (said.half_width or 0.0):
        verdict = LOOSE
    if verdict != ROUNDED and gap is not None and abs(gap) <= allowed:
        changed = "; ".join(filter(None, [changed, f"the value agrees, its interval moves by {apart:.2g}"]))
    return Verdict(said, now, verdict, changed, gap, allowed)


def stated(record: Record) -> dict[str, Any]:
    """What a record says besides its numbers, and no rounding changes."""
    return {
        "status": record.status,
        "kind": record.kind,
        "n_nonfinite": record.n_nonfinite,
        "unit": record.metric["unit"],
        "better side": record.metric["direction"],
        "number of test examples": record.dataset["n"],
        "complete": record.complete,
        "flagged": bool(record.details.get("flagged")),
    }


def numbers(record: Record) -> list[float]:
    """Value, standard error and the ends of the interval; what is not there is as far as can be from what is."""
    found = [record.value, record.stderr, *(record.ci95 or (None, None))]
    return [FAR if x is None else x for x in found]


def plain(value: Any) -> Any:
    """An interval as JSON has it: a list."""
    return list(value) if isinstance(value, tuple) else value


def promises_bits(said: Record, now: Record, env: dict[str, Any]) -> bool:
    """Whether a record promises the same bits here. What it does not say of where it was measured is not the same.

    Features depend on no number of threads, but the matrices behind a Fréchet distance do, be it of real data. Where
    one of the two rests on arrays that an earlier call made in other surroundings, nothing is promised.
    """
    names = ("device", "platform", "python", "packages", "instructions", "threads")
    alike = all(name in said.env and said.env[name] == env.get(name) for name in names)
    return alike and "arrays" not in said.env and "arrays" not in now.env


def rounding(said: Record) -> float:
    """How far a value may be from the record's where sums are rounded in another order."""
    return max(ROUNDING * abs(said.value), NEAR * (said.half_width or 0.0)) if said.value is not None else 0.0


def table(found: Iterable[Verdict]) -> str:
    """Markdown: a row for every cell, what must be read first on top; then what is not compared, in a line."""
    order = [DIFFERENT, LOOSE, ROUNDED, SAME, NO_SOURCE, NO_REFERENCE]
    rows = [
        [
            shown(v.said.model["name"]), shown(v.said.metric["name"]),
            shown(f"{v.verdict}: {v.why}" if v.why else v.verdict),
            value(v.said), value(v.found) if v.found else "",
            "" if v.difference is None else f"{v.difference:+.2g}", "" if v.allowed is None else f"{v.allowed:.2g}",
        ]
        for word in order for v in found if v.verdict == word
    ]  # fmt: skip
    headers = ["model", "metric", "verdict", "board", "now", "difference", "allowed"]
    parts = [pipes(rows, headers, 3)] if rows else []
    clocks = sorted({v.said.metric["name"] for v in found if v.verdict == CLOCK})
    if clocks:
        n = sum(v.verdict == CLOCK for v in found)
        parts.append(f"Not compared, since it measures the machine: {', '.join(clocks)} ({n} cells).")
    return "\n\n".join(parts) + "\n" * bool(parts)


def value(record: Record) -> str:
    """A value in full, or why there is none."""
    if record.status != "ok":
        return "n/a" if record.status == "skipped" else record.status
    return "not finite" if record.value is None else f"{record.value:.8g}"
