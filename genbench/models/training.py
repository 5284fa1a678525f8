"""One training loop for every baseline: seeded, resumable, with the best weights by validation.

A baseline either has `fit(x, labels)` (closed form), or `loss(x, generator)` (gradient), or
`stages()` where it takes more than one optimiser (a critic and a generator) or more than one
stage (codes, then their prior); `initialise(x, generator)` sees some training data once, before
the first step. Everything random in step s is seeded by (seed, stage, s), so
a run that was interrupted and resumed equals one that was not.
"""

from __future__ import annotations

import functools
import inspect
import json
import math
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from genbench import catalog
from genbench.datasets import Dataset
from genbench.errors import GenbenchError, unknown
from genbench.models.capabilities import n_classes
from genbench.models.checkpoint import Card, save
from genbench.models.sampling import derive, seeded, to_tensor

VALIDATION_BATCH = 500
INITIAL = 4096  # training examples that `initialise` sees


@dataclass(frozen=True)
class Preset:
    """How a baseline is trained on one dataset.

    Arguments:
        options: keyword arguments of `build`.
        steps, batch_size: of the whole run; stages divide the steps.
        lr, betas, weight_decay: of AdamW; the rate is warmed up, then annealed by a half cosine.
        clip: largest norm of the gradient, 0 for none.
        ema: decay of the average of the weights that is validated and kept, 0 for none.
        validate_every: steps between two validations.
    """

    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 3000
    batch_size: int = 64
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float = 0.0
    ema: float = 0.0
    warmup: int = 100
    anneal: bool = True
    validate_every: int = 200


@dataclass(frozen=True)
class Objective:
    """One optimiser's task: lower `loss(x, generator[, labels])` over `parameters`, `repeats` times a step."""

    name: str
    parameters: Iterable[nn.Parameter]
    loss: Callable[..., Tensor]
    repeats: int = 1
    lr: float = 1.0  # relative to the preset's


@dataclass(frozen=True)
class Stage:
    """Objectives that take turns, and the value (lower is better) by which the best weights are kept.

    `validate(x, generator[, labels])` sees at most 500 examples at a time. None keeps the last weights.
    """

    name: str
    objectives: tuple[Objective, ...]
    validate: Callable[..., Tensor] | None
    share: float = 1.0  # of the steps


def stages_of(model: Any) -> tuple[Stage, ...]:
    """The model's own stages, or the one stage that lowers its loss."""
    if hasattr(model, "stages"):
        return tuple(model.stages())
    return (Stage("train", (Objective("loss", model.parameters(), model.loss),), model.loss),)


def preset_of(name: str, dataset: str, settings: dict[str, Any]) -> Preset:
    """The baseline's preset for a dataset, with `--set` settings on top: options of `build` or of training."""
    presets = getattr(catalog.trainable(name), "PRESETS", {})
    preset = presets.get(dataset, Preset())
    options, training = dict(preset.options), {}
    known = catalog.options_of(name)
    own = {f for f in asdict(preset) if f != "options"}
    for key, value in settings.items():
        if key in known:
            options[key] = value
        elif key in own:
            training[key] = value
        else:
            raise unknown(f"setting of baseline '{name}'", key, [*known, *own])
    return replace(preset, options=options, **training)


@functools.lru_cache(maxsize=2)
def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    return np.random.default_rng(derive(seed, "epoch", epoch)).permutation(n)


class Batches:
    """Batch number i of the training data: the same whenever it is asked for."""

    def __init__(self, dataset: Dataset, batch_size: int, seed: int, conditional: bool, device: torch.device) -> None:
        self.dataset, self.seed, self.device, self.conditional = dataset, seed, device, conditional
        self.size = min(batch_size, len(dataset.train))
        self.per_epoch = len(dataset.train) // self.size

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """(x,) or, for a conditional model, (x, labels)."""
        epoch, i = divmod(number, self.per_epoch)
        index = permutation(self.seed, epoch, len(self.dataset.train))[i * self.size : (i + 1) * self.size]
        rng = np.random.default_rng(derive(self.seed, "batch", number))
        x = to_tensor(self.dataset.batch(index, rng), self.dataset.space, self.device)
        if not self.conditional:
            return (x,)
        return x, torch.from_numpy(self.dataset.labels_of("train")[index]).to(self.device)


class Average:
    """Exponential moving average of the weights: decay min(ema, (1 + t) / (10 + t)); buffers are copied."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay, self.t = model, decay, 0
        self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        self.t += 1
        decay = min(self.decay, (1 + self.t) / (10 + self.t))
        trained = dict(self.model.named_parameters())
        for name, value in self.model.state_dict().items():
            if name in trained and self.decay > 0:
                self.weights[name].lerp_(value, 1 - decay)
            else:
                self.weights[name].copy_(value)


@torch.no_grad()
def validate(stage: Stage, model: nn.Module, average: Average, data: tuple[Tensor, ...], seed: int) -> float:
    """The stage's validation value of the averaged weights, over all validation examples, equally weighted."""
    assert stage.validate is not None
    own = {k: v.detach().clone() for k, v in model.state_dict().items()}
    model.load_state_dict(average.weights)
    model.eval()
    total, n = 0.0, len(data[0])
    for i in range(0, n, VALIDATION_BATCH):
        x, *labels = (t[i : i + VALIDATION_BATCH] for t in data)
        value = stage.validate(x, seeded(seed, "validation", i, device=x.device), *labels)
        total += float(value) * len(x)
    model.load_state_dict(own)
    model.train()
    return total / n


