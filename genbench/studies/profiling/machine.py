"""What the machine can do at best, measured on the spot.

The peak is the best of several matrix products, of PyTorch and on the CPU of NumPy and of oneDNN (float32 alone), whose
libraries differ; the bandwidth at each size the best of a copy and of a sum.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn import functional

from genbench.studies.profiling import timer
from genbench.studies.profiling.results import Machine

DTYPES = ("float32", "float64")
SIDES = (256, 512, 1024, 2048, 4096)  # of the matrices
SIZES = tuple(4**p * 1024 for p in range(2, 10))  # bytes of an array, 16 KiB to 256 MiB


def measure(device: str, threads: int, quick: bool) -> Machine:
    """The ceilings of `device` with so many threads; `quick` leaves out the large sizes."""
    sides, sizes = (SIDES[:2], SIZES[:-2]) if quick else (SIDES, SIZES)

    def best(run: Callable[[], object]) -> float:
        return min(timer.times(run, device, threads, repeats=3, seconds=0.02 if quick else 0.2))

    peak = {dtype: max(product_rate(best, device, dtype, side) for side in sides) for dtype in DTYPES}
    return Machine(device, threads, peak, {2 * size: copy_rate(best, device, size) for size in sizes})


def product_rate(best: Callable, device: str, dtype: str, side: int) -> float:
    """Operations a second of a square matrix product."""
    a = torch.rand(side, side, dtype=getattr(torch, dtype), device=device)
    out = torch.empty_like(a)
    seconds = best(lambda: torch.mm(a, a, out=out))
    if device == "cpu":
        A, C = a.numpy(), out.numpy()
        seconds = min(seconds, best(lambda: np.matmul(A, A, out=C)))
        if dtype == "float32" and torch.backends.mkldnn.is_available():
            blocked = a.to_mkldnn()
            seconds = min(seconds, best(lambda: functional.linear(blocked, a)))
    return 2 * side**3 / seconds


def copy_rate(best: Callable, device: str, size: int) -> float:
    """Bytes a second of arrays of `size` bytes: of a copy, which reads and writes, or of a sum, which reads."""
    a = torch.ones(size // 4, device=device)
    out = torch.empty_like(a)
    return max(2 * size / best(lambda: out.copy_(a)), size / best(lambda: a.sum()))
