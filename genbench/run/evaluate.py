"""The pipeline: checkpoint -> model -> samples, log-likelihoods -> features -> metrics -> records.

`plan.py` says which cells there are and gives each its identity. `evaluate` measures the cells that are missing, model
by model, and writes a record for each as soon as it is known; `measure_source` is all that stands between a run and a
model, and nothing else touches one. `artifacts/` holds what the metrics of one model share. Whatever a model does,
the rest goes on.
"""

from __future__ import annotations

import re
import secrets
import sys
import time
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from genbench import catalog
from genbench.environment import environment, forget_peak, memory_status
from genbench.errors import Died, GenbenchError, Unavailable
from genbench.features import Extractor
from genbench.files import content_key
from genbench.importing import running
from genbench.metrics import Measure, check_outputs
from genbench.models.adapters import Source, public_path
from genbench.models.fixed import FixedSamples
from genbench.models.guard import drawn_globally, guarded
from genbench.privacy import LONGER, public_value, published
from genbench.run.artifacts import ARTIFACTS
from genbench.run.artifacts.declaration import SAMPLES
from genbench.run.artifacts.making import Artifacts, opened
from genbench.run.limits import amount
from genbench.run.noting import LONGEST, noting
from genbench.run.plan import Cell, Job, Plan
from genbench.run.records import DEADLY, DONE, READ, SHARED, Record, Run
from genbench.run.reference import Reference
from genbench.run.share import Share
from genbench.text import capped, one_line, said, short, slug

if TYPE_CHECKING:
    from genbench.run.elsewhere import Launch
    from genbench.run.isolation import Isolation

TRACEBACK = 20_000  # characters of a traceback in a record
MANY = 50  # warnings in a record
FEW = 8  # images that an extractor is shown before the long work
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


@dataclass
class Bench:
    """Where models are measured, and how: what `measure_source` knows besides the plan.

    Arguments:
        run: keeps arrays and pictures; records are the caller's to write.
        env: the environment, for every record.
        batch_size: images that an extractor holds in memory at once; changes no value.
        fresh: make every array anew, also those that the run has.
        pictures: of every model's samples, into the run's folder.
        shared: extractors and artifacts of the data, from one model to the next.
        show: is told which metric is being measured, and how far it is.
        start: is told the cells of a metric before it is measured.
        at: is told of every phase as it begins: an artifact, opening the model, a metric.
        dead: the phases in which an earlier process of the model died.
        memory: the limit in bytes that the process is held to, None for none.
    """

    run: Run
    run_id: str
    env: dict[str, Any]
    device: str = "cpu"
    batch_size: int = 500
    fresh: bool = False
    pictures: bool = True
    shared: dict[tuple[str, str | None], Any] = field(default_factory=dict)
    show: Callable[[str, str], None] = lambda what, how_far: None
    start: Callable[[list[Cell]], None] = lambda cells: None
    at: Callable[[str], None] = lambda phase: None
    dead: dict[str, Died] = field(default_factory=dict)
    memory: int | None = None


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


def draw_rows(sources: list[Source], todo: Plan, bench: Bench) -> None:
    """Pictures of models of which nothing had to be measured, of the samples that the run keeps."""
    from genbench.run.showing import show_all

    for source in sources:
        done = [cell.job for cell in todo.cells(source) if (r := bench.run.get(cell.id)) and r.status == "ok"]
        if any(ARTIFACTS[need].asks == SAMPLES for job in done for need in job.needs):
            artifacts = Artifacts(todo, source, bench.run, bench.device, bench.batch_size, False, bench.shared)
            with suppress(Unavailable):
                artifacts.get("samples", None)
                show_all(artifacts)


def measure_source(todo: Plan, source: Source, cells: list[Cell], bench: Bench) -> Iterator[Record]:
    """The records of these cells of one model, each as soon as it is known, whatever happens to the others."""
    if not cells:
        return
    artifacts = Artifacts(todo, source, bench.run, bench.device, bench.batch_size, bench.fresh, bench.shared)
    artifacts.at, artifacts.dead = bench.at, bench.dead
    for job in todo.jobs:
        wanted = [cell for cell in cells if cell.job is job]
        if wanted:
            what = f"{short(source.name)}: {job.label(job.metric)}"
            artifacts.tell = lambda how_far, what=what: bench.show(what, how_far)  # type: ignore[misc]
            bench.start(wanted)
            bench.show(what, "")
            yield from measure(artifacts, job, wanted, bench)
    if bench.pictures:
        from genbench.run.showing import show_all

        show_all(artifacts)


