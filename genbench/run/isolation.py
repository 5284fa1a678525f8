"""A process for each model: what a model does to its process, or the process to it, touches no other.

    task -> worker -> records on disk

A worker is a plain process, forked from a server that has torch loaded and has never run anything, so that it costs
less than a tenth of a second; it leads a process group of its own, which ends with it: SIGTERM, a second, SIGKILL.
Where it dies, or is stopped at a limit, that is the record of the metric which it was at; another worker goes on with
the next, and what killed the first is not tried a second time. No pool: one whose worker is killed loses what the
others had to do.

`process.py` is one such process, `worker.py` its inside.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any

from genbench import catalog
from genbench.datasets import bare
from genbench.errors import Died, GenbenchError
from genbench.run.limits import Limits, amount
from genbench.run.plan import Cell, Job, Plan
from genbench.run.process import Worker, no_main, uninterrupted

if TYPE_CHECKING:
    from genbench.models.adapters import Source
    from genbench.run.share import Share
    from genbench.run.worker import Shared

LOOK = 0.2  # seconds between two looks at the memory of a worker
ALWAYS = 1.0  # seconds between two looks at whether a worker lives
LATER = 0.5  # seconds between two looks at whether a worker without a model can help
HERE = ("object", "memory")  # adapters of what is in this process's memory and nowhere else
TRAINED = {"training_timings", "training_memory"}  # artifacts that take steps of an optimiser
OPTIMISERS = ["torch._dynamo"]  # what the first optimiser of a process loads, in a second
PRELOADED = [  # what nearly every model needs, loaded once
    "torch",
    "genbench.run.worker",
    "genbench.run.showing",
    "genbench.boards.pictures",
    "genbench.likelihood",
    "genbench.likelihood.completion",
    "genbench.models.adapters.checkpoint",
    "genbench.models.completing",
    "genbench.models.timing",
    "genbench.models.training",
    "safetensors.torch",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    *(f"PIL.{kind}ImagePlugin" for kind in ("Bmp", "Gif", "Jpeg", "Png", "Ppm")),  # all, before it writes one
    "encodings.cp437",  # of archives
]
LAST = ["genbench.run.forked"]


@dataclass
class Measuring:
    """One model on its way through one worker after another.

    Arguments:
        begin, assist: start a worker for cells, and one that helps it, given what earlier ones died of.
        left: its cells that have no record yet.
        dead: the phases in which a worker died.
        clock: when the first worker was started.
        cell, phase: what the worker is at, since when.
    """

    begin: Callable[[list[Cell], dict[str, Died]], Worker]
    assist: Callable[[list[Cell], dict[str, Died]], Worker]
    left: list[Cell]
    clock: float
    worker: Worker = field(init=False)
    dead: dict[str, Died] = field(default_factory=dict)
    cell: str | None = None
    phase: str = "start"
    since: float = 0.0
    done: bool = False
    raised: str = ""
    helpers: list[Worker] = field(default_factory=list)  # which make blocks of it too
    helped: bool = False  # whether one has come to its end: there is nothing to help with

    def __post_init__(self) -> None:
        self.again()

    def again(self) -> None:
        """Another worker, for what is left."""
        self.cell, self.phase, self.raised, self.since = None, "start", "", time.monotonic()
        self.worker = self.begin(self.left, self.dead)

    @property
    def workers(self) -> list[Worker]:
        return [self.worker, *self.helpers]

    def look_after(self, memory: int | None) -> None:
        """Hears its helpers, whose deaths are nobody's: what they were at is made by the others, who may die of it."""
        for helper in list(self.helpers):
            with contextlib.suppress(GenbenchError):
                for _ in helper.lines():
                    pass
            if helper.ended or (memory is not None and helper.takes() > memory):
                self.helped = True
                helper.close()
                self.helpers.remove(helper)

    def dismiss(self) -> None:
        """Ends a helper, with the block that it is at."""
        if self.helpers:
            self.helpers.pop().close()

    def close(self) -> None:
        """Ends its worker, with those that help it."""
        for worker in self.workers:
            worker.close()
        self.helpers.clear()

    def current(self) -> list[Cell]:
        """The cells of the metric that the worker is at; all, where it has not come so far."""
        job = next((cell.job for cell in self.left if cell.id == self.cell), None)
        return [cell for cell in self.left if cell.job is job] if job else list(self.left)


