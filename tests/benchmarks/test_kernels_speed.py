"""The kernels of `genbench profile`, each beside its peers in one group and in one run.

GOMP_SPINCOUNT=1000 pytest tests/benchmarks/test_kernels_speed.py --benchmark-only --benchmark-group-by=group [-k full]

`full` is n = 10,000 and d = 2048, and for the neighbours also d = 64; `small` takes seconds. `extra_info` holds what
a way takes in memory beyond its inputs, measured in a fresh process, and its largest error where there is a reference.
"""

from functools import lru_cache

import pytest
import torch

from genbench.studies.profiling.features import kernels
from genbench.studies.profiling.kernel import Size, shown
from genbench.studies.profiling.measure import OWN_RUNS, PEER_RUNS, error_of, extra_memory, fresh

KERNELS = {kernel.name: kernel for kernel in kernels()}
SIZES: dict[str, list[tuple[str, Size]]] = {
    "frechet-trace": [("small", {"d": 256}), ("full", {"d": 2048})],
    "frechet-trace-low-rank": [("small", {"n": 100, "d": 512}), ("full", {"n": 500, "d": 2048})],
    "prdc": [("small", {"n": 1000, "d": 64}), ("full", {"n": 10_000, "d": 64}), ("full", {"n": 10_000, "d": 2048})],
    "precision-recall": [("small", {"n": 1000, "d": 64}), ("full", {"n": 10_000, "d": 2048})],
    "nearest": [("small", {"n": 1000, "d": 64}), ("full", {"n": 10_000, "d": 64}), ("full", {"n": 10_000, "d": 2048})],
    "moments": [("small", {"n": 1000, "d": 64}), ("full", {"n": 10_000, "d": 2048})],
    "kernel-sums": [("small", {"n": 1000, "d": 64}), ("full", {"n": 10_000, "d": 2048})],
    "kid-subsets": [("small", {"n": 1000, "d": 64}), ("full", {"n": 10_000, "d": 2048})],
    "inception-score": [("small", {"n": 1000}), ("full", {"n": 10_000})],
    "vendi": [("small", {"n": 1000, "d": 64}), ("full", {"n": 10_000, "d": 2048})],
    "fd-prdc": [("small", {"n": 1000, "d": 64}), ("full", {"n": 10_000, "d": 2048})],
    "all-metrics": [("small", {"n": 1000, "d": 64}), ("full", {"n": 10_000, "d": 2048})],
}
CASES = [
    pytest.param(name, size, way.name, id=f"{scale}-{name}-{shown(size)}-{way.name}".replace(" ", "-").replace("=", ""))
    for name, sizes in SIZES.items()
    if name in KERNELS
    for scale, size in sizes
    for way in KERNELS[name].ways
]


@lru_cache(maxsize=1)
def inputs(name: str, size: tuple[tuple[str, int], ...]) -> tuple:
    """Of a kernel, the same for all its ways."""
    return KERNELS[name].inputs("cpu", **dict(size))


@pytest.mark.parametrize(("name", "size", "way_name"), CASES)
def test_kernel(benchmark, name, size, way_name):
    kernel = KERNELS[name]
    way, threads = kernel.way(way_name), torch.get_num_threads()
    if why := way.obstacle("cpu"):
        pytest.skip(why)
    benchmark.group = f"{name}, {shown(size)}"
    memory = fresh(extra_memory, name, way_name, size, threads)
    error = error_of(kernel, way, kernel.checked_at(size), "cpu", threads)
    benchmark.extra_info.update(threads=threads, peak_extra_memory_bytes=memory, relative_error=error, **size)
    given = inputs(name, tuple(size.items()))
    rounds = min(kernel.most_runs, OWN_RUNS if way.own else PEER_RUNS)
    benchmark.pedantic(way.run, args=given, rounds=rounds, warmup_rounds=min(1, rounds - 1))
