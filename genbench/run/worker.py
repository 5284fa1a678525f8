"""What runs in the process of a model, and how it talks: lines of JSON through a pipe, records as files of the run.

A line is written in one piece, and what stands in the pipe outlives the process: of one that dies, the runner knows
all that it had finished and what it was at. `process.py` is the other side.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import mmap
import multiprocessing
import os
import pickle
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing import reduction
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from genbench import allocation, catalog, datasets
from genbench.environment import memory_status
from genbench.errors import Died, GenbenchError
from genbench.privacy import LONGER
from genbench.run.limits import DEAF
from genbench.run.measuring import Bench, draw_rows, help_source, measure_source
from genbench.run.plan import Plan
from genbench.run.preflight import preflight, try_extractor, where_it_runs
from genbench.run.process import adopt, die_with_the_parent
from genbench.run.records import Run
from genbench.text import capped, said

LONGEST = 2000  # characters of a text in a line
Say = Callable[..., None]  # kind and contents of a line


class Shared:
    """A file without a name that another process gets too: when the last of them is gone, so is it."""

    def __init__(self, handle: int | None = None) -> None:
        if handle is None:
            with TemporaryFile(prefix="genbench-") as file:
                handle = os.dup(file.fileno())
        self.handle = handle

    def __reduce__(self) -> Any:
        return received, (reduction.DupFd(self.handle),)

    def text(self, most: int = 10_000) -> str:
        """What stands at its beginning."""
        return os.pread(self.handle, most, 0).decode(errors="replace")

    def close(self) -> None:
        os.close(self.handle)


def received(handle: Any) -> Shared:
    return Shared(handle.detach())


@dataclass(frozen=True)
class Task:
    """All that the processes of one call share: the plan, and how its models are measured.

    Arguments:
        folder: of the run, absolute.
        bench: the fields of `Bench` that are plain, without the device and the environment.
        data_root: where the dataset was loaded from.
        reload: whether functions of the dataset, its true density and what makes other data, have to be taken from it
            anew, since no other process can be sent them.
    """

    todo: Plan
    folder: Path
    bench: dict[str, Any]
    data_root: Path | None = None
    reload: bool = False

    def pack(self) -> Shared:
        """A file of all of it: arrays as they lie in memory, behind a pickle of the rest.

        Raises:
            Exception: whatever pickling something of it raises.
        """
        buffers: list[pickle.PickleBuffer] = []
        body = pickle.dumps(self, protocol=5, buffer_callback=buffers.append)
        raw = [buffer.raw() for buffer in buffers]
        head = pickle.dumps((body, [len(one) for one in raw]))
        shared = Shared()
        with open(os.dup(shared.handle), "wb") as file:
            file.write(len(head).to_bytes(8, "little") + head)
            for one in raw:
                file.write(bytes(-file.tell() % 64))
                file.write(one)
        return shared

    @staticmethod
    def unpack(shared: Shared) -> Task:
        """The task whose arrays are pages of the file: read when they are touched, copied when they are written to."""
        memory = memoryview(mmap.mmap(shared.handle, 0, access=mmap.ACCESS_COPY))
        at = 8 + int.from_bytes(memory[:8], "little")
        body, lengths = pickle.loads(memory[8:at])
        parts = []
        for length in lengths:
            at += -at % 64
            parts.append(memory[at : at + length])
            at += length
        task: Task = pickle.loads(body, buffers=parts)
        if task.reload:
            dataset = task.todo.dataset
            again = datasets.load(dataset.name, task.data_root)
            dataset = replace(dataset, log_density=again.log_density, outside=again.outside)
            task = replace(task, todo=replace(task.todo, dataset=dataset))
        return task


@dataclass(frozen=True)
class Surroundings:
    """What of the runner's process another one takes over."""

    folder: str = field(default_factory=os.getcwd)
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    plugins: list[Path] = field(default_factory=lambda: list(catalog._plugins))
    told: set[str] = field(default_factory=lambda: set(catalog._told))
    points: dict[str, Any] = field(default_factory=lambda: dict(catalog._points))
    threads: int | None = field(
        default_factory=lambda: torch.get_num_threads() if (torch := sys.modules.get("torch")) else None
    )

    def take(self) -> None:
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environ)
        catalog._plugins[:] = self.plugins
        catalog._told |= self.told
        catalog._points |= self.points
        if self.threads is not None:
            import torch

            torch.set_num_threads(self.threads)
        random.seed(0)
        np.random.seed(0)


