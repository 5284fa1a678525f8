"""Models measured on other machines: each is a task of an engine (Ray, Slurm), and the task is a command.

    plan -> parts, a list of cells each -> `genbench evaluate --cells PART` wherever the engine likes -> records

The folder of the run is where everything meets: all machines see it under one path. A task claims its cells, isolates
its model and holds it to its limits as any evaluation does; what comes back through the engine is how it ended. A task
that dies with its machine is begun again with what is left; a model that dies is a record, written by its task.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from genbench.errors import Died, GenbenchError
from genbench.privacy import LONGER
from genbench.run.evaluate import Apart
from genbench.run.isolation import Isolation
from genbench.run.measuring import Bench
from genbench.run.plan import Cell, Plan
from genbench.run.records import Record
from genbench.run.reporting import lost
from genbench.run.worker import die_with_the_parent
from genbench.text import capped

if TYPE_CHECKING:
    from genbench.models.adapters import Source
    from genbench.run.share import Share

LOST = "task"  # the phase of a death that is no fault of the model: the part is begun again
ATTEMPTS = 3  # tasks of one part, where machines die
GRACE = 120.0  # seconds beyond the limit of a model before the engine stops its task: the task itself stops it earlier
LONGEST = 2000  # characters of what a command says as it ends
MOST = 1 << 16  # bytes of it that are kept
OWN = re.compile("CUDA_VISIBLE_DEVICES|(ROCR|HIP)_VISIBLE_DEVICES|TMPDIR|SLURM_.*")  # what the machine of a task knows


@dataclass(frozen=True)
class Part:
    """A command that measures cells of one model, and where it stands.

    Arguments:
        arguments: of `genbench`.
        folder, environ: of the runner, which the command takes over.
        started: a file that says that it has begun.
    """

    arguments: list[str]
    folder: str
    environ: dict[str, str]
    started: Path

    def perform(self) -> tuple[int, str]:
        """Runs it here: its exit code, and the end of what it said. It dies with the process that runs it."""
        given = {name: value for name, value in self.environ.items() if not OWN.fullmatch(name)}
        environ = given | {name: value for name, value in os.environ.items() if OWN.fullmatch(name)}
        self.started.touch()
        with subprocess.Popen(
            [sys.executable, "-m", "genbench", *self.arguments],
            cwd=self.folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            preexec_fn=die_with_the_parent,
        ) as process:
            said = b""
            try:
                while more := process.stderr.read1():  # type: ignore[union-attr]
                    said = (said + more)[-MOST:]  # a model may write gigabytes
            except BaseException:
                process.kill()
                raise
        return process.returncode, capped(said.decode(errors="replace"), LONGER * LONGEST)


class Engine(Protocol):
    """What runs parts somewhere."""

    def run(self, parts: Sequence[Part], seconds: float | None) -> Iterator[tuple[int, tuple[int, str] | Died]]:
        """Every part as it ends: its number, and its exit code with what it said, or how it died. Phase `LOST` says
        that it died with its machine.

        Arguments:
            seconds: after which a part is stopped, with status `timeout`; None for never.
        """


@dataclass
class Launch:
    """How parts are launched.

    Arguments:
        engine: runs them.
        arguments: of the command that the user gave; each part has the same, and its own cells.
    """

    engine: Engine
    arguments: list[str]
    attempts: int = ATTEMPTS
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ))


def engine(name: str, settings: dict[str, Any]) -> Engine:
    """The engine of a name.

    Raises:
        GenbenchError: its package is not installed, or it has no such settings.
    """
    try:
        if name == "ray":
            from genbench.run.engines.ray import Ray

            return Ray(settings)
        from genbench.run.engines.submitit import Submitit

        return Submitit(settings)
    except ImportError as error:
        raise GenbenchError(
            f"{name} is not installed ({error})", f"pip install -c constraints.txt 'genbench[{name}]'"
        ) from error


class Elsewhere(Apart):
    """Models measured by tasks of an engine; everything is opened here once before, as for processes of one's own."""

    def __init__(self, todo: Plan, bench: Bench, apart: Isolation, data_root: Path | None, launch: Launch) -> None:
        super().__init__(todo, bench, apart, data_root)
        self.launch = launch

    def records(self, share: Share) -> Generator[tuple[Source, Record]]:
        """The records of all work. Cells are claimed by the tasks, not here."""
        work, run = [list(cells) for _, cells in share.waiting], self.bench.run
        share.waiting.clear()
        before = {cell.id: self.ended(cell) for cells in work for cell in cells}
        folder = run.folder.resolve() / "parts" / self.bench.run_id
        limit = self.apart.limits.model
        try:
            for attempt in range(self.launch.attempts):
                left: list[list[Cell]] = []
                parts = [self.part(folder / f"{attempt}-{i}.json", cells) for i, cells in enumerate(work)]
                for number, how in self.launch.engine.run(parts, None if limit is None else limit + GRACE):
                    died = how if isinstance(how, Died) else refused(*how)
                    missing = []
                    for cell in work[number]:
                        if self.ended(cell) != before[cell.id] and (record := run.get(cell.id)) is not None:
                            yield cell.source, record
                        else:
                            missing.append(cell)
                    if isinstance(how, Died) and how.phase == LOST and attempt + 1 < self.launch.attempts:
                        print(f"{missing[0].source.name}: {how}; begun again" if missing else how, file=sys.stderr)
                        left += [missing] * bool(missing)
                        continue
                    for cell in missing:
                        record = lost(self.todo, cell, self.bench, died)
                        run.put(record)
                        yield cell.source, record
                work = left
                if not work:
                    return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                folder.parent.rmdir()  # if that was the last of them

    def ended(self, cell: Cell) -> str | None:
        record = self.bench.run.get(cell.id)
        return None if record is None else f"{record.run_id} {record.ended}"

    def part(self, path: Path, cells: list[Cell]) -> Part:
        said = [{"id": cell.id, "model": cell.source.name} for cell in cells]
        self.bench.run.write(path, json.dumps(said).encode())
        given = self.launch.arguments
        end = given.index("--") if "--" in given else len(given)  # behind it everything is the name of a model
        arguments = [*given[:end], "--executor", "here", "--cells", str(path), *given[end:]]
        return Part(arguments, os.getcwd(), self.launch.environ, path.with_suffix(".started"))


def refused(code: int, said: str) -> Died:
    """What is to be said of cells without a record, of a command that ended by itself: its error, if it gave one."""
    why = said[max(0, said.rfind("genbench: ")) :].strip()
    return Died("crashed", f"its command ended with exit code {code}: {why}", "start")
