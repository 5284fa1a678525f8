"""One model, measured: all that stands between a run and a model, and nothing else touches one.

    model -> samples, log-likelihoods -> features -> metrics -> records

Whatever a model does, the rest goes on: what it raises is in the record of the cell that it raised it in.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from genbench import catalog
from genbench.environment import forget_peak, memory_status
from genbench.errors import Died, Unavailable
from genbench.importing import running
from genbench.metrics import NOT_ASKED, Measure, check_outputs
from genbench.models.adapters import Source
from genbench.models.compiled import unseen
from genbench.models.guard import drawn_globally, guarded
from genbench.privacy import published
from genbench.run.artifacts import ARTIFACTS
from genbench.run.artifacts.declaration import SAMPLES
from genbench.run.artifacts.making import Artifacts
from genbench.run.limits import amount
from genbench.run.noting import LONGEST, noting
from genbench.run.plan import Cell, Job, Plan, numbered
from genbench.run.records import READ, Record, Run, said_of
from genbench.run.reporting import MANY, describe_error, env_of, fill, framed
from genbench.text import said, short


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


def draw_rows(sources: list[Source], todo: Plan, bench: Bench) -> None:
    """Pictures of models of which nothing had to be measured, of the samples that the run keeps."""
    for source in sources:
        done = [cell.job for cell in todo.cells(source) if (r := bench.run.get(cell.id)) and r.status == "ok"]
        if any(ARTIFACTS[need].asks == SAMPLES for job in done for need in job.needs):
            from genbench.run.showing import show_all  # loads torch, which a runner of other processes does without

            artifacts = Artifacts(todo, source, bench.run, bench.device, bench.batch_size, False, bench.shared)
            with suppress(Unavailable):
                artifacts.get("samples", None)
                show_all(artifacts)


def measure(artifacts: Artifacts, job: Job, cells: list[Cell], bench: Bench) -> list[Record]:
    """The records of one metric for one model, whatever happens to it."""
    started, artifacts.phases, artifacts.elsewhere = datetime.now(UTC), {}, False
    forget_peak()
    status, error, phase, extractor = "ok", None, "model", None
    found: dict[str, Measure] = {}
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
            found = given if job.intervals else {name: valued(one) for name, one in given.items()}
        except Unavailable as reason:
            status, error = "skipped", describe_error(reason, phase)
        except Died as reason:
            status, error = reason.status, describe_error(reason, reason.phase)
        except Exception as reason:
            status, error = "error", describe_error(reason, phase)
            if bench.memory is not None and out_of_memory(reason):
                status = "crashed"
                error["message"] = f"more memory than the limit of {amount(bench.memory)}: {error['message']}"
    env = env_of(artifacts.source, bench)
    if artifacts.elsewhere:
        env = {**env, "arrays": "made elsewhere"}
    library = job.entry.reaches
    if foreign := artifacts.read | ({unseen(library)} if library else set()):
        read = sorted({published(path, LONGEST) for path in foreign})[:MANY]
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
    params = {**numbered(job.entry, job.params), **said_of(job.intervals)}
    if job.entry.origin == "genbench":
        return compute(**needs, **params)

    def once() -> Any:
        return compute(**{name: lent(value) for name, value in needs.items()}, **params)

    before = drawn_globally()
    found = once()
    if drawn_globally() != before and repr(once()) != repr(found):
        warnings.warn(
            "the metric draws random numbers that no seed decides, and the value cannot be repeated: use "
            "np.random.default_rng(0)",
            stacklevel=2,
        )
    return found


def valued(measure: Measure) -> Measure:
    """The value without an interval, whatever its metric made of not being asked for one."""
    return replace(measure, stderr=None, ci95=None, ci_method=NOT_ASKED, shared=())


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


def out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory is short: Python's own, or that of an allocator of torch or NumPy."""
    told = isinstance(error, RuntimeError | OSError) and re.search("allocate memory|out of memory", said(error))
    return isinstance(error, MemoryError) or bool(told)
