"""One training loop for every baseline: seeded, resumable, with the best weights by validation.

A baseline either has `fit(x, labels)` (closed form), or `loss(x, generator)` (gradient), or
`stages()` where it takes more than one optimiser (a critic and a generator) or more than one
stage (codes, then their prior); `initialise(x, generator)` sees some training data once, before
the first step. The losses of a model that translates are given a batch of either domain; those of a
model of text with a `crop_length`, crops of so many tokens. `train` builds, trains and saves; `Loop`
is one stage of it.

Everything random in step s is seeded by (seed, stage, s), so a run that was interrupted and
resumed equals one that was not.
"""

from __future__ import annotations

import functools
import inspect
import math
import platform
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from genbench import catalog, reading
from genbench.datasets import Dataset
from genbench.errors import GenbenchError, unknown
from genbench.files import Draft, destination, reserved, sweep
from genbench.models import building
from genbench.models.batches import Batches, examples
from genbench.models.capabilities import Translator, n_classes
from genbench.models.checkpoint import Card, packed, unwritable
from genbench.models.resuming import Interrupt, Resume
from genbench.models.sampling import derive, seeded, to_tensor
from genbench.numerics.choice import few
from genbench.reading import Count, Within

INITIAL = 4096  # training examples that `initialise` sees
VALIDATION_BATCH = 500
KEEP_EVERY = 30.0  # seconds between two states to resume from
SLACK = 1 << 16  # bytes by which the card may grow in training

Decay = Annotated[float, Within(0, below=1)]
NotNegative = Annotated[float, Within(0)]


@dataclass(frozen=True)
class Preset:
    """How a baseline is trained on one dataset.

    Arguments:
        options: keyword arguments of `build`.
        steps, batch_size: of the whole run; stages divide the steps.
        lr, betas, weight_decay: of AdamW.
        clip: largest norm of the gradient, 0 for none.
        ema: decay of the average of the weights that is validated and kept, 0 for none.
        warmup, anneal: the rate climbs linearly for so many steps, then falls by half a cosine.
        validate_every: steps between two validations.
        half: keep the weights in half precision, in half the bytes; what is validated is what is kept.

    Raises:
        GenbenchError: no steps, or none between two validations, or batches of no example.
    """

    options: dict[str, Any] = field(default_factory=dict)
    steps: Count = 3000
    batch_size: Count = 64
    lr: NotNegative = 1e-3
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    weight_decay: NotNegative = 0.0
    clip: NotNegative = 0.0
    ema: Decay = 0.0
    warmup: Annotated[int, Within(0)] = 100
    anneal: bool = True
    validate_every: Count = 200
    half: bool = False

    def __post_init__(self) -> None:
        reading.check(self)


@dataclass(frozen=True)
class Objective:
    """One optimiser's task: lower `loss(x, generator[, labels or y])` over `parameters`, `repeats` times a step."""

    name: str
    parameters: Iterable[nn.Parameter]
    loss: Callable[..., Tensor]
    repeats: int = 1
    lr: float = 1.0  # relative to the preset's


@dataclass(frozen=True)
class Stage:
    """Objectives that take turns, and the value (lower is better) by which the best weights are kept.

    `validate(x, generator[, labels or y])` sees at most 500 examples at a time. None keeps the last weights.
    """

    name: str
    objectives: tuple[Objective, ...]
    validate: Callable[..., Tensor] | None
    fraction: float = 1.0  # of the steps and minutes, relative to the other stages'


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
    if both := sorted(own & set(known)):
        raise GenbenchError(
            f"baseline '{name}' has an option '{both[0]}', which is a setting of training too",
            "Rename the option: whoever sets it could mean either.",
        )
    for key, value in settings.items():
        if key in known:
            options[key] = value
        elif key in own:
            training[key] = value
        else:
            raise unknown(f"setting of baseline '{name}'", key, [*known, *own])
    return replace(preset, options=options, **training)


def rate(done: float, step: int, preset: Preset) -> float:
    """Linear warm-up, then half a cosine down to zero; `done` in [0, 1]."""
    warm = min(1.0, (step + 1) / max(1, preset.warmup))
    return warm * (0.5 * (1 + math.cos(math.pi * min(done, 1.0))) if preset.anneal else 1.0)


def copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in weights.items()}


def as_kept(model: nn.Module, weights: Mapping[str, Tensor], half: bool) -> dict[str, Tensor]:
    """A copy of the weights as a checkpoint will hold them: parameters rounded to half precision, or as they are."""
    trained = dict(model.named_parameters(remove_duplicate=False)) if half else {}
    return {name: value.half().to(value.dtype) if name in trained else value for name, value in copied(weights).items()}


def passing(model: nn.Module) -> dict[str, Tensor]:
    """The buffers that no checkpoint keeps (`persistent=False`), such as a pool of images: a resumed run needs them."""
    kept = model.state_dict().keys()
    return {name: value for name, value in model.named_buffers() if name not in kept}


class Average:
    """Exponential moving average of the weights: decay min(ema, (1 + t) / (10 + t)); buffers are copied."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay, self.t = model, decay, 0
        self.weights = copied(model.state_dict())

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


class Progress:
    """A bar where stderr is a terminal, else a line for every validation."""

    def __init__(self, name: str, step: int, steps: int) -> None:
        self.name, self.first, self.steps, self.started = name, step, steps, time.monotonic()
        still = not sys.stderr.isatty()
        self.bar = tqdm(total=steps, initial=step, desc=name, unit="step", file=sys.stderr, disable=still)

    def show(self, step: int, values: dict[str, float]) -> None:
        if not self.bar.disable:
            self.bar.set_postfix({key: f"{value:.4g}" for key, value in values.items()}, refresh=False)
            return
        elapsed = time.monotonic() - self.started
        left = elapsed / max(1, step - self.first) * (self.steps - step)
        shown = "  ".join(f"{key} {value:.4f}" for key, value in values.items())
        print(
            f"{self.name} {step}/{self.steps}  {shown}  {elapsed:.0f} s, {left:.0f} s left", file=sys.stderr, flush=True
        )


class Loop:
    """One stage of a run: its optimisers, the average of the weights, and the best of these so far.

    Arguments:
        preset: of the run, with the steps of this stage.
        minutes: the stage ends after so many, its rate annealed in time.
    """

    def __init__(
        self, model: nn.Module, stage: Stage, batches: Batches, preset: Preset, seed: int, minutes: float
    ) -> None:
        self.model, self.stage, self.batches = model, stage, batches
        self.preset, self.seed, self.minutes = preset, seed, minutes
        self.optimisers = [
            torch.optim.AdamW(list(o.parameters), betas=preset.betas, weight_decay=preset.weight_decay)
            for o in stage.objectives
        ]
        self.average = Average(model, preset.ema)
        self.best, self.best_value, self.best_step = copied(self.average.weights), float("inf"), 0
        self.step, self.started = 0, time.monotonic()
        self.losses: dict[str, Tensor] = {}  # the last one of every objective

    def run(self, keep: Callable[[dict[str, Any]], None]) -> None:
        """Steps until steps or minutes are over; then the model has the best weights. `keep` saves a state."""
        progress, kept = Progress(self.stage.name, self.step, self.preset.steps), time.monotonic()
        with progress.bar, Interrupt() as interrupt:
            while (done := self.done()) < 1:
                self.take_step(done)
                progress.bar.update()
                if self.step % self.preset.validate_every == 0:
                    progress.show(self.step, self.judge())
                if interrupt.asked or time.monotonic() - kept > KEEP_EVERY:
                    keep(self.state())
                    kept = time.monotonic()
                if interrupt.asked:
                    raise KeyboardInterrupt
            if self.step % self.preset.validate_every != 0:
                progress.show(self.step, self.judge())
        self.model.load_state_dict(self.best)

    def done(self) -> float:
        """The part of the stage that is over, by steps or by time, whichever is further."""
        return max(self.step / self.preset.steps, (time.monotonic() - self.started) / 60 / self.minutes)

    def take_step(self, done: float) -> None:
        """Every objective in turn, each repeat on the next batch."""
        torch.manual_seed(derive(self.seed, self.stage.name, self.step))  # dropout draws from the global generator
        for objective, optimiser in zip(self.stage.objectives, self.optimisers, strict=True):
            (group,) = optimiser.param_groups
            group["lr"] = self.preset.lr * objective.lr * rate(done, self.step, self.preset)
            for r in range(objective.repeats):
                keys = self.seed, self.stage.name, objective.name, self.step, r
                x, *labels = self.batches[self.step * objective.repeats + r]
                loss = objective.loss(x, seeded(*keys, device=self.batches.device), *labels)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                if self.preset.clip > 0:
                    nn.utils.clip_grad_norm_(group["params"], self.preset.clip)
                optimiser.step()
            self.losses[objective.name] = loss.detach()
        self.average.update()
        self.step += 1

    def judge(self) -> dict[str, float]:
        """Validates the averaged weights, and keeps them if they are the best yet; the values to show.

        Raises:
            GenbenchError: a loss is not finite.
        """
        shown = {name: float(loss) for name, loss in self.losses.items()}
        for name, value in shown.items():
            if not math.isfinite(value):
                problem = f"the loss is {value} at step {self.step} of stage '{self.stage.name}', objective '{name}'"
                raise GenbenchError(problem, "Try a smaller lr.")
        weights = as_kept(self.model, self.average.weights, self.preset.half)
        if self.stage.validate is not None:
            shown["valid"] = self.validate(weights)
        if self.stage.validate is None or shown["valid"] < self.best_value:
            self.best, self.best_step = weights, self.step
            self.best_value = shown.get("valid", math.inf)
        return shown

    @torch.no_grad()
    def validate(self, weights: Mapping[str, Tensor]) -> float:
        """The stage's value of these weights in evaluation mode, every validation example weighing alike."""
        assert self.stage.validate is not None
        own = copied(self.model.state_dict())
        self.model.load_state_dict(weights)
        self.model.eval()
        total, n = 0.0, len(self.batches.validation[0])
        for i in range(0, n, VALIDATION_BATCH):
            x, *labels = (t[i : i + VALIDATION_BATCH] for t in self.batches.validation)
            value = self.stage.validate(x, seeded(self.seed, "validation", i, device=x.device), *labels)
            total += float(value) * len(x)
        self.model.load_state_dict(own)
        self.model.train()
        return total / n

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on from here."""
        return {
            "model": self.model.state_dict(),
            "passing": passing(self.model),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "average": self.average.weights,
            "averaged": self.average.t,
            "best": self.best,
            "best_value": self.best_value,
            "best_step": self.best_step,
            "step": self.step,
            "seconds": time.monotonic() - self.started,
        }

    def restore(self, state: dict[str, Any]) -> None:
        for weights in (state["best"], state["average"], state["model"]):  # all three have to fit
            self.model.load_state_dict(weights)
        for name, value in passing(self.model).items():
            value.copy_(state["passing"][name])
        for optimiser, own in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(own)
        self.average.weights, self.average.t = state["average"], state["averaged"]
        self.best, self.best_value, self.best_step = state["best"], state["best_value"], state["best_step"]
        self.step, self.started = state["step"], time.monotonic() - state["seconds"]

    def reached(self) -> dict[str, Any]:
        """For the card."""
        values = {"steps": self.step, "best_step": self.best_step}
        return values if self.stage.validate is None else {**values, "validation": round(self.best_value, 6)}


def train_stages(
    model: nn.Module, batches: Batches, preset: Preset, seed: int, minutes: float, resume: Resume
) -> dict[str, Any]:
    """All stages, one after another, each from the best weights of the one before; what they reached, for the card."""
    stages, saved = stages_of(model), resume.load(batches.device)
    first, values = (saved["stage"], saved["values"]) if saved else (0, {})
    if first >= len(stages):
        raise resume.damaged(IndexError(f"it is at stage {first + 1} of {len(stages)}"))
    total = sum(stage.fraction for stage in stages)
    model.train()
    for i, stage in enumerate(stages[first:], first):
        steps = max(1, round(preset.steps * stage.fraction / total))
        own = replace(preset, steps=steps)
        loop = Loop(model, stage, batches, own, seed, minutes * stage.fraction / total)
        if saved is not None and i == first:
            with resume.restoring():
                loop.restore(saved["loop"])
        loop.run(functools.partial(resume.save, i, values))
        prefix = f"{stage.name}_" if len(stages) > 1 else ""
        values |= {prefix + key: value for key, value in loop.reached().items()}
    return values


def initialised(model: Any, dataset: Dataset, seed: int, device: torch.device) -> None:
    """Shows some training data to a model that wants to see them before its first step."""
    if hasattr(model, "initialise"):
        some = to_tensor(few(dataset.train, INITIAL, seed), dataset.space, device)
        model.initialise(some, seeded(seed, "initialise", device=device))


def takes_labels(model: Any) -> bool:
    """Whether losses take labels: `n_classes` says so, of a model without it (a classifier) the loss's signature."""
    if hasattr(model, "n_classes"):
        return n_classes(model) > 0
    return hasattr(model, "loss") and "labels" in inspect.signature(model.loss).parameters


