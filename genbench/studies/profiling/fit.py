"""How the cost of a kernel grows: the exponent of time in the length of one axis, the others fixed.

    log t = a + b log length

by least squares, with the standard error of b from the residuals. What is printed beside it is the exponent of the
leading term; at lengths where lower terms or overheads still count, the measured one lies below.
"""

from __future__ import annotations

import sys

import numpy as np

from genbench.errors import GenbenchError
from genbench.studies.profiling import timer
from genbench.studies.profiling.kernel import Kernel, Size, kernels
from genbench.studies.profiling.measure import OWN_RUNS, Failed, fresh
from genbench.studies.profiling.results import Growth

FACTORS = (1, 1.5, 2, 3, 4, 6, 8)


def slope(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The least-squares slope of y on x and its standard error, `[n]` each, n >= 3."""
    if len(x) < 3:
        raise ValueError(f"a slope with a standard error needs at least 3 points, got {len(x)}")
    dx = x - x.mean()
    b = float(dx @ y / (dx @ dx))
    residuals = y - y.mean() - b * dx
    return b, float(np.sqrt(residuals @ residuals / (len(x) - 2) / (dx @ dx)))


def medians(kernel_name: str, sizes: list[Size], device: str, threads: int, quick: bool) -> list[float]:
    """Median seconds of genbench's way at every size."""
    kernel, found = kernels()[kernel_name], []
    for size in sizes:
        inputs = kernel.inputs(device, **size)

        def run(inputs: tuple = inputs) -> object:
            return kernel.ways[0].run(*inputs)

        first, _ = timer.first_run(run, device, threads)
        found.append(float(np.median(timer.times(run, device, threads, OWN_RUNS, 0.02 if quick else 0.2, first))))
    return found


def sweep(chosen: list[Kernel], device: str, threads: int, quick: bool) -> list[Growth]:
    """The fits of all axes of the kernels.

    Raises:
        GenbenchError: genbench's own way raised.
    """
    found = []
    for kernel in chosen:
        if not kernel.ways[0].own or kernel.ways[0].obstacle(device):
            continue
        start = dict(kernel.quick if quick else kernel.start)
        for axis, expected in kernel.cost.items():
            print(f"sweep: {kernel.name}, {axis}", file=sys.stderr)
            lengths = [round(start[axis] * factor) for factor in FACTORS]
            sizes: list[Size] = [{**start, axis: length} for length in lengths]
            try:
                seconds = fresh(medians, kernel.name, sizes, device, threads, quick)
            except Failed as error:
                raise GenbenchError(
                    f"the sweep of {kernel.name} over {axis} failed: {error}", "Profile other kernels by their names."
                ) from error
            b, stderr = slope(np.log(lengths), np.log(seconds))
            found.append(Growth(kernel.name, axis, start, lengths, seconds, b, stderr, expected))
    return found
