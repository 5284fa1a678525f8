"""The pipeline: checkpoint -> model -> samples, log-likelihoods -> features -> metrics -> records.

`plan.py` says which cells there are and gives each its identity. `evaluate` measures the cells that are missing, model
by model, and writes a record for each as soon as it is known. `measure_source` in `measuring.py` is all that stands
between a run and a model, `artifacts/` holds what the metrics of one model share, and `reporting.py` says what stands
in a record.
"""

from __future__ import annotations

import secrets
import sys
import time
import warnings
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from genbench.errors import Died
from genbench.files import content_key
from genbench.models.adapters import Source, public_path
from genbench.run.measuring import Bench, draw_rows, measure_source
from genbench.run.plan import Cell, Plan
from genbench.run.preflight import preflight, try_extractor, where_it_runs
from genbench.run.records import DEADLY, DONE, Record, Run
from genbench.run.reporting import lost
from genbench.run.share import Share
from genbench.text import one_line, slug

if TYPE_CHECKING:
    from genbench.run.elsewhere import Launch
    from genbench.run.isolation import Isolation

UNKNOWN = "code, parameters and buffers are, files that it reads and closures are not"


@dataclass
class Outcome:
    """How many cells a call measured, failed, skipped as not applicable, and found done."""

    measured: int = 0
    failed: int = 0
    skipped: int = 0
    kept: int = 0

    def count(self, record: Record) -> None:
        self.measured += record.status == "ok"
        self.skipped += record.status == "skipped"
        self.failed += record.status not in DONE


def missing(todo: Plan, run: Run, source: Source, rerun: str) -> list[Cell]:
    """The cells of a model to measure: `only-missing` (no record that may stand), `failed`, `always`, `never`."""

    def wanted(cell: Cell) -> bool:
        if rerun in ("always", "never"):
            return rerun == "always"
        record = run.get(cell.id)
        if record is None:
            return rerun == "only-missing"
        return record.status not in DONE or (rerun == "only-missing" and not todo.reusable(cell, record))

    return [cell for cell in todo.cells(source) if wanted(cell)]


def work_of(todo: Plan, run: Run, rerun: str) -> list[tuple[Source, list[Cell]]]:
    """What there is to measure of each model; a value that two rows show is measured once.

    What a process died of in an earlier call comes last, so that the rest is there before it dies again.
    """
    work, again, taken = [], [], set()
    for source in todo.sources:
        cells = [cell for cell in missing(todo, run, source, rerun) if cell.id not in taken]
        taken |= {cell.id for cell in cells}
        deadly = {cell.id for cell in cells if (record := run.get(cell.id)) and record.status in DEADLY}
        work.append((source, [cell for cell in cells if cell.id not in deadly]))
        again.append((source, [cell for cell in cells if cell.id in deadly]))
    return [(source, cells) for source, cells in [*work, *again] if cells]


def say_unpinned(todo: Plan) -> None:
    """Warns of what is measured anew in every call, and says how that can be helped."""
    unknown = {source.name: source.unknown for source in todo.sources if not source.pinned}
    for name, what in {**unknown, **dict.fromkeys(sorted(todo.unpinned), "")}.items():
        warnings.warn(
            f"{name}: what decides its values is not all known ({what or UNKNOWN}), so nothing measured of it is used "
            "again; a `version` attribute would be trusted",
            stacklevel=2,
        )