def batches_of(model: Any, dataset: Dataset, size: int, seed: int, device: torch.device) -> Batches:
    """What the losses of a model are given."""
    crop_length = getattr(model, "crop_length", None)
    return Batches(dataset, size, seed, takes_labels(model), device, isinstance(model, Translator), crop_length)


def made_with(device: torch.device) -> dict[str, Any]:
    """What the bits of a training depend on besides its settings: equal threads and versions give equal weights."""
    machine = f"{platform.system()} {platform.machine()}"
    return {"threads": torch.get_num_threads(), "torch": torch.__version__, "platform": machine, "device": device.type}


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

    What could fail at the end is tried first: the untrained model is saved beside `out`, which also takes the room that
    the trained one needs. An interrupted run leaves `out` + ".resume"; the same call then goes on from there.

    Raises:
        GenbenchError: unknown baseline or option, a dataset it cannot model, a model that cannot be saved, an `out`
            that cannot be written or that another process is training, a diverging loss, or a ".resume" that is damaged
            or of other settings.
    """
    if not minutes > 0:
        raise GenbenchError(f"minutes is {minutes}", "Give a number above 0.")
    device, values = torch.device(device), dict[str, Any]()
    settings = [name, catalog.trained(name).made_of, dataset.sha256, asdict(preset), seed]
    resume = Resume(out.with_name(out.name + ".resume"), settings)
    try:
        sweep(out.parent)
        lock = reserved(destination(out))
        try:
            draft = Draft(out)
        except BaseException:
            lock.free()
            raise
    except OSError as error:
        raise unwritable(out, error) from error

    def card() -> Card:
        return Card(
            baseline=name,
            space=dataset.space,
            options=preset.options,
            dataset={"name": dataset.name, "sha256": dataset.sha256}
            | ({"vocabulary": dataset.vocabulary} if dataset.vocabulary else {}),  # so that samples can be read
            training={"command": command, "seed": seed, **values, "environment": made_with(device)},
            parameters=sum(p.numel() for p in model.parameters()),
        )

    try:
        with torch.random.fork_rng():
            torch.manual_seed(derive(seed, "init"))
            model: Any = building.build(name, dataset.space, preset.options, building.of_machine()).to(device)
            draft.fill(packed(model, card(), preset.half) + bytes(SLACK))
            initialised(model, dataset, seed, device)
            if hasattr(model, "fit"):
                x, *labels = examples(dataset, "train", dataset.labels is not None, device)
                model.fit(x, labels[0] if labels else None)
                model.load_state_dict(as_kept(model, model.state_dict(), preset.half))
            else:
                batches = batches_of(model, dataset, preset.batch_size, seed, device)
                values = train_stages(model, batches, preset, seed, minutes, resume)
        model.eval()
        if hasattr(model, "report"):
            values.update(model.report(dataset))
        draft.fill(packed(model, card(), preset.half))
        draft.publish()
        resume.path.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    finally:
        draft.discard()
        lock.free()
    return card()