@dataclass
class Isolation:
    """How models are kept apart.

    Arguments:
        workers: how many processes measure at once: models, and where there are fewer, blocks of one model.
        method: "forkserver", or "spawn" where a server cannot be forked from: seconds for each model, which loads
            torch anew.
        help_after: seconds that a model is at one metric before a worker without a model helps with its blocks.
        loads: modules that the server loads besides: see `used_by`.
    """

    limits: Limits = field(default_factory=Limits)
    workers: int = 1
    method: str = "forkserver"
    help_after: float = 2.0
    loads: Sequence[str] = ()

    def prepare(self) -> None:
        """Has the server load torch while the runner does something else."""
        if self.method == "forkserver":
            from multiprocessing import forkserver

            multiprocessing.set_forkserver_preload([*PRELOADED, *self.loads, *LAST])
            with no_main(), uninterrupted():
                forkserver.ensure_running()

    def start(self, run: Callable[..., None], *args: Any) -> Worker:
        self.prepare()
        return Worker(self.method, self.limits.memory, run, args)

    def ask(self, function: Callable[..., Any], *args: Any) -> Any:
        """What a function gives that may run foreign code; it and its arguments can be pickled, what it gives is plain.

        Raises:
            GenbenchError: the function does.
            Died: its process.
        """
        from genbench.run.worker import answer

        for line in self.heard(self.start(answer, function, args)):
            if line[0] == "answer":
                return line[1]
        raise AssertionError("a worker that ends well has answered")

    def heard(self, worker: Worker) -> Iterator[list[Any]]:
        """What a worker says until its end.

        Raises:
            GenbenchError: it has found something that the user can fix.
            Died: it did.
        """
        end = time.monotonic() + (self.limits.model or float("inf"))
        raised, whole = "", False
        try:
            while True:
                now = time.monotonic()
                wait(worker.watched, min(max(0.0, end - now), ALWAYS))
                ended = worker.ended
                for line in worker.lines():
                    whole = whole or line[0] == "end"
                    raised = line[1] if line[0] == "raised" else raised
                    yield line
                if whole:
                    return
                if ended:
                    raise Died("crashed", raised or worker.death(), "start", worker.dump.text())
                if now > end:
                    worker.stop()
                    raise Died("timeout", f"stopped after {self.limits.model:g} s", "start", worker.dump.text())
        finally:
            worker.close()

    # --- Trying before the long work

    def try_all(self, shared: Shared, device: str, numbers: Sequence[int], extractors: Sequence[str]) -> list[Any]:
        """What `where_it_runs` says; opens sources and extractors of a packed task, so that what does not fit is an
        error of usage. A death is left to the cells.

        Raises:
            GenbenchError: a file does not fit, or there is no such device.
            Died: before anything was tried.
        """
        from genbench.run import worker

        names, rest, where = list(extractors), list(numbers), list[Any]()
        while True:
            tried = 0
            try:
                for line in self.heard(self.start(worker.try_all, shared, device, rest, names)):
                    tried += line[0] == "next"
                    where = line[1:] if line[0] == "where" else where
                return where
            except Died:
                if not tried:
                    raise
                names, rest = names[tried:], rest[max(0, tried - len(names)) :]

    # --- Measuring

    def measure(
        self,
        shared: Shared,
        where: list[Any],
        share: Share,
        place: Callable[[Source], int],
        show: Callable[[str, str], None],
    ) -> Iterator[tuple[Cell, Died | None]]:
        """The cells of the models of a packed task as they are finished: their records are in the run. Those whose
        worker died come with how it died: their records are for the caller to write.

        Arguments:
            where: what `where_it_runs` says.
            share: hands out models and cells, all of which can be sent.
            place: of a source in the plan.

        Raises:
            GenbenchError: a record cannot be written.
        """
        from genbench.run.worker import help_cells, measure_cells

        running: list[Measuring] = []
        try:
            while running or not share.over:
                while len(running) < self.workers and (portion := share.next(wait=not running)):
                    for one in running:
                        if self.free(running) <= 0:
                            one.dismiss()  # a model comes before the blocks of another
                    source, cells = portion
                    begin = partial(self.begin, measure_cells, shared, where, place(source))
                    assist = partial(self.begin, help_cells, shared, where, place(source))
                    running.append(Measuring(begin, assist, list(cells), time.monotonic()))
                if not running:  # others have done the rest
                    break
                if not share.always:
                    self.help(running)
                patience = self.patience(running)
                if self.free(running) > 0:  # somebody may need help, or somebody else's work become ours
                    patience = min(LATER, patience)
                wait([ready for one in running for worker in one.workers for ready in worker.watched], patience)
                for one in list(running):
                    one.look_after(self.limits.memory)
                    ended = one.worker.ended  # before its last lines are read
                    try:
                        yield from self.listen(one, show)
                    except GenbenchError as error:
                        share.run.check()  # does the folder fail everybody, or this worker alone?
                        one.raised = error.problem
                    died = self.judged(one, ended)
                    if died is None and not ended:
                        continue
                    if died is not None:
                        yield from self.bury(one, died)
                    one.close()
                    if one.left and died is not None:
                        one.again()
                    else:
                        running.remove(one)
        finally:
            for one in running:
                one.close()

    def free(self, running: list[Measuring]) -> int:
        """How many workers have nothing to do."""
        return self.workers - sum(len(one.workers) for one in running)

    def help(self, running: list[Measuring]) -> None:
        """Has workers without a model make blocks of those that are slow, each of the one with the fewest helpers."""
        now = time.monotonic()
        while self.free(running) > 0:
            slow = [one for one in running if not one.helped and one.left and now - one.since >= self.help_after]
            if not slow:
                return
            one = min(slow, key=lambda one: len(one.helpers))
            one.helpers.append(one.assist(one.left, one.dead))

    def draw(self, shared: Shared, where: list[Any], numbers: Sequence[int]) -> None:
        """Pictures of models of which nothing had to be measured; a death costs the picture."""
        from genbench.run import worker

        try:
            for _ in self.heard(self.start(worker.draw_pictures, shared, where, list(numbers))):
                pass
        except Died as died:
            warnings.warn(f"no picture: {died.message}", stacklevel=2)

    def begin(
        self, run: Callable[..., None], shared: Shared, where: list[Any], number: int, cells: list[Cell],
        dead: dict[str, Died],
    ) -> Worker:  # fmt: skip
        told = [(died.status, died.message, phase, died.traceback) for phase, died in dead.items()]
        return self.start(run, shared, where, number, [cell.id for cell in cells], told)

    def patience(self, running: list[Measuring]) -> float:
        """Seconds until somebody has to be looked at: also where nothing is heard of the end of a worker, since a
        process that it has left behind holds its files.
        """
        if self.limits.memory is not None:
            return LOOK
        ends = [end - time.monotonic() for one in running for end, _ in self.ends(one)]
        return max(0.0, min([ALWAYS, *ends])) + 0.01

    def ends(self, one: Measuring) -> Iterator[tuple[float, str]]:
        """When a model has to be stopped, and what that limit is called."""
        if self.limits.model is not None:
            yield one.clock + self.limits.model, f"{self.limits.model:g} s, the limit for one model"
        if self.limits.metric is not None and one.cell is not None:
            yield one.since + self.limits.metric, f"{self.limits.metric:g} s, the limit for one metric"

    def listen(self, one: Measuring, show: Callable[[str, str], None]) -> Iterator[tuple[Cell, None]]:
        for line in one.worker.lines():
            match line:
                case ["start", str(cell)]:
                    one.cell, one.phase, one.since = cell, "", time.monotonic()
                case ["at", str(phase)]:
                    one.phase = phase
                case ["show", str(what), str(how_far)]:
                    show(what, how_far)
                case ["raised", str(why)]:
                    one.raised = why
                case ["end"]:
                    one.done = True
                case ["done", str(name)]:
                    for found in [cell for cell in one.left if cell.id == name]:
                        one.left.remove(found)
                        yield found, None

    def judged(self, one: Measuring, ended: bool) -> Died | None:
        """How its worker died, or why it was stopped just now; None while nothing is wrong."""
        at = f", at {one.phase}" if one.phase else ""
        status, why = "crashed", ""
        if ended:
            if one.done and not one.left:
                return None
            why = f"the process ended: {one.raised}" if one.raised else one.worker.death()
            if not one.left:
                warnings.warn(f"{why}, when all of its model was measured", stacklevel=2)
                return None
        else:
            now = time.monotonic()
            for end, limit in self.ends(one):
                if now > end and one.left:
                    status, why = "timeout", f"stopped after {limit}"
            if not why and self.limits.memory is not None and one.worker.takes() > self.limits.memory:
                why = f"stopped: more memory than the limit of {amount(self.limits.memory)}"
            if not why:
                return None
            one.worker.stop()
        return Died(status, why + at, one.phase or "metric", one.worker.dump.text())

    def bury(self, one: Measuring, died: Died) -> Iterator[tuple[Cell, Died]]:
        """The cells that are lost with a worker; what killed it is not tried again."""
        one.dead[died.phase] = died
        over = self.limits.model is not None and time.monotonic() > one.clock + self.limits.model
        for cell in list(one.left) if over else one.current():
            one.left.remove(cell)
            yield cell, died


