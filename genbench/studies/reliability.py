"""The drill: evaluations, trainings and publishing are killed at random moments, and nothing may be lost by it.

    python -m genbench.studies.reliability --kills 200 --seed 0

An evaluation is started again and again until all is measured; each time, after a random while, SIGKILL ends the runner
or one of its workers. Afterwards every record that was finished has the same bytes as before, none is torn, and the
values are those of an evaluation that nobody disturbed. Blocks of samples are counted as they are drawn: each once,
the first of a model once more to see that it repeats itself; for each kill at most that and the blocks in hand, one of
each worker (of two, one may make blocks of the other's model), are drawn once again. A training
that was killed ends with the bytes of one that was not; so does publishing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genbench import datasets
from genbench.boards.publishing import publish
from genbench.models import training
from genbench.models.adapters import parse
from genbench.models.training import Preset
from genbench.run.evaluate import evaluate
from genbench.run.isolation import LAST, PRELOADED, Isolation
from genbench.run.plan import Plan, plan
from genbench.run.process import no_main
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import DONE, Run

MODELS = """
    import os, time, torch
    from genbench import Space

    class Model(torch.nn.Module):
        version = 1
        space = Space((2,))
        def __init__(self, shift=0):
            super().__init__()
            self.shift = shift
        def log_prob(self, x): return -0.5 * (x - self.shift).square().sum(1)
        def sample(self, n, generator):
            with open(os.path.join(os.path.dirname(__file__), "log"), "a") as file:
                file.write(f"{os.getpid()} {self.shift} {generator.initial_seed()}\\n")
            time.sleep(0.02)
            return self.shift + torch.randn(n, 2, generator=generator)
"""
NUMBER, BLOCKS, SIZE = 4, 10, 20  # models; blocks of samples, and samples in each
STEPS, KEPT = 2000, 0.1  # of a training; seconds between two states that it keeps


@dataclass
class Tally:
    """What the drill has seen; all but `kills` and `starts` should be 0."""

    kills: Counter[str] = field(default_factory=Counter)
    starts: int = 0
    lost: int = 0
    torn: int = 0
    different: int = 0
    redone: int = 0
    failed: int = 0

    @property
    def well(self) -> bool:
        return not (self.lost or self.torn or self.different or self.redone or self.failed)


def planned(folder: Path) -> Plan:
    path = folder / "models.py"
    if not path.exists():
        path.write_text(textwrap.dedent(MODELS))
    x = np.random.default_rng(0).standard_normal((600, 2)).astype(np.float32)
    data = datasets.Dataset(
        "plane", datasets.Space((2,)), x[:200], x[200:400], x[400:], "CC0 (generated)", "this drill"
    )
    protocol = Protocol(n_samples=BLOCKS * SIZE, block_size=SIZE)
    sources = [parse(f"m{i}={path}:Model?shift={i}", data) for i in range(NUMBER)]
    return plan(Suite("plane", ("nll", "fd", "kd", "copies"), "pixels", protocol=protocol), data, sources)


def measure(folder: Path, workers: int) -> None:
    evaluate(planned(folder), Run(folder / "run"), "cpu", apart=Isolation(workers=workers, help_after=0.0))


def train(folder: Path) -> None:
    training.KEEP_EVERY = KEPT
    preset = Preset(options={"components": 3}, steps=STEPS, batch_size=32, validate_every=50)
    training.train("mixture", datasets.load("digits"), preset, folder / "model.safetensors")


def pack(folder: Path, run: Path) -> None:
    publish([Run(run)], folder / "boards" / "page")


def started(function: Callable[..., None], *arguments: Any) -> Any:
    """A process with a group of its own, forked from a server that has loaded what it needs; what it prints is lost."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, "genbench.studies.reliability", *LAST])
    process = context.Process(target=alone, args=(function, arguments))
    with no_main():
        process.start()
    return process


def alone(function: Callable[..., None], arguments: tuple) -> None:
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    function(*arguments)


def killed(process: Any, after: float, victims: Callable[[], list[int]]) -> bool:
    """Whether somebody was killed: one of the victims of that moment, if the process has not ended by then."""
    process.join(after)
    found = victims() if process.exitcode is None else []
    for pid in found[-1:]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def pids(process: Any) -> list[int]:
    return [process.pid]


def finished(run: Run) -> dict[str, bytes]:
    """The records that may stand, as they lie on disk."""
    found = {}
    for path in run.files():
        data = path.read_bytes()
        with contextlib.suppress(ValueError):
            if json.loads(data)["status"] in DONE:
                found[path.name] = data
    return found


def values(run: Run) -> dict[str, Any]:
    return {r.cell_id: (r.status, r.value, r.stderr, r.ci95) for r in run.records()}


