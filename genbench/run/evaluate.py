"""The pipeline: checkpoint -> model -> samples, log-likelihoods -> features -> metrics -> records.

`plan.py` says which cells there are and gives each its identity. `evaluate` measures the cells that are missing, model
by model, and writes a record for each as soon as it is known; `measure_source` is all that stands between a run and a
model, and nothing else touches one. `artifacts.py` holds what the metrics of one model share. Whatever a model does,
the rest goes on.
"""

from __future__ import annotations

import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from tqdm import tqdm

from genbench import catalog
from genbench.environment import environment, forget_peak, memory_status
from genbench.errors import GenbenchError, Unavailable
from genbench.features import Extractor
from genbench.files import content_key
from genbench.importing import running
from genbench.metrics import Measure, check_outputs
from genbench.models.adapters import Source, public_path
from genbench.models.fixed import FixedSamples
from genbench.models.guard import guarded
from genbench.run.artifacts import ARTIFACTS, SAMPLES, Artifacts, noting, opened
from genbench.run.plan import Cell, Job, Plan
from genbench.run.records import DONE, SHARED, Record, Run
from genbench.run.reference import Reference
from genbench.text import one_line, short, slug


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
        self.failed += record.status == "error"


def missing(todo: Plan, run: Run, source: Source, rerun: str) -> list[Cell]:
    """The cells of a model to measure: `only-missing` (no record that may stand), `failed`, `always`, `never`."""

    def wanted(cell: Cell) -> bool:
        if rerun in ("always", "never"):
            return rerun == "always"
        record = run.get(cell.id)
        if record is None:
            return rerun == "only-missing"
        return record.status not in DONE or (rerun == "only-missing" and not todo.reusable(cell))

    return [cell for cell in todo.cells(source) if wanted(cell)]


def work_of(todo: Plan, run: Run, rerun: str) -> list[tuple[Source, list[Cell]]]:
    """What there is to measure of each model; a value that two rows show is measured once."""
    work, taken = [], set()
    for source in todo.sources:
        cells = [cell for cell in missing(todo, run, source, rerun) if cell.id not in taken]
        taken |= {cell.id for cell in cells}
        work.append((source, cells))
    return work