def used_by(jobs: Iterable[Job]) -> list[str]:
    """The modules that metrics are computed by, of those that ship; others run in processes of models alone."""
    found: dict[str, None] = {}
    for job in jobs:
        entries = [job.entry]
        if job.extractor and ":" not in job.extractor:
            entries.append(catalog.find("extractors", job.extractor))
        found |= dict.fromkeys(entry.module for entry in entries if entry.module and entry.origin == "genbench")
        found |= dict.fromkeys(OPTIMISERS if TRAINED & set(job.needs) else [])
    return list(found)


def movable(todo: Plan) -> tuple[Plan, bool, set[str]]:
    """The plan as other processes can be sent it, whether they take the true density from the data anew, and the names
    of the sources that stay here: what is in this process's memory and nowhere else.
    """
    stay, sources = set(), []
    for source in todo.sources:
        sent = replace(source, extra=[]) if source.adapter == "code" else source
        if sent.adapter in HERE or not picklable(sent):
            stay.add(source.name)
            sent = replace(source, extra=None)
        sources.append(sent)
    density = todo.dataset.log_density
    reload = density is not None and not (density.__module__.startswith("genbench.") and picklable(density))
    reload |= bool(todo.dataset.outside) and any("outside" in job.fields for job in todo.jobs)
    dataset = bare(todo.dataset) if reload else replace(bare(todo.dataset), log_density=density)
    vars(dataset)["sha256"] = todo.dataset.sha256  # it is known
    return replace(todo, sources=sources, dataset=dataset), reload, stay


def picklable(what: Any) -> bool:
    try:
        pickle.dumps(what)
    except Exception:
        return False
    return True
