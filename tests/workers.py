"""What tests run in processes of their own: a new process finds a function only where it can be imported from."""

import json
import os
import textwrap
from pathlib import Path

import numpy as np

from genbench import datasets
from genbench.models.adapters import parse
from genbench.run.evaluate import evaluate
from genbench.run.isolation import Isolation
from genbench.run.plan import Plan, plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run
from genbench.studies.profiling import timer


def running(pid: int) -> bool:
    """Whether a process is there and has not ended: that nobody has waited for it yet is no life."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def hold(megabytes: int) -> int | None:
    """What `first_run` says of an array that is filled and dropped, after a larger one was."""
    np.ones(2 * megabytes * 2**17)
    return timer.first_run(lambda: np.ones(megabytes * 2**17), "cpu", 1)[1]


# --- Evaluations of slow models, several at once

MODELS = """
    import os, time, torch
    from genbench import Space

    class Model(torch.nn.Module):
        version = 1
        space = Space((2,))
        def __init__(self, shift=0.0, seconds=0.0):
            super().__init__()
            self.shift, self.seconds = float(shift), float(seconds)
        def log_prob(self, x):
            return -(x - self.shift).square().sum(1)
        def sample(self, n, generator):
            with open(os.environ.get("CALLS", os.devnull), "a") as file:
                file.write(f"{self.shift}\\n")
            if self.seconds < 0:
                os.abort()
            time.sleep(self.seconds)
            return self.shift + torch.randn(n, 2, generator=generator)
"""


def write_models(folder: Path) -> Path:
    """`models.py` with a model that is slow, or dies as it is drawn from, and writes each call into the file CALLS."""
    path = folder / "models.py"
    if not path.exists():
        path.write_text(textwrap.dedent(MODELS))
    return path


def planned(folder: Path, specs: list[str], metrics: tuple[str, ...] = ("copies", "fd"), blocks: int = 1) -> Plan:
    """Models m0, m1, ... with the arguments of each spec, to be measured on points of a plane, by blocks of samples."""
    path = write_models(folder)
    x = np.random.default_rng(0).standard_normal((60, 2)).astype(np.float32)
    data = datasets.Dataset("plane", datasets.Space((2,)), x[:20], x[20:40], x[40:], "none", "made here")
    sources = [parse(f"m{i}={path}:Model?{spec}", data) for i, spec in enumerate(specs)]
    return plan(
        Suite("plane", metrics, "pixels", protocol=Protocol(n_samples=20 * blocks, block_size=20)), data, sources
    )


def run_evaluation(folder: Path, specs: list[str], apart: bool, number: int, blocks: int = 1) -> None:
    """Writes how many cells it measured, how many failed, and how many others measured, into `counts-NUMBER`."""
    os.environ["CALLS"] = str(folder / "calls")
    kept = Isolation() if apart else None
    outcome = evaluate(planned(folder, specs, blocks=blocks), Run(folder / "run"), "cpu", pictures=False, apart=kept)
    (folder / f"counts-{number}").write_text(json.dumps([outcome.measured, outcome.failed, outcome.kept]))


def write_manifests(folder: Path, number: int) -> None:
    for i in range(20):
        rows = {f"{number}-{i}": {"name": f"{number}-{i}", "model": "0" * 16, "planned": "now", "cells": {}}}
        Run(folder).write_manifest({"run_id": f"r{number}-{i}", "command": "c", "rows": rows})