def say_unpinned(todo: Plan) -> None:
    """Warns of what is measured anew in every call, and says how that can be helped."""
    names = [source.name for source in todo.sources if not source.pinned]
    for name in [*names, *sorted(todo.unpinned)]:
        warnings.warn(
            f"{name}: what decides its values is not all known (code, parameters and buffers are, files that it reads "
            "and closures are not), so nothing measured of it is used again; a `version` attribute would be trusted",
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


def evaluate(
    todo: Plan,
    run: Run,
    device: str = "auto",
    batch_size: int = 500,
    rerun: str = "only-missing",
    fail_fast: bool = False,
    command: str = "",
    pictures: bool = True,
) -> Outcome:
    """Measures the missing cells of every model and writes a record for each, at once when it is known.

    Arguments:
        pictures: of every model's samples, into the run's folder.

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
    shown = [source for source, cells in work if pictures and not cells and unseen(source, known, run)]
    if total == 0:
        run.write_rows(rows_of(todo))
        if shown:
            draw_rows(shown, todo, Bench(run, "", {}, pick_device(device), batch_size))
        return outcome
    run.check()
    device = pick_device(device)
    env = environment(device)
    run_id = f"{todo.dataset.name}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    bench = Bench(run, run_id, env, device, batch_size, rerun == "always", pictures)
    for source, cells in work:
        if cells:
            preflight(source, todo, device)
    for name in {cell.job.extractor for _, cells in work for cell in cells if cell.job.extractor}:
        try_extractor(name, todo, bench)
    run.write_manifest(manifest(todo, run_id, env, command))
    with tqdm(total=total, unit="cell", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False) as bar:

        def show(what: str, how_far: str) -> None:
            bar.set_description(what)
            bar.set_postfix_str(how_far)

        bench.show = show
        clock = time.monotonic()
        for source, cells in work:
            for record in measure_source(todo, source, cells, bench):
                run.put(record)
                outcome.count(record)
                bar.update()
                if bar.disable:  # no terminal: a line for each number instead
                    now = time.monotonic()
                    print(
                        f"{record.status:8} {now - clock:7.1f} s  {one_line(source.name)}: {record.metric['name']}",
                        file=sys.stderr,
                    )
                    clock = now
                if record.status == "error" and fail_fast:
                    return outcome
    draw_rows(shown, todo, bench)
    return outcome


def unseen(source: Source, rows: Iterable[dict[str, Any]], run: Run) -> bool:
    """Whether the run has no picture of a row: none by its name, or one of another model that had the name."""
    planned = {row["model"]: row["planned"] for row in rows if row["name"] == source.name}
    drawn = any(path.stem == slug(source.shown) for path in run.pictures.glob("*"))
    return not drawn or planned.get(source.key) != max(planned.values(), default="")


def draw_rows(sources: list[Source], todo: Plan, bench: Bench) -> None:
    """Pictures of models of which nothing had to be measured, of the samples that the run keeps."""
    for source in sources:
        done = [cell.job for cell in todo.cells(source) if (r := bench.run.get(cell.id)) and r.status == "ok"]
        if any(ARTIFACTS[need].asks == SAMPLES for job in done for need in job.needs):
            artifacts = Artifacts(todo, source, bench.run, bench.device, bench.batch_size, False, bench.shared)
            with suppress(Unavailable):
                picture(artifacts)


def measure_source(todo: Plan, source: Source, cells: list[Cell], bench: Bench) -> Iterator[Record]:
    """The records of these cells of one model, each as soon as it is known, whatever happens to the others."""
    if not cells:
        return
    artifacts = Artifacts(todo, source, bench.run, bench.device, bench.batch_size, bench.fresh, bench.shared)
    for job in todo.jobs:
        wanted = [cell for cell in cells if cell.job is job]
        if wanted:
            what = f"{short(source.name)}: {job.label(job.metric)}"
            artifacts.tell = lambda how_far, what=what: bench.show(what, how_far)  # type: ignore[misc]
            bench.show(what, "")
            yield from measure(artifacts, job, wanted, bench)
    if bench.pictures and artifacts.has("samples"):
        picture(artifacts)
    elif bench.pictures and artifacts.has("translated") and not isinstance(artifacts.model, FixedSamples):
        picture(artifacts, translated=True)


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
    """Shows an extractor one image before the long work: weights or a reference that do not fit are errors of usage.

    What a function in code raises by itself is left to be recorded by the cells that need it.
    """
    extractor = opened(name, todo, bench.device, bench.shared)
    try:
        with guarded():
            features, _ = extractor.seen(todo.dataset.train[:1])
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


def picture(artifacts: Artifacts, translated: bool = False) -> None:
    """Pictures of the samples and of what they are compared with; failing to draw fails no number.

    Of several checkpoints that make one row the first is shown.

    Arguments:
        translated: what is drawn are translations of test examples, which stand above them.
    """
    from genbench.boards import pictures

    source, plan = artifacts.source, artifacts.plan
    if source.row and source.key != next(one.key for one in plan.sources if one.row == source.row):
        return
    x, name = artifacts.get("translated" if translated else "samples", None), source.shown
    try:
        if translated:
            pictures.draw_translations(artifacts.run, name, plan.dataset, artifacts.get("test", None), x)
        else:
            pictures.draw_all(artifacts.run, name, plan.dataset, x, plane_density(artifacts))
    except GenbenchError:
        raise
    except Exception as error:
        warnings.warn(f"no picture of {name}: {error}", stacklevel=2)


def plane_density(artifacts: Artifacts) -> Callable[[np.ndarray], np.ndarray] | None:
    """The log-density of a model of points in the plane, `[n, 2] -> [n]`; None of any other, or where it has none."""
    space, model = artifacts.plan.dataset.space, artifacts.model
    if space.shape != (2,) or space.levels is not None or not callable(getattr(model, "log_prob", None)):
        return None
    from genbench.likelihood.exact import exact

    def log_density(x: np.ndarray) -> np.ndarray:
        with guarded():
            return exact(model, x, artifacts.device).values

    return log_density


def measure(artifacts: Artifacts, job: Job, cells: list[Cell], bench: Bench) -> list[Record]:
    """The records of one metric for one model, whatever happens to it."""
    started, artifacts.phases, artifacts.elsewhere = datetime.now(UTC), {}, False
    forget_peak()
    status, error, found, phase = "ok", None, {}, "model"
    with noting() as texts:
        try:
            needs = {need: artifacts.get(need, job.extractor) for need in job.needs}
            phase = "metric"
            with artifacts.timed("compute"), guarded(), running(f"metric '{job.metric}'"):
                given = catalog.load("metrics", job.metric).compute(**needs, **job.params)
            check_outputs(job.entry.constants["OUTPUTS"], given)
            found = given
        except Unavailable as reason:
            status, error = "skipped", describe_error(reason, phase)
        except Exception as reason:
            status, error = "error", describe_error(reason, phase)
    noted = list(dict.fromkeys(texts))
    dataset, limit, limited = artifacts.plan.dataset, artifacts.plan.protocol.limit, "limit" in job.fields
    frame = Record(
        cell_id="",
        run_id=bench.run_id,
        status=status,
        model=artifacts.source.describe(),
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
        arrays=artifacts.arrays_of(job.needs, job.extractor),
        timing={
            "phases_s": {name: round(s, 6) for name, s in artifacts.phases.items()},
            "peak_memory_bytes": memory_status("VmHWM"),  # of the process, while this metric was measured
        },
        env={**bench.env, "arrays": "made elsewhere"} if artifacts.elsewhere else bench.env,
        started=started.isoformat(timespec="milliseconds"),
        ended=datetime.now(UTC).isoformat(timespec="milliseconds"),
        error=error,
        warnings=noted,
    )
    extractor = artifacts.extractor(job.extractor) if job.extractor else None
    reference = artifacts.plan.reference(job)
    return [fill(frame, cell, found.get(cell.output), extractor, reference, bench.run) for cell in cells]


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
    return replace(record, **values, details=measure.details, warnings=[*frame.warnings, *measure.warnings])


def describe_error(error: Exception, phase: str) -> dict[str, str]:
    message = f"{error.problem} {error.remedy}" if isinstance(error, GenbenchError) else str(error)
    lines = [] if isinstance(error, Unavailable) else traceback.format_exception(error)
    # A record is published: of a file, its folder and name say enough.
    short = re.sub(r'File "[^"]*?([^/"]+/[^/"]+)"', r'File "\1"', "".join(lines))
    return {"type": type(error).__name__, "message": message, "phase": phase, "traceback": short}


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
            **({"seeds": {k: seeds[k] for k in ("name", "members")}} if (seeds := todo.seeds(source)) else {}),
            "cells": {cell.id: cell.job.label(cell.output) for cell in todo.cells(source)},
        }
        for source in todo.sources
    }