def help_source(todo: Plan, source: Source, cells: list[Cell], bench: Bench) -> None:
    """Makes blocks of what the metrics of these cells need, beside the process that measures the model: whatever goes
    wrong here, goes wrong there too, and is recorded there.
    """
    artifacts = Artifacts(todo, source, bench.run, bench.device, bench.batch_size, False, bench.shared)
    artifacts.dead, artifacts.helping = bench.dead, True
    for job in [job for job in todo.jobs if any(cell.job is job for cell in cells)]:
        for need in job.needs:
            if not ARTIFACTS[need].alone:
                with suppress(Exception), noting():
                    artifacts.get(need, job.extractor)


def preflight(source: Source, todo: Plan, device: str) -> None:
    """Opens a source once before the long work, so that a file that does not fit is an error of usage, not of a cell.

    What a model's own code raises is left to be recorded by its cells.
    """
    try:
        with guarded():
            model = source.open(todo.dataset, device)
    except GenbenchError:
        raise
    except Exception:
        return
    n = todo.protocol.n_samples
    if type(model) is FixedSamples and len(model.fixed) < n:
        raise GenbenchError(
            f"{source.what} has {len(model.fixed)} samples, the protocol takes {n}",
            f"Measure all models with fewer: --samples {len(model.fixed)}.",
        )


def try_extractor(name: str, todo: Plan, bench: Bench) -> None:
    """Shows an extractor some images before the long work: weights or a reference that do not fit are errors of usage,
    and so is a function that does not treat every image by itself.

    What a function in code raises by itself is left to be recorded by the cells that need it.
    """
    extractor = opened(name, todo, bench.device, bench.shared)
    try:
        with guarded():
            features, _ = extractor.seen(todo.dataset.train[:1])
            if ":" in name or catalog.find("extractors", name).origin != "genbench":
                extractor.check_each(todo.dataset.train[:FEW])
        if name in todo.references:
            todo.references[name].check(extractor, todo.extractors[name], features.shape[1])
    except GenbenchError:
        raise
    except Exception:
        return