def evaluate(
    todo: Plan,
    run: Run,
    device: str = "auto",
    batch_size: int = 500,
    rerun: str = "only-missing",
    fail_fast: bool = False,
    command: str = "",
    pictures: bool = True,
    apart: Isolation | None = None,
    data_root: Path | None = None,
    launch: Launch | None = None,
) -> Outcome:
    """Measures the missing cells of every model and writes a record for each, at once when it is known.

    Arguments:
        pictures: of every model's samples, into the run's folder.
        apart: how each model has a process of its own; None measures in this one, where a model that dies takes all
            with it. A model that is in this process's memory alone stays here in any case.
        data_root: where the dataset was loaded from.
        launch: how models are measured on other machines; None measures on this one.

    Raises:
        GenbenchError: the run's folder cannot be written.
        KeyboardInterrupt: finished records and blocks are kept; the same call goes on from there.
    """
    outcome = Outcome()
    say_unpinned(todo)
    work = work_of(todo, run, rerun)
    total = sum(len(cells) for _, cells in work)
    outcome.kept = sum(len(todo.cells(source)) for source in todo.sources) - total
    known = run.rows().values()
    busy = {source.name for source, cells in work if cells}
    shown = [one for one in todo.sources if pictures and one.name not in busy and unseen(one, known, run)]
    if total == 0 and not shown:
        run.write_rows(rows_of(todo))
        return outcome
    run_id = f"{todo.dataset.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
    bench = Bench(run, run_id, {}, device, batch_size, rerun == "always", pictures)
    wanted = {cell.job.extractor for _, cells in work for cell in cells if cell.job.extractor}
    if total:
        run.check()
        run.sweep()
    with bench_for(todo, bench, apart, data_root, launch) as measuring:
        measuring.try_all([source for source in todo.sources if source.name in busy], sorted(wanted))
        if total:
            run.write_manifest(manifest(todo, run_id, bench.env, command))
        else:
            run.write_rows(rows_of(todo))
        with tqdm(total=total, unit="cell", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False) as bar:

            def found(record: Record) -> None:
                outcome.kept += 1
                bar.update()

            with Share(todo, run, work, run_id, rerun == "always", found) as share:
                follow(measuring.records(share), outcome, bench, bar, fail_fast)
        if total and not run.rows():  # somebody has removed it, with records too
            run.write_manifest(manifest(todo, run_id, bench.env, command))
        elif launch is not None:
            run.write_rows(rows_of(todo))  # on a file system without locks, tasks write what others overwrite
        measuring.draw(shown)
    return outcome


def bench_for(
    todo: Plan, bench: Bench, apart: Isolation | None, data_root: Path | None, launch: Launch | None
) -> Here | Apart:
    """Where models are measured."""
    if apart is None:
        return Here(todo, bench)
    if launch is None:
        return Apart(todo, bench, apart, data_root)
    from genbench.run.elsewhere import Elsewhere

    return Elsewhere(todo, bench, apart, data_root, launch)


def follow(
    records: Generator[tuple[Source, Record]], outcome: Outcome, bench: Bench, bar: tqdm, fail_fast: bool
) -> None:
    """Counts and shows records as they come; with `fail_fast` until one has failed."""

    def show(what: str, how_far: str) -> None:
        bar.set_description(what)
        bar.set_postfix_str(how_far)

    bench.show = show
    clock = time.monotonic()
    with closing(records):  # workers end before claims are let go
        for source, record in records:
            outcome.count(record)
            bar.update()
            if bar.disable:  # no terminal: a line for each number instead
                now = time.monotonic()
                print(
                    f"{record.status:8} {now - clock:7.1f} s  {one_line(source.name)}: {record.metric['name']}",
                    file=sys.stderr,
                )
                clock = now
            if record.status not in DONE and fail_fast:
                return


def unseen(source: Source, rows: Iterable[dict[str, Any]], run: Run) -> bool:
    """Whether the run has no picture of a row: none by its name, or one of another model that had the name."""
    planned = {row["model"]: row["planned"] for row in rows if row["name"] == source.name}
    drawn = any(path.stem == slug(source.shown) for path in run.pictures.glob("*"))
    return not drawn or planned.get(source.key) != max(planned.values(), default="")


class Here:
    """Models measured in this process, one after another."""

    def __init__(self, todo: Plan, bench: Bench) -> None:
        self.todo, self.bench = todo, bench

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def try_all(self, sources: list[Source], extractors: list[str]) -> None:
        """Finds the device, and opens everything before the long work: see `preflight`."""
        self.bench.device, self.bench.env = where_it_runs(self.bench.device)
        for source in sources:
            preflight(source, self.todo, self.bench.device)
        for name in extractors:
            try_extractor(name, self.todo, self.bench)

    def records(self, share: Share) -> Generator[tuple[Source, Record]]:
        """The records of all work, each put into the run as soon as it is known."""
        while portion := share.next(wait=True):
            source, cells = portion
            known = {cell.id: cell for cell in cells}
            for record in measure_source(self.todo, source, cells, self.bench):
                self.bench.run.put(record)
                share.free(known[record.cell_id])
                yield source, record

    def draw(self, sources: list[Source]) -> None:
        draw_rows(sources, self.todo, self.bench)