class Training:
    """The state of one run of the loop: what `resume` has to hold."""

    def __init__(self, model: nn.Module, stage: Stage, preset: Preset) -> None:
        self.optimisers = [
            torch.optim.AdamW(
                list(o.parameters),
                lr=preset.lr * o.lr,
                betas=(preset.betas[0], preset.betas[1]),
                weight_decay=preset.weight_decay,
            )
            for o in stage.objectives
        ]
        self.rates = [preset.lr * o.lr for o in stage.objectives]
        self.average = Average(model, preset.ema)
        self.best = {k: v.clone() for k, v in self.average.weights.items()}
        self.best_value, self.best_step, self.step = float("inf"), 0, 0

    def state(self) -> dict[str, Any]:
        return {
            "optimisers": [o.state_dict() for o in self.optimisers],
            "average": self.average.weights,
            "averaged": self.average.t,
            "best": self.best,
            "best_value": self.best_value,
            "best_step": self.best_step,
            "step": self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        for optimiser, s in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(s)
        self.average.weights, self.average.t = state["average"], state["averaged"]
        self.best, self.best_value = state["best"], state["best_value"]
        self.best_step, self.step = state["best_step"], state["step"]


class Interrupt:
    """Within this context Ctrl-C and SIGTERM are only noted: a step is finished before it is left."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interrupt:
        self.before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # handlers can be set nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, frame: Any) -> None:
        self.asked = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


def rate(done: float, step: int, preset: Preset) -> float:
    """Linear warm-up, then half a cosine down to zero; `done` in [0, 1]."""
    warm = min(1.0, (step + 1) / max(1, preset.warmup))
    return warm * (0.5 * (1 + math.cos(math.pi * min(done, 1.0))) if preset.anneal else 1.0)


def run_stage(
    model: nn.Module,
    stage: Stage,
    steps: int,
    preset: Preset,
    batches: Batches,
    validation: tuple[Tensor, ...],
    seed: int,
    minutes: float,
    resumed: dict[str, Any] | None,
    keep: Callable[[Training], None],
) -> Training:
    """Runs one stage to its end and leaves the best weights in the model. `keep` saves a state to resume from."""
    training = Training(model, stage, preset)
    if resumed:
        training.restore(resumed)
    started, first, kept = time.monotonic(), training.step, time.monotonic()
    terminal = sys.stderr.isatty()
    bar = tqdm(total=steps, initial=first, desc=stage.name, unit="step", file=sys.stderr, disable=not terminal)
    shown = {"loss": float("nan"), "valid": training.best_value}
    with bar, Interrupt() as interrupt:
        while training.step < steps:
            spent = (time.monotonic() - started) / 60 / minutes
            if spent >= 1:
                break
            step = training.step
            torch.manual_seed(derive(seed, stage.name, step))  # dropout draws from the global generator
            for i, objective in enumerate(stage.objectives):
                optimiser = training.optimisers[i]
                for group in optimiser.param_groups:
                    group["lr"] = training.rates[i] * rate(max(step / steps, spent), step, preset)
                for r in range(objective.repeats):
                    generator = seeded(seed, stage.name, objective.name, step, r, device=batches.device)
                    x, *labels = batches[step * objective.repeats + r]
                    loss = objective.loss(x, generator, *labels)
                    optimiser.zero_grad(set_to_none=True)
                    loss.backward()
                    if preset.clip > 0:
                        nn.utils.clip_grad_norm_(optimiser.param_groups[0]["params"], preset.clip)
                    optimiser.step()
            training.average.update()
            training.step += 1
            bar.update()
            if training.step % preset.validate_every == 0 or training.step == steps:
                shown["loss"] = float(loss.detach())
                if not np.isfinite(shown["loss"]):
                    raise GenbenchError(f"the loss is {shown['loss']} at step {training.step}", "Try a smaller lr.")
                if stage.validate is not None:
                    shown["valid"] = validate(stage, model, training.average, validation, seed)
                if stage.validate is None or shown["valid"] < training.best_value:
                    training.best = {k: v.clone() for k, v in training.average.weights.items()}
                    training.best_value, training.best_step = shown["valid"], training.step
                bar.set_postfix({k: f"{v:.4g}" for k, v in shown.items()}, refresh=False)
                if not terminal:
                    report_line(stage.name, training.step, steps, first, time.monotonic() - started, shown)
                if time.monotonic() - kept > 30:
                    keep(training)
                    kept = time.monotonic()
            if interrupt.asked:
                keep(training)
                raise KeyboardInterrupt
    model.load_state_dict(training.best)
    return training


def report_line(name: str, step: int, steps: int, first: int, elapsed: float, shown: dict[str, float]) -> None:
    """Progress where stderr is a file."""
    left = elapsed / (step - first) * (steps - step)
    values = "  ".join(f"{key} {value:.4f}" for key, value in shown.items())
    print(f"{name} {step}/{steps}  {values}  {elapsed:.0f} s, {left:.0f} s left", file=sys.stderr, flush=True)


def train(
    name: str,
    dataset: Dataset,
    preset: Preset,
    out: Path,
    seed: int = 0,
    minutes: float = float("inf"),
    device: torch.device | str = "cpu",
    command: str = "",
) -> Card:
    """Trains baseline `name` and writes its checkpoint to `out`.

    An interrupted run leaves `out` + ".resume"; the same call then goes on from there.

    Raises:
        GenbenchError: unknown baseline or option, a dataset it cannot model, or a diverging loss.
    """
    device = torch.device(device)
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, "init"))
        model: Any = catalog.build(name, dataset.space, preset.options).to(device)
        if hasattr(model, "initialise"):
            some = to_tensor(dataset.train[:INITIAL], dataset.space, device)
            model.initialise(some, seeded(seed, "initialise", device=device))
        # A classifier takes labels too: the signature of its loss says so, unless the model itself does.
        takes = "labels" in inspect.signature(getattr(model, "loss", print)).parameters
        conditional = n_classes(model) > 0 if hasattr(model, "n_classes") else takes
        values: dict[str, Any] = {}
        if hasattr(model, "fit"):
            x = to_tensor(dataset.train, dataset.space, device)
            y = torch.from_numpy(dataset.labels_of("train")) if dataset.labels else None
            model.fit(x, y)
        else:
            values = run_stages(model, dataset, preset, out, seed, minutes, device, conditional)
    model.eval()
    if hasattr(model, "report"):
        values.update(model.report(dataset))
    trainable = sum(p.numel() for p in model.parameters())
    card = Card(
        baseline=name,
        space=dataset.space,
        options=preset.options,
        dataset={"name": dataset.name, "sha256": dataset.sha256}
        | ({"vocabulary": dataset.vocabulary} if dataset.vocabulary else {}),  # so that samples can be read
        training={"command": command, "seed": seed, **values},
        parameters=trainable,
    )
    save(out, model, card)
    out.with_name(out.name + ".resume").unlink(missing_ok=True)
    return card


def run_stages(
    model: nn.Module,
    dataset: Dataset,
    preset: Preset,
    out: Path,
    seed: int,
    minutes: float,
    device: torch.device,
    conditional: bool,
) -> dict[str, Any]:
    """All stages one after another; what they reached, for the card."""
    batches = Batches(dataset, preset.batch_size, seed, conditional, device)
    validation: tuple[Tensor, ...] = (to_tensor(dataset.validation, dataset.space, device),)
    if conditional:
        validation += (torch.from_numpy(dataset.labels_of("validation")).to(device),)
    path = out.with_name(out.name + ".resume")
    signature = json.dumps([dataset.sha256, asdict(preset), seed], sort_keys=True, default=str)
    resumed = torch.load(path, map_location=device, weights_only=True) if path.is_file() else None
    if resumed and resumed["signature"] != signature:
        raise GenbenchError(f"{path} belongs to a run with other settings", "Delete it to start afresh.")
    if resumed:
        model.load_state_dict(resumed["model"])
        print(f"resuming from step {resumed['training']['step']} of stage {resumed['stage'] + 1}", file=sys.stderr)
    stages = stages_of(model)
    total = sum(stage.share for stage in stages)
    values: dict[str, Any] = resumed["values"] if resumed else {}
    model.train()
    for i, stage in enumerate(stages):
        if resumed and i < resumed["stage"]:
            continue

        def keep(training: Training, i: int = i) -> None:
            path.parent.mkdir(parents=True, exist_ok=True)
            state = {"signature": signature, "stage": i, "values": values, "model": model.state_dict()}
            torch.save({**state, "training": training.state()}, path.with_suffix(".tmp"))
            path.with_suffix(".tmp").replace(path)

        state = resumed["training"] if resumed and i == resumed["stage"] else None
        steps = max(1, round(preset.steps * stage.share / total))
        share = minutes * stage.share / total
        training = run_stage(model, stage, steps, preset, batches, validation, seed, share, state, keep)
        prefix = f"{stage.name}_" if len(stages) > 1 else ""
        values[f"{prefix}steps"], values[f"{prefix}best_step"] = training.step, training.best_step
        if stage.validate is not None:
            values[f"{prefix}validation"] = round(training.best_value, 6)
    return values
