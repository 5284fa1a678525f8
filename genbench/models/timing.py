"""Wall-clock timing of sampling and of training, with the device's queue drained on both sides of the clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from genbench.errors import Unavailable
from genbench.models import building
from genbench.models.capabilities import Sampler
from genbench.models.sampling import derive, seeded

if TYPE_CHECKING:
    from genbench.datasets import Dataset
    from genbench.models.checkpoint import Card
    from genbench.models.training import Loop, Stage

LEAST = 0.2  # seconds of training in a repeat: so many steps are taken


@dataclass(frozen=True)
class Timings:
    """Seconds of every repeat, after warm-up.

    Arguments:
        block_s: `[r]`, for `block_size` samples at once.
        single_s: `[r]`, for one sample.
        device: its name; threads: of the CPU.
    """

    block_s: np.ndarray
    single_s: np.ndarray
    block_size: int
    device: str
    threads: int


@dataclass(frozen=True)
class TrainingTimings:
    """Training examples per second of every repeat `[r]`, after a warm-up.

    Arguments:
        batch_size: of the preset.
        stages: of the training, each with its share of the steps.
        device: its name; threads: of the CPU.
        to_best: seconds `[r]` of the steps that led to the best weights; None where the card does not say how many.
        best_steps: of each stage.
    """

    per_second: np.ndarray
    batch_size: int
    stages: int
    device: str
    threads: int
    to_best: np.ndarray | None = None
    best_steps: tuple[int, ...] = ()


def device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


@torch.no_grad()
def time_sampling(model: Sampler, block_size: int, device: torch.device, repeats: int = 6) -> Timings:
    """Times `model.sample`, `repeats` times for a block and for one, after one warm-up of each."""

    def seconds(n: int) -> np.ndarray:
        times = []
        for i in range(repeats + 1):
            generator = seeded("timing", n, i, device=device)
            times.append(timed(partial(model.sample, n, generator), device))
        return np.array(times[1:])

    return Timings(seconds(block_size), seconds(1), block_size, device_name(device), torch.get_num_threads())


def timed(do: Callable[[], Any], device: torch.device) -> float:
    """Seconds that it takes."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    do()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


def take_steps(loop: Loop, n: int) -> None:
    for _ in range(n):
        loop.take_step(0.5)


def untrained(card: Card, dataset: Dataset, device: torch.device) -> Any:
    """A checkpoint's baseline before its training, with the options of the card.

    Raises:
        Unavailable: it is fitted in closed form.
    """
    torch.manual_seed(derive(0, "init"))
    model: Any = building.build(card.baseline, dataset.space, card.options, building.of_machine()).to(device)
    if hasattr(model, "fit"):
        raise Unavailable("it is fitted in closed form, without steps")
    return model


def beginning(model: Any, card: Card, dataset: Dataset, device: torch.device) -> Callable[[Stage], Loop]:
    """Makes the loop of a stage, at its first step. All but the options is that of the preset for the data."""
    from genbench.models.training import Loop, batches_of, initialised, preset_of

    preset = replace(preset_of(card.baseline, dataset.name, {}), options=card.options)
    initialised(model, dataset, 0, device)
    batches = batches_of(model, dataset, preset.batch_size, 0, device)
    model.train()
    return partial(Loop, model, batches=batches, preset=preset, seed=0, minutes=math.inf)


def best_steps(card: Card, stages: list[str]) -> tuple[int, ...]:
    """How many steps of each stage led to its best weights, as the card says; () where it does not."""
    said = [card.training.get(f"{name}_best_step" if len(stages) > 1 else "best_step") for name in stages]
    return tuple(steps for steps in said if isinstance(steps, int)) if None not in said else ()


def time_training(card: Card, dataset: Dataset, device: torch.device, repeats: int = 6) -> TrainingTimings:
    """Times the training loop of a checkpoint's baseline from its first weights, without validation.

    Of several stages each has its share of the steps.

    Raises:
        Unavailable: it is fitted in closed form.
    """
    from genbench.models.training import stages_of

    with torch.random.fork_rng():
        model = untrained(card, dataset, device)
        begin, stages = beginning(model, card, dataset, device), stages_of(model)
        of_step, seen = [], []
        for stage in stages:
            loop = begin(stage)
            take_steps(loop, 1)  # which also makes what is made once
            steps = math.ceil(LEAST / max(timed(partial(take_steps, loop, 1), device), 1e-3))
            some = partial(take_steps, loop, steps)
            of_step.append([timed(some, device) / steps for _ in range(repeats)])
            seen.append(loop.batches.size * max(objective.repeats for objective in stage.objectives))
    share = np.array([stage.fraction for stage in stages]) / sum(stage.fraction for stage in stages)
    seconds, best = np.array(of_step), best_steps(card, [stage.name for stage in stages])  # [stages, r]
    return TrainingTimings(
        share @ np.array(seen) / (share @ seconds),
        loop.batches.size,
        len(stages),
        device_name(device),
        torch.get_num_threads(),
        np.array(best) @ seconds if best else None,
        best,
    )