class Apart:
    """Models measured in processes of their own; those that no other process can be sent, in this one."""

    def __init__(self, todo: Plan, bench: Bench, apart: Isolation, data_root: Path | None) -> None:
        from genbench.run.isolation import movable
        from genbench.run.worker import Task

        self.todo, self.bench, self.apart = todo, bench, apart
        self.here = Here(todo, bench)
        plan, reload, self.stay = movable(todo)
        plain = {name: getattr(bench, name) for name in ("run_id", "batch_size", "fresh", "pictures")}
        task = Task(plan, bench.run.folder.resolve(), {**plain, "memory": apart.limits.memory}, data_root, reload)
        self.shared = task.pack()
        self.places = {source.name: number for number, source in enumerate(todo.sources)}

    def __enter__(self) -> Apart:
        return self

    def __exit__(self, *_: object) -> None:
        self.shared.close()

    def away(self, sources: Iterable[Source]) -> list[int]:
        """Of those that can be sent, their places in the plan."""
        return [self.places[source.name] for source in sources if source.name not in self.stay]

    @property
    def where(self) -> list[Any]:
        return [self.bench.device, self.bench.env]

    def try_all(self, sources: list[Source], extractors: list[str]) -> None:
        where = self.apart.try_all(self.shared, self.bench.device, self.away(sources), extractors)
        self.bench.device, self.bench.env = where
        for source in sources:
            if source.name in self.stay:
                preflight(source, self.todo, self.bench.device)

    def records(self, share: Share) -> Generator[tuple[Source, Record]]:
        """The records of all work; first of what can be sent."""
        stays = [portion for portion in share.waiting if portion[0].name in self.stay]
        share.waiting = deque(portion for portion in share.waiting if portion[0].name not in self.stay)

        def show(what: str, how_far: str) -> None:
            self.bench.show(what, how_far)

        def place(source: Source) -> int:
            return self.places[source.name]

        for cell, died in self.apart.measure(self.shared, self.where, share, place, show):
            record = None if died else self.bench.run.get(cell.id)
            if record is None:
                record = lost(self.todo, cell, self.bench, died or Died("crashed", "its record is gone", "record"))
                self.bench.run.put(record)
            share.free(cell)
            yield cell.source, record
        share.waiting.extend(stays)
        yield from self.here.records(share)

    def draw(self, sources: list[Source]) -> None:
        if numbers := self.away(sources):
            self.apart.draw(self.shared, self.where, numbers)
        self.here.draw([source for source in sources if source.name in self.stay])


def manifest(todo: Plan, run_id: str, env: dict[str, Any], command: str) -> dict[str, Any]:
    """What a run is: written before its first record."""
    return {
        "run_id": run_id,
        "command": command,
        "env": env,
        "dataset": {"name": todo.dataset.name, "sha256": todo.dataset.sha256, "licence": todo.dataset.licence},
        "protocol": asdict(todo.protocol),
        "extractors": {public_path(name): sha256 for name, sha256 in todo.extractors.items()},
        **({"references": {public_path(n): one.said for n, one in todo.references.items()}} if todo.references else {}),
        "rows": rows_of(todo),
    }


def rows_of(todo: Plan) -> dict[str, dict[str, Any]]:
    """The rows that a call plans, for the manifest: a name, the model it means, and the cells."""
    return {
        content_key([source.name, source.key]): {
            "name": source.name,
            "model": source.key,
            "planned": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "training_seed": source.training_seed,
            **({"training_command": source.training_command} if source.row and source.training_command else {}),
            **({"seeds": {k: seeds[k] for k in ("name", "members")}} if (seeds := todo.seeds(source)) else {}),
            "cells": {cell.id: cell.job.label(cell.output) for cell in todo.cells(source)},
        }
        for source in todo.sources
    }
