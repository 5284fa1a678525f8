"""One worker: a process that leads a group of its own, what it says, how it ends, what it takes.

With it ends whatever it has started. What left its group (a daemon) is found by adoption: on Linux an orphan becomes a
child of the nearest ancestor that asked for it. A worker asks, and so keeps its own for as long as it lives; the runner
asks, and so has what a worker left behind, however it died.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import multiprocessing
import os
import signal
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from genbench import catalog
from genbench.errors import GenbenchError
from genbench.run.limits import DEAF

GRACE = 1.0  # seconds between SIGTERM and SIGKILL
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Worker:
    """One process, its pipe, and what is known of it.

    Arguments:
        run: a function of `worker.py`, with its arguments after the first.
    """

    def __init__(self, method: str, memory: int | None, run: Callable[..., None], args: tuple) -> None:
        from genbench.run.worker import Shared, Surroundings, enter

        adopt()
        context: Any = multiprocessing.get_context(method)
        self.pipe, theirs = context.Pipe(duplex=False)
        os.set_blocking(self.pipe.fileno(), False)
        self.dump, self.memory = Shared(), memory
        self.process = context.Process(target=enter, args=(theirs, self.dump, Surroundings(), memory, run, args))
        with no_main():
            self.process.start()
        theirs.close()
        self.before = set(children().get(os.getpid(), []))  # of the runner, which are no orphans of this worker
        self.rest, self.open, self.held, self.closed = b"", True, 0, False

    @property
    def watched(self) -> list[Any]:
        """What becomes ready when it says something or ends."""
        return [self.process.sentinel, *([self.pipe] if self.open else [])]

    def lines(self) -> Iterator[list[Any]]:
        """What it has said since, a kind and its contents each; a line that is not whole was never said."""
        while self.open:
            try:
                found = os.read(self.pipe.fileno(), 1 << 16)
            except BlockingIOError:
                break
            self.open = bool(found)
            self.rest += found
        *whole, self.rest = self.rest.split(b"\n")
        for line in whole:
            with contextlib.suppress(ValueError):  # no line of ours: the model's code has found the pipe
                match json.loads(line):
                    case ["warn", str(text)]:
                        warnings.warn(text, stacklevel=2)
                    case ["told", str(text)]:
                        catalog.tell(text)
                    case ["fail", str(problem), str(remedy)]:
                        raise GenbenchError(problem, remedy)
                    case ["ready", int(held)]:
                        self.held = held
                        yield ["ready"]
                    case [str(), *_] as said:
                        yield said

    def stop(self) -> None:
        """SIGTERM to the group, a second, SIGKILL."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)  # one that has stopped can say where, too
        wait([self.process.sentinel], GRACE)
        self.signal(signal.SIGKILL)
        wait([self.process.sentinel], GRACE)

    def signal(self, number: int) -> None:
        pid = self.process.pid
        assert pid is not None
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, number)  # also when the worker is gone: to what it has left behind
        if self.process.exitcode is None:  # it may not lead its group yet
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def close(self) -> None:
        """Ends it, if it has not ended, with everything that it started."""
        if self.closed:
            return
        self.closed = True
        if self.process.exitcode is None:
            self.stop()
        self.signal(signal.SIGKILL)
        self.process.join(GRACE)
        end_orphans(self.before)
        self.pipe.close()
        self.dump.close()

    @property
    def ended(self) -> bool:
        return self.process.exitcode is not None

    def death(self) -> str:
        """How it ended, in words."""
        code = self.process.exitcode
        if code is None or code == 255:
            return "the process is gone, nobody knows how"
        if code == DEAF:
            return "the process has closed its files, also the one through which it is heard"
        if code >= 0:
            return f"the process ended with exit code {code} before it was done"
        name = signal.Signals(-code).name if -code in {*signal.Signals} else f"signal {-code}"
        hint = ": the system may have run out of memory" if -code == signal.SIGKILL else ""
        return f"the process was killed by {name}{hint}"

    def takes(self) -> int:
        """Bytes that it and all that it started hold beyond what it held before it began; 0 where nobody says."""
        below, found = children(), [self.process.pid]
        for pid in found:
            found += below.get(pid, [])
        return max(0, sum(map(resident, found)) - self.held)


def adopt() -> None:
    """Makes orphans below this process its children (Linux)."""
    control(PR_SET_CHILD_SUBREAPER, 1)


def die_with_the_parent() -> None:
    """Has the system kill this process as soon as its parent is gone (Linux)."""
    control(PR_SET_PDEATHSIG, signal.SIGKILL)


def control(option: int, value: int) -> None:
    """Sets what the system does with this process, where it is Linux: see prctl(2)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value)


def children() -> dict[int | None, list[int]]:
    """Those of every process, where there is a /proc."""
    found: dict[int | None, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            found.setdefault(parent, []).append(int(path.parent.name))
    return found


def end_orphans(known: set[int]) -> None:
    """Ends what workers that are gone have left to this process: children that it did not start, in other sessions.

    Arguments:
        known: other children.
    """
    while True:
        known = known | {child.pid for child in multiprocessing.active_children() if child.pid}
        found = [pid for pid in children().get(os.getpid(), []) if pid not in known and not same_session(pid)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)  # its own children are then orphans of this process
        known = known | set(found)


def same_session(pid: int) -> bool:
    """Whether a process is in that of this one, or gone."""
    try:
        return os.getsid(pid) == os.getsid(0)
    except OSError:
        return True


def resident(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


@contextlib.contextmanager
def no_main() -> Iterator[None]:
    """Within it a process that is started imports no `__main__`: nothing of ours is in it, and a script of the user
    that calls genbench would be run a second time.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Within it Ctrl-C waits, and reaches no process that is started: a server that is still loading torch would die of
    it with a traceback, and its caller ends it anyway.
    """
    resource_tracker.ensure_running()  # which would let it through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