def drill_evaluation(scratch: Path, expected: dict[str, Any], rng: random.Random, tally: Tally, kills: int) -> None:
    """Kills of runners and workers until one folder is complete, or so many have been."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    run, workers, done, counts = Run(folder / "run"), rng.choice([1, 2]), dict[str, bytes](), 0
    while len(done) < len(expected):
        process, whom = started(measure, folder, workers), rng.choice(["runner", "worker"])
        tally.starts += 1

        def victims(whom: str = whom, process: Any = process) -> list[int]:
            if whom == "runner":
                return [process.pid]
            log = folder / "log"
            pids = [int(line.split()[0]) for line in log.read_text().splitlines()] if log.is_file() else []
            return [pid for pid in pids if Path(f"/proc/{pid}").exists()][-1:]

        while process.exitcode is None and counts < kills:
            if killed(process, rng.uniform(0.05, 1.0), victims):
                tally.kills[whom] += 1
                counts += 1
                if whom == "runner":
                    break
        process.join(120)
        if process.exitcode is None:
            tally.failed += 1
            process.kill()
            return
        if process.exitcode not in (0, -signal.SIGKILL):
            tally.failed += 1
        time.sleep(0.1)  # workers of a runner that is gone are ended by then
        now = finished(run)
        tally.lost += sum(now.get(name) != data for name, data in done.items())
        tally.torn += len(run.unreadable())
        done = now
    tally.different += values(run) != expected
    drawn = Counter(tuple(line.split()[1:]) for line in (folder / "log").read_text().splitlines())
    extra = sum(drawn.values()) - NUMBER * BLOCKS - NUMBER  # each model draws its first block once more
    tally.redone += max(0, extra - (workers + 1) * counts)  # the blocks in hand, and the look at the first one
    shutil.rmtree(folder)


def drill_file(
    scratch: Path, name: str, start: Callable[[Path], Any], expected: dict[str, bytes], longest: float,
    rng: random.Random, tally: Tally,
) -> None:  # fmt: skip
    """Kills of what makes files, until it ends: they are those of one that nobody killed."""
    folder, patience = Path(tempfile.mkdtemp(dir=scratch)), longest
    while True:
        process = start(folder)
        tally.starts += 1
        if killed(process, rng.uniform(0.02, patience), partial(pids, process)):
            tally.kills[name] += 1
            patience *= 1.3  # publishing begins anew each time, and has to end some time
            process.join()
            continue
        process.join(120)
        break
    tally.failed += process.exitcode != 0
    tally.different += files(folder) != expected
    shutil.rmtree(folder)


def files(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, but for unfinished files, which are swept later, and locks."""
    paths = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".genbench-")]
    return {str(p.relative_to(folder)): p.read_bytes() for p in paths if p.suffix not in (".lock", ".resume")}


def drill(kills: int, seed: int) -> Tally:
    """So many kills: of four, two of evaluations, one of a training and one of publishing."""
    rng, tally = random.Random(seed), Tally()
    with tempfile.TemporaryDirectory(prefix="genbench-drill-") as name:
        scratch = Path(name)
        calm = scratch / "calm"
        calm.mkdir()
        evaluate(planned(calm), Run(calm / "run"), "cpu")
        expected = values(Run(calm / "run"))
        made: dict[str, dict[str, bytes]] = {}
        makers: dict[str, Callable[[Path], Any]] = {
            "training": lambda folder: started(train, folder),
            "publishing": lambda folder: started(pack, folder, calm / "run"),
        }
        lasted = {}
        for kind, start in makers.items():
            folder = Path(tempfile.mkdtemp(dir=scratch))
            start(folder).join()  # once, so that the server is there
            shutil.rmtree(folder)
            folder.mkdir()
            began = time.monotonic()
            start(folder).join()
            lasted[kind], made[kind] = time.monotonic() - began, files(folder)
        while (left := kills - tally.kills.total()) > 0:
            drill_evaluation(scratch, expected, rng, tally, min(left, max(2, left // 2), 12))
            for kind, start in makers.items():
                if tally.kills.total() < kills:
                    drill_file(scratch, kind, start, made[kind], lasted[kind], rng, tally)
            print(f"{tally.kills.total()} of {kills} kills", file=sys.stderr, flush=True)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m genbench.studies.reliability", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tally = drill(args.kills, args.seed)
    said = ", ".join(f"{n} of {kind}" for kind, n in sorted(tally.kills.items()))
    print(f"{tally.kills.total()} kills ({said}) in {tally.starts} starts")
    print(f"records lost: {tally.lost}, torn: {tally.torn}; results that differ: {tally.different}")
    print(f"blocks redone beyond those in hand: {tally.redone}; commands that failed: {tally.failed}")
    return 0 if tally.well else 1


if __name__ == "__main__":
    from genbench.studies import reliability  # by the name under which other processes find it

    sys.exit(reliability.main())
