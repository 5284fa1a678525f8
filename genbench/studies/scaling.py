"""What limits an evaluation on many workers, from the durations that a board's records keep.

    python -m genbench.studies.scaling leaderboards/digits --models 50 --metrics 60 --workers 8,16,32,64,128,256,512

Every record says how many seconds each artifact took and the metric itself; an artifact that several metrics share
stands in the record of the first. So a model is a chain of seconds, some in blocks that workers may share (at most as
many at once as there are blocks), and some not. The models of the board, drawn again until there are as many as asked
for, are put onto workers in two ways: whole, the longest first (Graham, 1969: at most 4/3 of the shortest time there
is), and with blocks shared, where workers without a model spread over those that have blocks left. A board of another
number of metrics is scaled by that number. Neither waiting for a network's disk nor a scheduler's queue is counted.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tabulate import tabulate

from genbench.errors import GenbenchError
from genbench.run.records import model_key, open_run

TINY = 1e-9  # seconds that are rounding
START = 0.3  # seconds for the process of a model: docs/reliability.md
BLOCKS = {  # artifacts that are kept block by block, so that workers can share them
    "ais", "bdmc", "class_log_likelihoods", "class_samples", "class_features", "completion", "gaussian_posteriors",
    "log_likelihood", "path_lengths", "probability_flow", "reconstructions", "sample_balance", "sample_features",
    "samples", "test_balance", "test_encodings", "train_encodings", "translated", "translated_back",
    "cycled", "cycled_back", "validation_log_likelihood", "outside_log_likelihood", "amortisation",
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """Seconds of one model, in blocks that can be shared and in what cannot; and the blocks of its longest part."""

    shared: float
    alone: float
    cells: int
    blocks: int = 1

    @property
    def whole(self) -> float:
        return self.shared + self.alone + START


def works_of(folder: Path) -> list[Work]:
    """Of every model of a run the seconds that its records say.

    Raises:
        GenbenchError: there is no run, or its records say nothing.
    """
    shared: dict[str, float] = {}
    alone: dict[str, float] = {}
    cells: dict[str, int] = {}
    blocks: dict[str, int] = {}  # of what takes a model longest
    slowest: dict[str, float] = {}
    seen: set[tuple[str, str]] = set()
    for record in open_run(folder).records():
        phases = record.timing.get("phases_s")
        if not isinstance(phases, dict) or not all(isinstance(s, int | float) for s in phases.values()):
            continue
        key = model_key(record)
        cells[key] = cells.get(key, 0) + 1
        job = (key, f"{record.started} {sorted(phases.items())}")  # several outputs of one metric have its time each
        if job in seen:
            continue
        seen.add(job)
        for name, seconds in phases.items():
            where = shared if name in BLOCKS else alone
            where[key] = where.get(key, 0.0) + seconds
        most = sum(seconds for name, seconds in phases.items() if name in BLOCKS)
        if (size := record.protocol.get("block_size")) and most > slowest.get(key, 0.0):
            rows = record.protocol.get("n_samples") or record.dataset["n"] or 1
            slowest[key], blocks[key] = most, math.ceil(rows / size)
    if not cells:
        raise GenbenchError(f"no record of {folder} says how long it took", "Name a run or a published board.")
    return [Work(shared.get(key, 0.0), alone.get(key, 0.0), n, blocks.get(key, 1)) for key, n in cells.items()]


def drawn(works: Sequence[Work], models: int, metrics: int, seed: int) -> list[Work]:
    """So many models, each of so many metrics: the board's once, then some of them again."""
    rng = random.Random(seed)
    once = rng.sample(list(works), min(models, len(works)))
    chosen = [*once, *rng.choices(list(works), k=models - len(once))]
    return [replace(w, shared=w.shared * metrics / w.cells, alone=w.alone * metrics / w.cells) for w in chosen]


def whole(works: Sequence[Work], workers: int) -> float:
    """Seconds until all are done, each model on one worker, the longest first."""
    free = [0.0] * min(workers, len(works))
    for seconds in sorted((w.whole for w in works), reverse=True):
        heapq.heapreplace(free, free[0] + seconds)
    return max(free)


def with_blocks(works: Sequence[Work], workers: int) -> float:
    """Seconds until all are done, where workers without a model make blocks of those that have some left.

    Each model has one worker until it is done, the longest begin; the others spread evenly. A model does first what
    cannot be shared.
    """
    waiting = sorted(works, key=lambda w: w.whole)
    now, running = 0.0, list[tuple[Work, float, float]]()  # a model, its seconds left alone and in blocks
    while waiting or running:
        while waiting and len(running) < workers:
            work = waiting.pop()
            running.append((work, work.alone + START, work.shared))
        helped = [i for i, (work, alone, left) in enumerate(running) if alone <= 0 and left > 0]
        speed = [1.0] * len(running)
        spare = float(workers - len(running))
        for place, i in enumerate(sorted(helped, key=lambda i: running[i][0].blocks)):
            more = min(spare / (len(helped) - place), running[i][0].blocks - 1.0)
            speed[i], spare = 1.0 + more, spare - more
        step = min((alone if alone > 0 else left) / v for (_, alone, left), v in zip(running, speed, strict=True))
        now += step
        moved = [
            (work, alone - step, left) if alone > 0 else (work, 0.0, left - step * v)
            for (work, alone, left), v in zip(running, speed, strict=True)
        ]
        running = [(w, a, left) for w, a, left in moved if a > TINY or left > TINY]
    return now


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m genbench.studies.scaling", description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--metrics", type=int, default=60)
    parser.add_argument("--workers", default="1,2,8,16,32,64,128,256,512")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    works = drawn(works_of(args.run), args.models, args.metrics, args.seed)
    total = sum(w.whole for w in works)
    longest = max(works, key=lambda w: w.whole)
    print(
        f"{len(works)} models x {args.metrics} metrics of {args.run}: {total:,.0f} s of work; the longest model "
        f"{longest.whole:,.0f} s, {longest.alone:,.0f} s of them not in blocks, the others in {longest.blocks} blocks"
    )
    rows = []
    for text in args.workers.split(","):
        n = int(text)
        a, b = whole(works, n), with_blocks(works, n)
        rows.append([n, f"{a:,.0f}", f"{total / a:.1f}", f"{b:,.0f}", f"{total / b:.1f}"])
    heads = ["workers", "whole models (s)", "speed-up", "with blocks (s)", "speed-up"]
    print(tabulate(rows, heads, tablefmt="github", disable_numparse=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
