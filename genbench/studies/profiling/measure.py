"""Measures one way of one kernel in a fresh process: its error, its memory, its times.

A fresh process has no memory to reuse and no caches that another implementation filled. It is forked from a server
that has the heavy imports behind it, where the platform has such a thing.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from typing import Any, TypeVar

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from genbench.environment import environment, git_state
from genbench.studies.profiling import machine, timer
from genbench.studies.profiling.kernel import Kernel, Size, Way, Work, absent, kernels, shown
from genbench.studies.profiling.report import duration
from genbench.studies.profiling.results import Profile, Row

T = TypeVar("T")
OWN_RUNS, PEER_RUNS = 5, 3  # timed runs at least: five against five can differ with p < 0.01
PRELOADED = ["genbench.studies.profiling.models"]


class Failed(Exception):
    """What a way raised, in words; the exception itself may not cross between processes."""


def fresh(function: Callable[..., T], *arguments: Any) -> T:
    """function(*arguments) in a new process.

    Raises:
        Failed: it raised, or its process died.
    """
    method = "forkserver" if "forkserver" in get_all_start_methods() else "spawn"
    context = get_context(method)
    if method == "forkserver":
        context.set_forkserver_preload(PRELOADED)
    with ProcessPoolExecutor(1, context) as pool:
        try:
            return pool.submit(quietly, function, *arguments).result()
        except BrokenProcessPool as error:
            raise Failed("its process was killed, most likely for its memory") from error


def quietly(function: Callable[..., T], *arguments: Any) -> T:
    """The function without gradients, and without the warnings of peers."""
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        try:
            return function(*arguments)
        except Exception as error:
            first = str(error).splitlines()[0] if str(error) else ""
            raise Failed(f"{type(error).__name__}: {first}") from None


def row(
    kernel_name: str, way_name: str, size: Size, device: str, threads: int, quick: bool, most_runs: int | None = None
) -> Row:
    """Everything that is measured of one way, in `most_runs` runs at most."""
    kernel = kernels()[kernel_name]
    way, small = kernel.way(way_name), kernel.checked_at(size)
    error = error_of(kernel, way, small, device, threads)
    inputs = kernel.inputs(device, **size)

    def run() -> Any:
        return way.run(*inputs)

    first, memory = timer.first_run(run, device, threads)
    runs = min(most_runs or kernel.most_runs, kernel.most_runs, OWN_RUNS if way.own else PEER_RUNS)
    times = [first]  # where one run is asked for, a second one that warms nothing up is too much
    if most_runs != 1:
        times = timer.times(run, device, threads, runs, 0.05 if quick else 0.5, first)
    return Row(
        kernel=kernel.name,
        implementation=way.name,
        size=dict(size),
        dtype=way.dtype_at(size),
        device=device,
        threads=threads,
        times_s=[float(f"{t:.6g}") for t in times],
        work=work_of(kernel, size, run),
        memory=memory,
        error=error,
        error_at=None if error is None or small == dict(size) else small,
        note=way.note,
        code=commit(),
    )


def extra_memory(kernel_name: str, way_name: str, size: Size, threads: int) -> int | None:
    """Bytes that a way takes on the CPU beyond its inputs, as in its row."""
    kernel = kernels()[kernel_name]
    way = kernel.way(way_name)
    error_of(kernel, way, kernel.checked_at(size), "cpu", threads)
    inputs = kernel.inputs("cpu", **size)
    return timer.first_run(lambda: way.run(*inputs), "cpu", threads)[1]


@torch.no_grad()
def error_of(kernel: Kernel, way: Way, size: Size, device: str, threads: int) -> float | None:
    """Against the kernel's reference. Runs the way in any case: libraries are loaded before anything is measured."""
    with timer.limited(threads):
        inputs = kernel.inputs(device, **size)
        value = way.run(*inputs)
        if kernel.reference is None or absent(kernel.reference_packages):
            return None
        return deviation(value, kernel.reference(*inputs))


def deviation(value: Any, truth: Any) -> float:
    """max |value - truth| / max |truth| over an array; the larger one of two arrays."""
    if isinstance(truth, tuple):
        return max(deviation(v, t) for v, t in zip(value, truth, strict=True))
    v, t = (np.asarray(a.cpu() if isinstance(a, torch.Tensor) else a) for a in (value, truth))
    if v.shape != t.shape:
        raise ValueError(f"a value {list(v.shape)} where the reference has {list(t.shape)}")
    return float(np.abs(v - t).max() / np.abs(t).max())


def work_of(kernel: Kernel, size: Size, run: Callable[[], Any]) -> Work | None:
    """By the kernel's formula; operations that it leaves open are counted as it runs once more."""
    work = kernel.work(**size)
    if work is None or work.flops is not None:
        return work
    with FlopCounterMode(display=False) as counter:
        run()
    return Work(float(counter.get_total_flops()), work.bytes)


def commit() -> str:
    """Of the code that is measured, with a + where it differs from it."""
    state = git_state() or {}
    return str(state.get("commit", "")) + "+" * bool(state.get("dirty"))


def todo(
    chosen: list[Kernel], device: str, quick: bool, at: Sequence[Size] = (), own: bool = False
) -> tuple[list[tuple[Kernel, Way, Size]], list[str]]:
    """What there is to measure, the ways of one size side by side; and what is left out, with the reasons.

    Arguments:
        at: other sizes than those of the kernels, for those that have such axes.
        own: leave the peers out.
    """
    cells, left_out = [], []
    for kernel in chosen:
        obstacles = {way.name: why for way in kernel.ways if (why := way.obstacle(device))}
        left_out += [f"{kernel.name}, {name}: {why}" for name, why in obstacles.items()]
        if why := absent(kernel.reference_packages):
            left_out.append(f"{kernel.name}, relative error: {why}")
        ways = [way for way in kernel.ways if way.name not in obstacles and (way.own or not own)]
        sizes: Sequence[Size] = [kernel.quick] if quick else kernel.sizes
        if at:
            sizes = [size for size in at if set(size) == set(kernel.quick)]
        cells += [(kernel, way, size) for size in sizes for way in ways]
    return cells, left_out


def profile(
    chosen: list[Kernel],
    device: str,
    threads: int,
    quick: bool,
    at: Sequence[Size] = (),
    own: bool = False,
    most_runs: int | None = None,
    known: bool = False,
) -> Profile:
    """All ways at hand of the kernels, at all of their sizes or `at` others; says on stderr what it is at.

    Arguments:
        known: whether the ceilings were measured before, so that once more is enough.
    """
    ceilings = fresh(machine.measure, device, threads, quick)
    cells, left_out = todo(chosen, device, quick, at, own)
    found = Profile(ceilings, env=environment(device), left_out=left_out)
    for i, (kernel, way, size) in enumerate(cells):
        what = f"{kernel.name}, {way.name}, {shown(size)}"
        print(f"[{i + 1}/{len(cells)}] {what}: ", end="", file=sys.stderr, flush=True)
        try:
            found.rows.append(fresh(row, kernel.name, way.name, size, device, threads, quick, most_runs))
            print(duration(found.rows[-1].median), file=sys.stderr)
        except Failed as error:
            print(error, file=sys.stderr)
            (found.failed if way.own else found.left_out).append(f"{what}: {error}")
    # Whatever else ran in the meantime lowered the ceilings too: they are measured again, and the better count.
    if not known:
        found.machine = ceilings.better(fresh(machine.measure, device, threads, quick))
    return found
