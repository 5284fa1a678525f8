"""Malformed inputs by the thousand, over every reader: refused in two lines, or read; anything else is a finding.

    PYTHONPATH=tests python -m fuzz --inputs 20000 --seed 0                      # over all readers
    PYTHONPATH=tests python -m fuzz --reader images --seed 0 --only 17           # one finding again, with its traceback

Inputs are read in a child, thousands a second; a process beside it looks at the clock and counts the dead. A finding is
an exception that is no GenbenchError, an error that is not two lines, the death of the process, more than ten seconds,
or more than a gigabyte of memory.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from ctypes import c_double
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from genbench.environment import forget_peak, memory_status
from genbench.errors import GenbenchError

LONGEST = 10.0  # seconds of one input: of the processor, which no other work on the machine lengthens
PATIENCE = 60.0  # seconds of one input by the clock, for one that waits for something
MOST = 10**9  # bytes that the process may hold at its peak
HARD = 6 * 10**9  # bytes after which an allocation fails, so that a bomb ends the process and not the machine
LONG = 10_000  # characters of an error
OFTEN = 5  # findings of one kind that are printed
# What parent and child both see: the input, since when by the clock and by the processor, and sums.
NUMBER, BEGAN, SPENT, REFUSED, READ, SECONDS, PEAK = range(7)


@dataclass(frozen=True)
class Finding:
    """What should not have happened: with which reader, seed and number it comes again."""

    reader: str
    seed: int
    number: int
    what: str

    def __str__(self) -> str:
        return f"{self.reader} --seed {self.seed} --only {self.number}: {self.what}"


@dataclass
class Tally:
    """What came of inputs: how many were refused and read, in how many seconds, and the peak of memory in bytes."""

    refused: int = 0
    read: int = 0
    seconds: float = 0.0
    peak: int = 0


def fault(read: Callable[[Any], Any], case: Any) -> tuple[bool, str]:
    """Whether an input was refused, and what is wrong with how it was read or refused, "" for nothing."""
    try:
        read(case)
    except GenbenchError as error:
        text = str(error)
        if len(text.splitlines()) != 2 or not error.problem.strip() or not error.remedy.strip():
            return True, f"an error that is not two lines: {text[:200]!r}"
        return True, f"an error of {len(text):,} characters" if len(text) > LONG else ""
    except (KeyboardInterrupt, SystemExit) as error:
        return False, f"{type(error).__name__}"
    except BaseException as error:
        frames = traceback.extract_tb(error.__traceback__)
        at = next((f for f in reversed(frames) if "genbench/" in f.filename and "fuzz" not in f.filename), frames[-1])
        return False, f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}: {str(error)[:300]}"
    return False, ""


def case_of(make: Callable[[random.Random], Any], name: str, seed: int, number: int) -> Any:
    return make(random.Random(f"{name} {seed} {number}"))


def quiet() -> None:
    warnings.simplefilter("ignore")
    null = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):
        os.dup2(null, handle)


def child(pipe: Any, state: Any, folder: str, where: str, name: str, seed: int, numbers: range) -> None:
    """Reads inputs, one after the other; says what it finds, and at which it is."""
    READERS = importlib.import_module(where).READERS
    os.setsid()
    quiet()
    resource.setrlimit(resource.RLIMIT_DATA, (HARD, HARD))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.environ.update(GENBENCH_OFFLINE="1", GENBENCH_CACHE=f"{folder}/cache", HOME=folder)
    place = Path(folder) / name
    place.mkdir()
    make, read = READERS[name].prepare(place)
    forget_peak()
    for number in numbers:
        case = case_of(make, name, seed, number)
        state[NUMBER], state[SPENT], state[BEGAN] = number, time.process_time(), time.monotonic()
        refused, wrong = fault(read, case)
        spent, state[BEGAN] = time.monotonic() - state[BEGAN], 0.0
        state[REFUSED] += refused
        state[READ] += not refused and not wrong
        state[SECONDS] += spent
        if number % 50 == 0 or spent > 0.02:  # large arrays take time to fill
            peak = memory_status("VmHWM") or 0
            state[PEAK] = max(state[PEAK], peak)
            if peak > MOST:
                wrong = wrong or f"{peak / 1e9:.1f} GB of memory"
            forget_peak()
        if wrong:
            pipe.send((number, wrong))
    state[NUMBER] = numbers.stop


def fuzz(name: str, inputs: int, seed: int, where: str = "fuzz.readers") -> tuple[Tally, list[Finding]]:
    """So many inputs for one reader of a module: what came of them, and the findings."""
    context: Any = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["fuzz.readers", "fuzz.fuzzing"])
    found, start = dict[int, Finding](), 0
    state = context.Array(c_double, 7, lock=False)
    while start < inputs:
        ours, theirs = context.Pipe(duplex=False)
        state[NUMBER], state[BEGAN] = start, 0.0
        with tempfile.TemporaryDirectory(prefix="genbench-fuzz-") as folder:
            process = context.Process(
                target=child, args=(theirs, state, folder, where, name, seed, range(start, inputs))
            )
            process.start()
            theirs.close()
            for number, what in heard(process, ours, state):
                found[number] = Finding(name, seed, number, what)
        at = int(state[NUMBER])
        if at < inputs:  # it did not come to the end
            found.setdefault(at, Finding(name, seed, at, f"the process ended with {process.exitcode}"))
        start = at + 1
    said = Tally(int(state[REFUSED]), int(state[READ]), state[SECONDS], int(state[PEAK]))
    return said, [found[number] for number in sorted(found)]


def heard(process: Any, pipe: Any, state: Any) -> Iterator[tuple[int, str]]:
    """What a child has found until it ends; one that is at an input for too long is killed."""
    while True:
        ready = wait([pipe, process.sentinel], 0.5)
        if pipe in ready:
            try:
                yield pipe.recv()
            except EOFError:
                break
        elif ready:
            break
        began, spent = state[BEGAN], seconds_of(process.pid) - state[SPENT]
        if began and (spent > LONGEST or time.monotonic() - began > PATIENCE):
            process.kill()
            yield int(state[NUMBER]), f"it takes more than {LONGEST:g} s, or waits for more than {PATIENCE:g} s"
            break
    process.join()


def seconds_of(pid: int) -> float:
    """What a process has had of the processor."""
    with contextlib.suppress(OSError, IndexError):
        user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def shares(inputs: int, names: list[str]) -> dict[str, int]:
    """How many inputs each reader gets."""
    from fuzz.readers import READERS

    weights = {name: READERS[name].weight for name in names}
    return {name: max(1, round(inputs * weight / sum(weights.values()))) for name, weight in weights.items()}


def again(name: str, seed: int, number: int) -> int:
    """One input once more, in this process, with its traceback."""
    from fuzz.readers import READERS

    with tempfile.TemporaryDirectory(prefix="genbench-fuzz-") as folder:
        os.environ.update(GENBENCH_OFFLINE="1", GENBENCH_CACHE=f"{folder}/cache")
        place = Path(folder) / name
        place.mkdir()
        make, read = READERS[name].prepare(place)
        case = case_of(make, name, seed, number)
        print(f"{str(case)[:2000]}")
        began = time.monotonic()
        try:
            read(case)
            print("read")
        except GenbenchError as error:
            print(f"refused: {error}")
        finally:
            print(f"{time.monotonic() - began:.2f} s, peak {(memory_status('VmHWM') or 0) / 1e6:.0f} MB")
    return 0


def main() -> int:
    from fuzz.readers import READERS

    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--reader", action="append", choices=sorted(READERS))
    parser.add_argument("--only", type=int, help="this input of one reader")
    args = parser.parse_args()
    names = args.reader or list(READERS)
    if args.only is not None:
        return again(names[0], args.seed, args.only)
    findings: list[Finding] = []
    total = Tally()
    for name, n in shares(args.inputs, names).items():
        tally, found = fuzz(name, n, args.seed)
        findings += found
        total.refused, total.read = total.refused + tally.refused, total.read + tally.read
        total.peak = max(total.peak, tally.peak)
        print(
            f"{name}: {n} inputs, {tally.refused} refused, {tally.read} read, {len(found)} findings, "
            f"{tally.seconds:.0f} s, peak {tally.peak / 1e6:.0f} MB",
            flush=True,
        )
        seen: Counter[str] = Counter()
        for one in found:
            seen[kind := one.what.split(":")[0]] += 1
            if seen[kind] <= OFTEN:
                print(f"  {one}", flush=True)
    n = sum(shares(args.inputs, names).values())
    print(f"{n} inputs, {total.refused} refused, {total.read} read, peak {total.peak / 1e6:.0f} MB")
    print(f"findings: {len(findings)}")
    return 1 if findings else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
