"""The clock and the memory of one computation.

On the CPU the clock is torch.utils.benchmark's; on a GPU the device's own events, after a warm-up, with the cache
flushed before every run. Memory is what the process holds more at its peak than before.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch.utils.benchmark import Timer

from genbench.environment import forget_peak, memory_status

WARM_UP = 3  # runs on a GPU before the first that counts


@contextlib.contextmanager
def limited(threads: int) -> Iterator[None]:
    """So many threads for PyTorch, and for the BLAS of NumPy and SciPy."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with threadpool_limits(threads):
            yield
    finally:
        torch.set_num_threads(before)


def times(
    run: Callable[[], Any], device: str, threads: int, repeats: int, seconds: float, first: float = 0.0
) -> list[float]:
    """Seconds of every run: at least so many repeats, and on the CPU for at least so many seconds.

    Arguments:
        first: what one run is known to take at most.
    """
    if device.startswith("cuda"):
        return cuda_times(run, device, repeats)
    timer = Timer("run()", globals={"run": run}, num_threads=threads)
    found: list[float] = []
    with limited(threads):
        while len(found) < repeats:
            found += timer.blocked_autorange(min_run_time=max(seconds, repeats * first)).times
    return found


def cuda_times(run: Callable[[], Any], device: str, repeats: int) -> list[float]:
    """By events on the device's own clock; what is left in its cache by one run is overwritten before the next."""
    with torch.cuda.device(device):
        cache = torch.cuda.get_device_properties(device).L2_cache_size
        flush = torch.empty(max(4 * cache, 2**28), dtype=torch.int8, device=device)
        for _ in range(WARM_UP):
            run()
        events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
        for start, end in events:
            flush.zero_()
            start.record()
            run()
            end.record()
        torch.cuda.synchronize(device)
        return [start.elapsed_time(end) / 1000 for start, end in events]  # milliseconds


def first_run(run: Callable[[], Any], device: str, threads: int) -> tuple[float, int | None]:
    """Seconds of one run, and the bytes that it took beyond what was held; None where the system does not say."""
    gc.collect()
    if device.startswith("cuda"):
        run()  # libraries allocate when they are first used
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        started = time.perf_counter()
        run()
        torch.cuda.synchronize(device)
        return time.perf_counter() - started, torch.cuda.max_memory_allocated(device) - before
    with limited(threads):
        give_back()
        held = memory_status("VmRSS")
        started = time.perf_counter()
        run()
        seconds, peak = time.perf_counter() - started, memory_status("VmHWM")
    return seconds, None if held is None or peak is None else max(0, peak - held)


def give_back() -> None:
    """Returns freed memory to the system and forgets the peak so far, as far as the system can (Linux with glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    forget_peak()