def pick_device(device: str) -> str:
    """`auto` is the GPU where there is one."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise GenbenchError(f"no device '{device}' here: {str(error).splitlines()[0]}", "Use --device cpu.") from error
    return device


def where_it_runs(device: str) -> list[Any]:
    """The device that is meant, and the environment there."""
    found = pick_device(device)
    return [found, environment(found)]


def measure(artifacts: Artifacts, job: Job, cells: list[Cell], bench: Bench) -> list[Record]:
    """The records of one metric for one model, whatever happens to it."""
    started, artifacts.phases, artifacts.elsewhere = datetime.now(UTC), {}, False
    forget_peak()
    status, error, found, phase, extractor = "ok", None, {}, "model", None
    with noting() as texts:
        try:
            needs = {need: artifacts.get(need, job.extractor) for need in job.needs}
            phase = "metric"
            with (
                artifacts.timed("compute"),
                artifacts.within_phase(f"metric {job.label(job.metric)}"),
                guarded(),
                running(f"metric '{job.metric}'"),
                artifacts.watched(),
            ):
                given = computed(job, needs)
            check_outputs(job.entry.constants["OUTPUTS"], given)
            found = given
        except Unavailable as reason:
            status, error = "skipped", describe_error(reason, phase)
        except Died as reason:
            status, error = reason.status, describe_error(reason, reason.phase)
        except Exception as reason:
            status, error = "error", describe_error(reason, phase)
            if bench.memory is not None and out_of_memory(reason):
                status = "crashed"
                error["message"] = f"more memory than the limit of {amount(bench.memory)}: {error['message']}"
    env = {**bench.env, "arrays": "made elsewhere"} if artifacts.elsewhere else bench.env
    if artifacts.read:
        read = sorted({published(path, LONGEST) for path in artifacts.read})[:MANY]
        env = {**env, READ: read}
        texts.append(
            f"foreign code read {', '.join(read[:3])} as it ran, of which the identity of this number "
            "holds nothing: it is measured anew in every call"
        )
    frame = replace(
        framed(artifacts.plan, artifacts.source, job, bench),
        status=status,
        arrays=artifacts.arrays_of(job.needs, job.extractor),
        timing={
            "phases_s": {name: round(s, 6) for name, s in artifacts.phases.items()},
            "peak_memory_bytes": memory_status("VmHWM"),  # of the process, while this metric was measured
        },
        env=env,
        started=started.isoformat(timespec="milliseconds"),
        error=error,
        warnings=list(dict.fromkeys(published(text, LONGEST) for text in texts))[:MANY],
    )
    with suppress(Exception):  # it has been reported
        extractor = artifacts.extractor(job.extractor) if job.extractor else None
    reference = artifacts.plan.reference(job)
    return [fill(frame, cell, found.get(cell.output), extractor, reference, bench.run) for cell in cells]


def computed(job: Job, needs: dict[str, Any]) -> Any:
    """What a metric gives. One that is not ours gets copies of what others get after it.

    Warns where it gives something else when the global generators stand elsewhere: no seed decides them.
    """
    compute = catalog.load("metrics", job.metric).compute
    if job.entry.origin == "genbench":
        return compute(**needs, **job.params)

    def once() -> Any:
        return compute(**{name: lent(value) for name, value in needs.items()}, **job.params)

    before = drawn_globally()
    found = once()
    if drawn_globally() != before and repr(once()) != repr(found):
        warnings.warn(
            "the metric draws random numbers that no seed decides, and the value cannot be repeated: use "
            "np.random.default_rng(0)",
            stacklevel=2,
        )
    return found


def lent(value: Any) -> Any:
    """What foreign code is given in place of an artifact that others get after it: copies of its arrays."""
    if isinstance(value, np.ndarray):
        return value.copy() if value.flags.writeable else value
    if isinstance(value, dict):
        return {name: lent(one) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(map(lent, value))
    if hasattr(value, "to_arrays"):  # log-likelihoods
        return type(value).from_arrays(lent(value.to_arrays()))
    return value


def framed(todo: Plan, source: Source, job: Job, bench: Bench) -> Record:
    """What every record of one metric for one model says, before anything was measured."""
    dataset, limit, limited = todo.dataset, todo.protocol.limit, "limit" in job.fields
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Record(
        cell_id="",
        run_id=bench.run_id,
        status="error",
        model=source.describe(),
        dataset={
            "name": dataset.name,
            "split": "test",
            "sha256": dataset.sha256,
            "n": len(dataset.test[:limit]) if limited else None,  # of the test set only what the metric used
            "space": dataset.space.to_dict(),
            "per": dataset.value,
            **({"preprocessing": dataset.preprocessing} if dataset.preprocessing else {}),
        },
        metric={},
        protocol={},
        complete=not limited or limit is None or limit >= len(dataset.test),
        env=bench.env,
        started=now,
        ended=now,
    )


def lost(todo: Plan, cell: Cell, bench: Bench, died: Died) -> Record:
    """The record of a cell whose process died, or was stopped at a limit, before it was measured."""
    frame = framed(todo, cell.source, cell.job, bench)
    frame = replace(frame, status=died.status, error=describe_error(died, died.phase))
    return fill(frame, cell, None, None, todo.reference(cell.job), bench.run)


def fill(
    frame: Record,
    cell: Cell,
    measure: Measure | None,
    extractor: Extractor | None,
    reference: Reference | None,
    run: Run,
) -> Record:
    """The record of one cell; what its value shares with those of other models is put into the run."""
    output = cell.job.entry.constants["OUTPUTS"][cell.output]
    unit = output["unit"].replace("/dim", f"/{frame.dataset['per']}")
    record = replace(
        frame,
        cell_id=cell.id,
        metric={
            "name": cell.job.label(cell.output),
            "version": cell.identity["metric"]["version"],
            "direction": output["direction"],
            "unit": unit,
            "title": output["title"],
            "params": cell.job.params,
            "extractor": public_path(cell.job.extractor) if cell.job.extractor else None,
            "extractor_sha256": cell.identity["extractor"],
            "preprocessing": extractor.preprocessing if extractor else None,
            "weights_sha256": extractor.weights if extractor else None,
            **({} if reference is None else {"reference": reference.said}),
        },
        protocol=cell.identity["protocol"],
    )
    if measure is None:
        return record
    if measure.shared:
        key = content_key([cell.id, SHARED])
        run.put_arrays(key, {"values": np.array(measure.shared)})
        record = replace(record, arrays={**record.arrays, SHARED: key})
    values = {f: getattr(measure, f) for f in ("value", "kind", "stderr", "ci95", "ci_method", "n_nonfinite")}
    noted = [published(text, LONGEST) for text in measure.warnings]
    return replace(record, **values, details=public_value(measure.details), warnings=[*frame.warnings, *noted])


def describe_error(error: Exception, phase: str) -> dict[str, str]:
    message = f"{error.problem}. {error.remedy}" if isinstance(error, GenbenchError) else said(error)
    text = ""
    if isinstance(error, Died):
        text = error.traceback
    elif not isinstance(error, Unavailable):
        text = "".join(traceback.format_exception(error))
    # A record is published: of a file, its folder and name say enough.
    short = re.sub(r'File "[^"]*?([^/"]+/[^/"]+)"', r'File "\1"', capped(text, LONGER * TRACEBACK))
    return {
        "type": type(error).__name__,
        "message": published(message, LONGEST),
        "phase": phase,
        "traceback": published(short, TRACEBACK),
    }


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is short: Python's own, or that of an allocator of torch or NumPy."""
    told = isinstance(error, RuntimeError | OSError) and re.search("allocate memory|out of memory", said(error))
    return isinstance(error, MemoryError) or bool(told)


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