def enter(
    pipe: Connection, dump: Shared, around: Surroundings, memory: int | None, run: Callable[..., None], args: tuple
) -> None:
    """The life of a worker: it never returns. `run(say, *args)` is what it is for."""
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # which the server that it is forked from never hears
    adopt()
    os.dup2(2, 1)  # stdout belongs to results
    sys.stdout = sys.stderr

    def say(*line: Any) -> None:
        text = json.dumps(line, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
        while text:
            text = text[os.write(pipe.fileno(), text) :]

    def warn(message: Any, category: type[Warning], *_: Any, **__: Any) -> None:
        say("told" if issubclass(category, catalog.PluginWarning) else "warn", capped(said(message), LONGEST))

    code = 1
    try:
        allocation.keep()
        leave_the_server()
        die_with_the_parent()  # the server, which ends with the runner: also where no thread of this one gets its turn
        threading.Thread(target=die_with_the_runner, daemon=True).start()
        faulthandler.enable(dump.handle, all_threads=False)
        faulthandler.register(signal.SIGTERM, dump.handle, all_threads=False, chain=True)
        warnings.showwarning = warn
        around.take()
        hold(memory)
        say("ready", memory_status("VmRSS") or 0)
        run(say, *args)
        say("end")
        code = 0
    except GenbenchError as error:
        code = told(say, "fail", error.problem[:LONGEST], error.remedy[:LONGEST])
    except BaseException as error:
        code = told(say, "raised", capped(f"{type(error).__name__}: {said(error)}", LONGER * LONGEST))
    finally:
        with contextlib.suppress(Exception):
            sys.stderr.flush()
        os._exit(code)  # whatever threads are still at work


def told(say: Say, *line: Any) -> int:
    """Says why the process ends: its exit code."""
    try:
        say(*line)
    except OSError:
        return DEAF
    return 1


def leave_the_server() -> None:
    """Lets go of what keeps the server of workers alive, so that it ends with the runner whatever a model does."""
    from multiprocessing import forkserver

    handle = getattr(forkserver._forkserver, "_forkserver_alive_fd", None)  # type: ignore[attr-defined]
    if isinstance(handle, int):
        with contextlib.suppress(OSError):
            os.close(handle)


def die_with_the_runner() -> None:
    """Ends the whole group of this process as soon as the process is gone that started it."""
    runner = multiprocessing.parent_process()
    assert runner is not None
    wait([runner.sentinel])
    os.killpg(0, signal.SIGKILL)


def hold(memory: int | None) -> None:
    """Holds the process to so many bytes beyond what it has now: an allocation beyond fails. No core is dumped."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    now = memory_status("VmData")
    if memory is not None and now is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (now + memory, now + memory))


# --- What workers are for


def measure_cells(
    say: Say, packed: Shared, where: list[Any], number: int, ids: list[str], dead: list[tuple[str, str, str, str]]
) -> None:
    """Measures cells of one model of a task, each record put into the run as soon as it is known.

    Arguments:
        where: what `where_it_runs` says.
        dead: status, message, phase and traceback of earlier deaths.
    """
    task = Task.unpack(packed)
    todo, run = task.todo, Run(task.folder)
    source, wanted = todo.sources[number], set(ids)
    bench = Bench(
        run,
        **task.bench,
        device=where[0],
        env=where[1],
        show=lambda what, how_far: say("show", capped(what, LONGEST), capped(how_far, LONGEST)),
        start=lambda cells: say("start", cells[0].id),
        at=lambda phase: say("at", phase),
        dead={phase: Died(status, message, phase, at) for status, message, phase, at in dead},
    )
    for record in measure_source(todo, source, [cell for cell in todo.cells(source) if cell.id in wanted], bench):
        run.put(record)
        say("done", record.cell_id)


def help_cells(
    say: Say, packed: Shared, where: list[Any], number: int, ids: list[str], dead: list[tuple[str, str, str, str]]
) -> None:
    """Makes blocks of what cells of a model need that another worker measures. Arguments: see `measure_cells`."""
    task = Task.unpack(packed)
    todo, source, wanted = task.todo, task.todo.sources[number], set(ids)
    told = {phase: Died(status, message, phase, at) for status, message, phase, at in dead}
    bench = Bench(Run(task.folder), **task.bench, device=where[0], env=where[1], dead=told)
    help_source(todo, source, [cell for cell in todo.cells(source) if cell.id in wanted], bench)


def try_all(say: Say, packed: Shared, device: str, numbers: list[int], extractors: list[str]) -> None:
    """Says where it runs, then opens sources and shows extractors an image before the long work: see `preflight`."""
    where = where_it_runs(device)
    say("where", *where)
    task = Task.unpack(packed)
    bench = Bench(Run(task.folder), **task.bench, device=where[0], env=where[1])
    for name in extractors:
        say("next")
        try_extractor(name, task.todo, bench)
    for number in numbers:
        say("next")
        preflight(task.todo.sources[number], task.todo, bench.device)


def draw_pictures(say: Say, packed: Shared, where: list[Any], numbers: list[int]) -> None:
    """Pictures of models of which nothing has to be measured."""
    task = Task.unpack(packed)
    bench = Bench(Run(task.folder), **task.bench, device=where[0], env=where[1])
    draw_rows([task.todo.sources[number] for number in numbers], task.todo, bench)


def answer(say: Say, function: Callable[..., Any], args: tuple) -> None:
    """Says what a function gives, which has to be plain."""
    say("answer", function(*args))
