"""What a process for each model costs: `pytest tests/benchmarks/test_isolation_speed.py --benchmark-only`.

Ratios within one run, never asserted; with one thread for each process (OMP_NUM_THREADS=1) on an idle machine.
"""

import os

import pytest

from genbench import catalog, datasets
from genbench.models.adapters import parse
from genbench.run.evaluate import evaluate
from genbench.run.isolation import Isolation
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run

HOW = {"one process": None, "a process each": Isolation(), "two at once": Isolation(workers=2)}


@pytest.mark.benchmark(group="start of a worker")
def test_isolation_start(benchmark):
    apart = Isolation()
    apart.ask(os.getpid)  # the server is there
    benchmark(apart.ask, os.getpid)


@pytest.mark.benchmark(group="eight checkpoints of ring8")
@pytest.mark.parametrize("how", HOW)
def test_isolation_of_models(benchmark, how, tmp_path_factory):
    ring = datasets.load("ring8")
    paths = sorted((catalog.BASELINES / "checkpoints" / "ring8").glob("*.safetensors"))[:8]
    suite = Suite("ring8", ("nll", "fd", "kd", "precision", "copies"), "pixels", protocol=Protocol(n_samples=1000))

    def measure() -> None:
        todo = plan(suite, ring, [parse(str(path), ring) for path in paths])
        evaluate(todo, Run(tmp_path_factory.mktemp("run")), "cpu", apart=HOW[how])

    benchmark.pedantic(measure, rounds=3, iterations=1, warmup_rounds=1)
