"""The training loop: a model that writes down all it is given, and every rule of the loop computed a second time."""

import collections
import inspect
import itertools
import math
import os
import re
import signal
import sys
import threading
import types
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from genbench import catalog, datasets
from genbench.baselines.autoregressive import lstm
from genbench.datasets import Dataset
from genbench.datasets.tinyshakespeare import from_text
from genbench.errors import GenbenchError
from genbench.models import training
from genbench.models.batches import Batches
from genbench.models.checkpoint import Card, read_card
from genbench.models.resuming import Resume
from genbench.models.training import (
    Loop,
    Objective,
    Preset,
    Stage,
    batches_of,
    made_with,
    preset_of,
    rate,
    stages_of,
    takes_labels,
    train,
)
from genbench.space import Space

# Example i of the training data is (i / 64, 1 - i / 64), exact in float32, so that a batch tells its examples. Of 50,
# batches of 8 leave two over; 1,230 validation examples are seen as 500, 500 and 230, and their mean moves along.
CPU = torch.device("cpu")
N, HELD, CLASSES = 50, 1230, 3
TRAIN = np.stack([np.arange(N) / 64, 1 - np.arange(N) / 64], 1).astype(np.float32)
VALIDATION = np.stack([np.linspace(0, 0.4, HELD), np.linspace(0.4, 0.2, HELD)], 1).astype(np.float32)
LABELS = {
    split: np.random.default_rng(i).integers(CLASSES, size=n)
    for i, (split, n) in enumerate({"train": N, "validation": HELD, "test": 4}.items())
}
DATA = Dataset("pairs", Space((2,)), TRAIN, VALIDATION, TRAIN[:4], "CC0 (generated)", "this test", labels=LABELS)

# 40 steps are 30 of the first stage, each with 1 + 2 steps of its optimisers, and 10 of the second, each with one.
PRESET = Preset(
    steps=40, batch_size=8, lr=0.05, betas=(0.8, 0.95), weight_decay=0.1, clip=0.3, ema=0.6, warmup=7, validate_every=4
)
OPTIMISER_STEPS = 30 * 3 + 10


def weights_of(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


@dataclass
class Draw:
    """One call of a loss."""

    objective: str
    index: np.ndarray
    labels: np.ndarray
    seeds: tuple[int, int]  # of the generator, and of the global one that dropout draws from
    training: bool
    weights: dict


@dataclass
class Look:
    """One call of `validate`."""

    x: np.ndarray
    labels: np.ndarray
    seed: int
    training: bool
    weights: dict


@dataclass
class Update:
    """One step of an optimiser."""

    lr: float
    gradient: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    weights: dict  # of the whole model, afterwards


@dataclass
class Log:
    initial: list = field(default_factory=list)
    draws: list = field(default_factory=list)
    looks: list = field(default_factory=list)
    updates: list = field(default_factory=list)
    reports: list = field(default_factory=list)
    card: Card | None = None

    @property
    def rounds(self):
        """The weights of every validation of the first stage."""
        return [look.weights for look in self.looks[::3]]


class Model(nn.Module):
    """Dropout, buffers, labels, two objectives of which one repeats, two stages; all in float64.

    The first stage's value falls, then rises: `centre` passes the validation data on its way to the training data.
    """

    n_classes = CLASSES

    def __init__(self, log):
        super().__init__()
        self.space, self.log = DATA.space, log
        self.norm, self.dropout, self.head = nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, CLASSES)
        self.centre = nn.Parameter(torch.zeros(2))
        self.double()

    def initialise(self, x, generator):
        self.log.initial.append((x, generator.initial_seed(), weights_of(self)))
        self.eval()  # as a model may for its first look at the data
        with torch.no_grad():
            self.centre.fill_(-0.1)

    def stages(self):
        classifier = (p for part in (self.norm, self.head) for p in part.parameters())  # can be walked through once
        classify = Objective("classify", classifier, self.classify)
        pull = Objective("pull", [self.centre], self.pull, repeats=2, lr=0.5)
        again = Objective("again", [self.centre], self.again)
        return Stage("first", (classify, pull), self.value, fraction=3.0), Stage("second", (again,), None)

    def note(self, objective, x, generator, labels):
        index = (64 * x[:, 0]).long().numpy()
        seeds = generator.initial_seed(), torch.initial_seed()
        training = all(part.training for part in self.modules())
        self.log.draws.append(Draw(objective, index, labels.numpy(), seeds, training, weights_of(self)))

    def entropy(self, x, labels):
        return F.cross_entropy(self.head(self.dropout(self.norm(x.double()))), labels)

    def classify(self, x, generator, labels):
        self.note("classify", x, generator, labels)
        return self.entropy(x, labels)

    def pull(self, x, generator, labels):
        """Half the squared distance: its gradient is centre - mean(x)."""
        self.note("pull", x, generator, labels)
        return 0.5 * (self.centre - x.double()).square().sum(1).mean()

    def again(self, x, generator, labels):
        self.note("again", x, generator, labels)
        return 0.5 * (self.centre - x.double()).square().sum(1).mean()

    def value(self, x, generator, labels):
        training = any(part.training for part in self.modules()) or torch.is_grad_enabled()
        self.log.looks.append(Look(x.numpy(), labels.numpy(), generator.initial_seed(), training, weights_of(self)))
        return (self.centre - x.double()).square().sum(1).mean() + 0.01 * self.entropy(x, labels)

    def report(self, dataset):
        self.log.reports.append((dataset, any(part.training for part in self.modules()), weights_of(self)))
        return {"reported": 0.5}


def recorded(out, preset=PRESET, make=Model, data=DATA, seed=3, minutes=math.inf, before_update=lambda number: None):
    """Trains `make(log)`; `before_update(number)` is called within every step of an optimiser."""
    log = Log()
    models = []
    step = torch.optim.AdamW.step

    def build(name, space, options):
        models.append(make(log))
        return models[-1]

    def watched(self):
        before_update(len(log.updates) + 1)
        (group,) = self.param_groups
        flat = nn.utils.parameters_to_vector
        gradient, before = flat([p.grad for p in group["params"]]), flat(group["params"]).detach().clone()
        step(self)
        after = flat(group["params"]).detach().clone()
        log.updates.append(Update(group["lr"], gradient.clone(), before, after, weights_of(models[0])))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalog, "build", build)
        patch.setattr(catalog, "trained", lambda name: SimpleNamespace(made_of="version 1"))
        patch.setattr(torch.optim.AdamW, "step", watched)
        log.card = train("watched", data, preset, out, seed, minutes, command="genbench train watched")
    return log


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of the model without interruption: (what was written down, its checkpoint)."""
    out = tmp_path_factory.mktemp("whole") / "m.safetensors"
    return recorded(out), out


def by_stage(log):
    """[(stage, objective, step, repeat, draw, update)] in the order in which they should have come."""
    first = [("first", name, s, r) for s in range(30) for name, r in (("classify", 0), ("pull", 0), ("pull", 1))]
    second = [("second", "again", s, 0) for s in range(10)]
    return [(*key, *pair) for key, *pair in zip(first + second, log.draws, log.updates, strict=True)]


# What a step is


def test_objectives_take_turns_and_stages_divide_the_steps(whole):
    log, _ = whole
    assert [draw.objective for draw in log.draws] == [objective for _, objective, *_ in by_stage(log)]
    assert log.card.training["first_steps"] == 30
    assert log.card.training["second_steps"] == 10


def test_the_rate_is_linear_warm_up_times_half_a_cosine(whole):
    log, _ = whole
    relative = {"classify": 1.0, "pull": 0.5, "again": 1.0}
    for stage, objective, s, _, _, update in by_stage(log):
        cosine = math.cos(math.pi * s / {"first": 30, "second": 10}[stage] / 2) ** 2
        warm = [1 / 7, 2 / 7, 3 / 7, 4 / 7, 5 / 7, 6 / 7][s] if s < 6 else 1.0
        assert update.lr == pytest.approx(0.05 * relative[objective] * warm * cosine, rel=1e-12)


def test_without_warm_up_and_annealing_the_rate_is_the_presets(tmp_path):
    log = recorded(tmp_path / "m", replace(PRESET, warmup=0, anneal=False))
    assert {update.lr for update in log.updates} == {0.05, 0.025}
    assert rate(1.25, 9, Preset()) == 0.0  # time was over before the step began


def test_a_gradient_is_that_of_the_loss_alone_clipped_to_its_norm(whole):
    """The gradient of half a squared distance is centre - mean(x); a longer one is scaled to the clip's length."""
    log, _ = whole
    norms = collections.defaultdict(list)
    for _, objective, _, _, draw, update in by_stage(log):
        norms[objective].append(float(update.gradient.norm()))
        if objective != "classify":
            gradient = draw.weights["centre"] - torch.from_numpy(TRAIN[draw.index]).double().mean(0)
            expected = gradient * min(1.0, 0.3 / (float(gradient.norm()) + 1e-6))  # 1e-6: torch's guard against 0
            torch.testing.assert_close(update.gradient, expected, rtol=1e-12, atol=1e-12)
    for objective in ("classify", "pull", "again"):
        assert max(norms[objective]) <= 0.3
    assert min(norms["pull"]) < 0.29 < max(norms["pull"])  # both sides are seen
    assert max(norms["classify"]) > 0.29


def test_without_a_clip_gradients_are_whole(tmp_path):
    log = recorded(tmp_path / "m", replace(PRESET, clip=0.0))
    for _, objective, _, _, draw, update in by_stage(log):
        if objective != "classify":
            gradient = draw.weights["centre"] - torch.from_numpy(TRAIN[draw.index]).double().mean(0)
            torch.testing.assert_close(update.gradient, gradient, rtol=1e-12, atol=1e-12)
    assert max(float(update.gradient.norm()) for update in log.updates) > 0.3


def test_weights_move_by_adamw(whole):
    """Algorithm 2 of Decoupled Weight Decay Regularization (Loshchilov and Hutter, 2019), one state per objective."""
    log, _ = whole
    (b1, b2), states = PRESET.betas, {}
    for stage, objective, _, _, _, update in by_stage(log):
        g = update.gradient
        t, m, v = states.get((stage, objective), (0, 0.0, 0.0))
        t, m, v = t + 1, b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        states[stage, objective] = t, m, v
        direction = m / (1 - b1**t) / ((v / (1 - b2**t)).sqrt() + 1e-8)
        expected = update.before - update.lr * (direction + 0.1 * update.before)
        torch.testing.assert_close(update.after, expected, rtol=0, atol=1e-14)  # weights below 2, in float64


def test_nothing_but_the_optimisers_moves_the_weights(whole):
    """Each loss sees the weights as the last step left them, also after a validation, and in training mode."""
    log, _ = whole
    for (stage, *_, before), (after, _, _, _, draw, _) in itertools.pairwise(by_stage(log)):
        if stage == after:
            assert_same(before.weights, draw.weights)
    assert all(draw.training for draw in log.draws)


# Which examples, and which randomness


def test_every_epoch_deals_every_example_once(whole):
    """Batches are numbered through steps and repeats: six make an epoch, all different; the next has another order."""
    log, _ = whole
    for objective in ("classify", "pull", "again"):
        index = [draw.index for draw in log.draws if draw.objective == objective]
        epochs = [np.concatenate(index[i : i + 6]) for i in range(0, len(index), 6)]
        for epoch in epochs:
            assert len(set(epoch)) == len(epoch)
        assert len({tuple(epoch[:8]) for epoch in epochs}) == len(epochs)
        if len(epochs) > 2:
            assert set(np.concatenate(epochs)) == set(range(N))  # who is left over in one epoch is dealt in another


def test_labels_are_those_of_their_examples(whole):
    log, _ = whole
    for draw in log.draws:
        np.testing.assert_array_equal(draw.labels, LABELS["train"][draw.index])


def test_every_loss_has_randomness_of_its_own(whole, tmp_path):
    """A generator for each repeat, a seed of dropout for each step; another seed of the run gives all others."""
    log, _ = whole
    other = recorded(tmp_path / "m", seed=1)
    seeds = [{draw.seeds[0] for draw in run.draws} for run in (log, other)]
    assert len(seeds[0] | seeds[1]) == 2 * OPTIMISER_STEPS
    dropout = [{draw.seeds[1] for draw in run.draws} for run in (log, other)]
    assert len(dropout[0] | dropout[1]) == 2 * 40
    assert any((a.index != b.index).any() for a, b in zip(log.draws, other.draws, strict=True))
    assert not torch.equal(log.initial[0][2]["head.weight"], other.initial[0][2]["head.weight"])
    assert log.initial[0][1] != other.initial[0][1]


def test_the_callers_randomness_is_neither_used_nor_moved(whole, tmp_path):
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    recorded(tmp_path / "m.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    assert (tmp_path / "m.safetensors").read_bytes() == whole[1].read_bytes()


def test_initialise_sees_all_examples_once_before_the_first_step(tmp_path):
    log = recorded(tmp_path / "m")
    ((x, *_),) = log.initial
    np.testing.assert_array_equal(x.numpy(), TRAIN)
    assert torch.equal(log.draws[0].weights["centre"], torch.full((2,), -0.1, dtype=torch.float64))


def test_of_many_examples_initialise_sees_a_sample_and_not_the_first(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "INITIAL", 20)
    ((x, *_),) = recorded(tmp_path / "m").initial
    rows = {row.tobytes() for row in TRAIN}
    seen = {row.tobytes() for row in x.numpy()}
    assert len(seen) == len(x) == 20
    assert seen < rows
    assert seen != {row.tobytes() for row in TRAIN[:20]}


def test_data_that_are_drawn_anew_are_the_same_whenever_asked_for():
    """A dataset that draws (binarisation, crops) is given the examples, and a generator of the seed and the number."""
    drawn = []

    def noise(index, rng):
        drawn.append(index)
        return rng.standard_normal((len(index), 2), dtype=np.float32)

    data = replace(DATA, draw=noise)
    x, labels = Batches(data, 8, 0, True, CPU)[9]
    np.testing.assert_array_equal(labels.numpy(), LABELS["train"][drawn[0]])
    assert torch.equal(x, Batches(data, 8, 0, True, CPU)[9][0])
    assert not torch.equal(x, Batches(data, 8, 0, True, CPU)[3][0])
    assert not torch.equal(x, Batches(data, 8, 1, True, CPU)[9][0])


def test_of_a_text_crops_of_any_length_are_drawn_the_same_whenever_asked_for():
    text = np.arange(120, dtype=np.uint8)
    data = from_text("".join(map(chr, range(32, 152))) * 60)
    assert len(data.train) > 40
    batches = Batches(data, 8, 0, False, CPU, crop_length=200)
    (x,) = batches[9]
    assert x.shape == (8, 200)
    assert torch.equal((x[:, 1:] - x[:, :-1]) % len(text), torch.ones(8, 199, dtype=torch.int64)), "text that goes on"
    assert torch.equal(x, Batches(data, 8, 0, False, CPU, crop_length=200)[9][0])
    assert not torch.equal(x, batches[8][0])
    assert batches.validation[0].shape[1] == 128


@pytest.mark.parametrize(("data", "length"), [(DATA, 4), (from_text("ab" * 3000), 10_000)])
def test_crops_of_what_is_no_text_or_too_short_are_refused(data, length):
    with pytest.raises(GenbenchError, match="of one text at once"):
        Batches(data, 8, 0, False, CPU, crop_length=length)


def test_a_model_of_text_learns_from_crops_of_the_length_that_it_says(tmp_path):
    data, lengths = from_text("to be or not to be " * 400), []

    class Watched(lstm.LSTM):
        def loss(self, x, generator):
            lengths.append(x.shape[1])
            return super().loss(x, generator)

    model = Watched(data.space, width=4, embedding=4, context=300)
    batches = batches_of(model, data, 4, 0, CPU)
    (stage,) = stages_of(model)
    Loop(model, stage, batches, Preset(steps=2, validate_every=2), 0, math.inf).run(lambda state: None)
    assert lengths == [300, 300, 128]


def test_a_batch_is_no_larger_than_the_data():
    (x,) = Batches(DATA, 1000, 0, False, CPU)[3]
    np.testing.assert_array_equal(np.sort(x[:, 0].numpy()), TRAIN[:, 0])


# The average, and validation


def averages(log, decay):
    """By the definition: what the average was after every step of the first stage."""
    parameters = {"norm.weight", "norm.bias", "head.weight", "head.bias", "centre"}
    average, found = log.draws[0].weights, []
    for t, update in enumerate(log.updates[2:90:3], 1):  # the last one of each step
        d, new = min(decay, (1 + t) / (10 + t)), update.weights
        average = {k: d * average[k] + (1 - d) * new[k] if k in parameters else new[k] for k in new}
        found.append(average)
    return found


@pytest.mark.parametrize("decay", [0.6, 0.0])
def test_what_is_validated_is_the_moving_average(tmp_path, decay):
    """(1 + t) / (10 + t) is 2/11 at first and passes 0.6 at t = 13. Buffers are the newest. All in evaluation mode."""
    log = recorded(tmp_path / "m", replace(PRESET, ema=decay, validate_every=1))
    assert len(log.rounds) == 30
    for seen, expected in zip(log.rounds, averages(log, decay), strict=True):
        torch.testing.assert_close(seen, expected, rtol=1e-13, atol=1e-13)
        assert_same(
            {k: v for k, v in seen.items() if "running" in k or "num" in k},
            {k: v for k, v in expected.items() if "running" in k or "num" in k},
        )
    assert not any(look.training for look in log.looks)


def test_validation_sees_every_example_with_its_label_and_the_same_randomness_each_time(whole):
    log, _ = whole
    assert len(log.looks) == 3 * 8  # after 4, 8, ..., 28 and 30 steps
    rounds = [log.looks[i : i + 3] for i in range(0, len(log.looks), 3)]
    for looks in rounds:
        assert [len(look.x) for look in looks] == [500, 500, 230]
        np.testing.assert_array_equal(np.concatenate([look.x for look in looks]), VALIDATION)
        np.testing.assert_array_equal(np.concatenate([look.labels for look in looks]), LABELS["validation"])
        for look in looks:
            assert_same(look.weights, looks[0].weights)
    (seeds,) = {tuple(look.seed for look in looks) for looks in rounds}
    assert len(set(seeds)) == 3


def values(log):
    """The first stage's value at each validation: one mean over all examples at once."""
    model, found = Model(Log()).eval(), []
    x, labels = torch.from_numpy(VALIDATION), torch.from_numpy(LABELS["validation"])
    for weights in log.rounds:
        model.load_state_dict(weights)
        found.append(float(model.value(x, torch.Generator(), labels).detach()))
    return found


def test_the_best_weights_are_kept_and_the_next_stage_starts_from_them(whole):
    log, _ = whole
    value = values(log)
    best = int(np.argmin(value))
    assert 0 < best < len(value) - 1  # neither the first nor the last
    assert log.card.training["first_best_step"] == 4 * (best + 1)
    assert log.card.training["first_validation"] == round(value[best], 6)
    (start,) = [d.weights for stage, _, s, _, d, _ in by_stage(log) if (stage, s) == ("second", 0)]
    assert_same(start, log.rounds[best])


def test_what_is_kept_in_half_precision_is_what_was_validated(tmp_path):
    """Parameters are rounded before they are judged, not after; buffers keep their digits."""
    out = tmp_path / "m.safetensors"
    log = recorded(out, replace(PRESET, half=True))
    stored, parameters = (
        load_file(out),
        {"centre", *(f"{part}.{w}" for part in ("norm", "head") for w in ("weight", "bias"))},
    )
    assert {name for name, value in stored.items() if value.dtype == torch.float16} == parameters
    for weights in log.rounds:
        for name in parameters:
            assert torch.equal(weights[name], weights[name].half().double()), name
        assert not torch.equal(weights["norm.running_mean"], weights["norm.running_mean"].half().double())


def test_a_weight_beyond_half_precision_is_refused(tmp_path):
    with pytest.raises(GenbenchError, match=r"weight 'centre' is too large for half precision: 1e\+06") as error:
        recorded(tmp_path / "m.safetensors", replace(PRESET, half=True), make=Huge)
    assert "--set half=False" in error.value.remedy
    assert not list(tmp_path.glob("*.safetensors"))


class Huge(Model):
    def __init__(self, log):
        super().__init__(log)
        self.centre.data.fill_(1e6)


def test_of_equal_values_the_first_is_kept(tmp_path):
    class Constant(Model):
        def value(self, x, generator, labels):
            return torch.tensor(2.0)

    card = recorded(tmp_path / "m", make=Constant).card
    assert (card.training["first_best_step"], card.training["first_validation"]) == (4, 2.0)


def test_without_validation_the_last_average_is_kept(whole):
    """Of the second stage: 10 steps, which are no multiple of the 4 between validations."""
    log, out = whole
    second = [(draw, update) for stage, *_, draw, update in by_stage(log) if stage == "second"]
    average = second[0][0].weights["centre"]
    for t, (_, update) in enumerate(second, 1):
        d = min(0.6, (1 + t) / (10 + t))
        average = d * average + (1 - d) * update.weights["centre"]
    torch.testing.assert_close(load_file(out)["centre"], average, rtol=1e-13, atol=0)
    assert log.card.training["second_best_step"] == 10
    assert "second_validation" not in log.card.training


# Time


class Clock:
    """Seconds that pass only where a test lets them."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    def pass_seconds(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(training, "time", clock)
    return clock


def test_where_time_runs_out_the_rate_is_annealed_in_time(tmp_path, clock):
    """Of 80 s, 60 are for the first stage: 20 of its 30 steps of 3 s. The second takes 10 of its 20 s."""
    log = recorded(tmp_path / "m", minutes=80 / 60, before_update=lambda _: clock.pass_seconds(1))
    relative = {"classify": 1.0, "pull": 0.5, "again": 1.0}
    expected = [(name, s, 20) for s in range(20) for name in ("classify", "pull", "pull")]
    expected += [("again", s, 10) for s in range(10)]
    assert len(log.updates) == len(expected)
    for update, (name, s, end) in zip(log.updates, expected, strict=True):
        rate = min(1.0, (s + 1) / 7) * 0.5 * (1 + math.cos(math.pi * s / end))
        assert update.lr == pytest.approx(0.05 * relative[name] * rate, rel=1e-12)
    assert log.card.training["first_steps"] == 20


def test_the_last_weights_before_time_is_over_are_validated_too(tmp_path, clock):
    preset = replace(PRESET, validate_every=25)
    log = recorded(tmp_path / "m", preset, minutes=80 / 60, before_update=lambda _: clock.pass_seconds(1))
    assert len(log.rounds) == 1
    assert log.card.training["first_best_step"] == 20


def test_time_before_an_interruption_counts_and_the_pause_does_not(tmp_path, clock):
    whole, halves = tmp_path / "a.safetensors", tmp_path / "b.safetensors"

    def interrupt(number):
        clock.pass_seconds(1)
        if number == 31:
            os.kill(os.getpid(), signal.SIGINT)

    recorded(whole, minutes=80 / 60, before_update=lambda _: clock.pass_seconds(1))
    with pytest.raises(KeyboardInterrupt):
        recorded(halves, minutes=80 / 60, before_update=interrupt)
    clock.pass_seconds(86400)
    recorded(halves, minutes=80 / 60, before_update=lambda _: clock.pass_seconds(1))
    assert halves.read_bytes() == whole.read_bytes()


# Interruptions


@pytest.mark.parametrize(
    ("update", "number"),
    [(1, signal.SIGINT), (40, signal.SIGTERM), (90, signal.SIGINT), (95, signal.SIGINT), (100, signal.SIGINT)],
)
def test_an_interrupted_run_finishes_its_step_and_goes_on_to_the_same_file(whole, tmp_path, update, number):
    """In the first step, amid the first stage and at its end, within the second and at its end."""
    out = tmp_path / "m.safetensors"
    done = []

    def refuse(*_):
        raise AssertionError("the signal was not waited for")

    def interrupt(i):
        done.append(i)
        if i == update:
            os.kill(os.getpid(), number)

    before = signal.signal(number, refuse)
    try:
        with pytest.raises(KeyboardInterrupt):
            recorded(out, before_update=interrupt)
        assert signal.getsignal(number) == refuse
    finally:
        signal.signal(number, before)
    assert done[-1] == (-(-update // 3) * 3 if update <= 90 else update)
    assert not out.exists()
    rest = recorded(out)
    assert len(rest.updates) == OPTIMISER_STEPS - done[-1]
    assert out.read_bytes() == whole[1].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_a_killed_run_goes_on_from_what_was_kept_in_time(whole, tmp_path, clock, monkeypatch):
    """Of 3 s a step, every eleventh passes 30 s since the last: steps 11 and 22 are kept. It dies in step 24."""
    out, kept = tmp_path / "m.safetensors", []
    save = Resume.save

    def counted(self, stage, values, loop):
        kept.append((stage, loop["step"]))
        save(self, stage, values, loop)

    def die(number):
        clock.pass_seconds(1)
        if number == 3 * 23 + 2:
            raise MemoryError

    monkeypatch.setattr(Resume, "save", counted)
    with pytest.raises(MemoryError):
        recorded(out, before_update=die)
    assert kept == [(0, 11), (0, 22)]
    rest = recorded(out)
    assert len(rest.updates) == OPTIMISER_STEPS - 3 * 22
    assert out.read_bytes() == whole[1].read_bytes()


def test_a_run_of_other_settings_is_not_resumed(tmp_path, monkeypatch):
    """Nor is it harmed by the refusal."""
    out = tmp_path / "m.safetensors"
    with pytest.raises(KeyboardInterrupt):
        recorded(out, before_update=lambda number: number == 50 and os.kill(os.getpid(), signal.SIGINT))
    others = (
        dict(seed=1),
        dict(preset=replace(PRESET, clip=0.2)),
        dict(preset=replace(PRESET, options={"width": 3})),
        dict(data=replace(DATA, train=TRAIN[::-1].copy())),
    )
    for other in others:
        with pytest.raises(GenbenchError, match=r"m\.safetensors\.resume belongs to a run with other settings"):
            recorded(out, **other)
    monkeypatch.setattr(catalog, "build", lambda *_: Model(Log()))
    monkeypatch.setattr(catalog, "trained", lambda name: SimpleNamespace(made_of="version 1"))
    with pytest.raises(GenbenchError, match="other settings"):
        train("another", DATA, PRESET, out)
    assert len(recorded(out).updates) == OPTIMISER_STEPS - 51


def test_a_thread_can_train(whole, tmp_path):
    """Only the main thread can wait for signals."""
    out = tmp_path / "m.safetensors"
    thread = threading.Thread(target=recorded, args=(out,))
    thread.start()
    thread.join()
    assert out.read_bytes() == whole[1].read_bytes()


# What goes wrong


@pytest.mark.parametrize(("objective", "value"), [("classify", math.nan), ("pull", math.inf), ("pull", -math.inf)])
def test_a_loss_that_is_not_finite_is_an_error_at_the_next_validation(tmp_path, objective, value):
    """Of every objective, even if its gradient is finite; from the sixth step on, so it is seen after the eighth."""

    class Diverging(Model):
        def note(self, name, x, generator, labels):
            super().note(name, x, generator, labels)
            self.extra = value if name == objective and len(self.log.draws) > 3 * 5 else 0.0

        def classify(self, x, generator, labels):
            return super().classify(x, generator, labels) + self.extra

        def pull(self, x, generator, labels):
            return super().pull(x, generator, labels) + self.extra

    why = rf"the loss is {value} at step 8 of stage 'first', objective '{objective}'"
    with pytest.raises(GenbenchError, match=why):
        recorded(tmp_path / "m", make=Diverging)
    assert list(tmp_path.iterdir()) == []


# What is saved


def test_the_card_says_what_was_done_and_reached(whole):
    log, out = whole
    assert read_card(out) == log.card
    assert (log.card.baseline, log.card.space, log.card.options) == ("watched", DATA.space, {})
    assert log.card.dataset == {"name": "pairs", "sha256": DATA.sha256}
    assert log.card.parameters == 2 + 2 + 2 * 3 + 3 + 2  # batch norm, linear, centre; no buffer
    assert log.card.training.pop("environment") == made_with(torch.device("cpu"))
    assert log.card.training == {
        "command": "genbench train watched",
        "seed": 3,
        "first_steps": 30,
        "first_best_step": log.card.training["first_best_step"],
        "first_validation": log.card.training["first_validation"],
        "second_steps": 10,
        "second_best_step": 10,
        "reported": 0.5,
    }
    ((dataset, in_training, weights),) = log.reports
    assert dataset is DATA
    assert not in_training
    assert_same(weights, load_file(out))


def test_options_and_vocabulary_are_on_the_card(tmp_path):
    log = recorded(tmp_path / "m", replace(PRESET, options={"width": 3}), data=replace(DATA, vocabulary="ab"))
    assert log.card.options == {"width": 3}
    assert log.card.dataset["vocabulary"] == "ab"


def test_a_model_without_stages_lowers_its_loss_and_is_validated_by_it(tmp_path):
    class Mean(nn.Module):
        def __init__(self, log):
            super().__init__()
            self.space, self.mean = DATA.space, nn.Parameter(torch.zeros(2))

        def loss(self, x, generator):
            return (self.mean - x).square().sum(1).mean()

    card = recorded(tmp_path / "m", make=Mean).card
    gap = load_file(tmp_path / "m")["mean"] - torch.from_numpy(VALIDATION)
    assert card.training["validation"] == pytest.approx(float(gap.square().sum(1).mean()), abs=1e-6)
    assert card.training["steps"] == 40
    assert set(card.training) == {"command", "seed", "steps", "best_step", "validation", "environment"}


@pytest.mark.parametrize("labels", [LABELS, None])
def test_a_closed_form_sees_all_training_data_once(tmp_path, labels):
    given = []

    class Closed(nn.Module):
        def __init__(self, log):
            super().__init__()
            self.space, self.mean = DATA.space, nn.Parameter(torch.zeros(2))

        def fit(self, x, labels):
            given.append((x, labels))
            self.mean.data = x.mean(0)

    card = recorded(tmp_path / "m", make=Closed, data=replace(DATA, labels=labels)).card
    ((x, y),) = given
    np.testing.assert_array_equal(x.numpy(), TRAIN)
    assert (y is None) if labels is None else np.array_equal(y.numpy(), LABELS["train"])
    np.testing.assert_allclose(load_file(tmp_path / "m")["mean"].numpy(), TRAIN.mean(0), rtol=1e-6)
    environment = made_with(torch.device("cpu"))
    assert environment["threads"] == torch.get_num_threads()
    assert card.training == {"command": "genbench train watched", "seed": 3, "environment": environment}


def test_who_is_given_labels():
    """`n_classes` decides where a model has it, else the signature of the loss."""
    plain, classifier = (lambda x, generator: 0), (lambda x, generator, labels: 0)
    assert takes_labels(types.SimpleNamespace(n_classes=3, loss=plain))
    assert not takes_labels(types.SimpleNamespace(n_classes=0, loss=classifier))
    assert takes_labels(types.SimpleNamespace(loss=classifier))
    assert not takes_labels(types.SimpleNamespace(loss=plain))
    assert not takes_labels(types.SimpleNamespace())


def test_a_conditional_model_needs_labels(tmp_path):
    with pytest.raises(GenbenchError, match="has no labels"):
        recorded(tmp_path / "m", data=replace(DATA, labels=None))


# What is seen


def test_a_line_for_every_validation(tmp_path, clock, capsys):
    """After 8 of 30 steps of 3 s: 24 s, and 22 more steps take 66 s."""
    log = recorded(tmp_path / "m", before_update=lambda _: clock.pass_seconds(1))
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines[:8]] == [["first", f"{s}/30"] for s in (4, 8, 12, 16, 20, 24, 28, 30)]
    assert lines[1].endswith("  24 s, 66 s left")
    for line, value in zip(lines, values(log), strict=False):
        assert f"  valid {value:.4f}  " in line
        assert re.search(r"  classify \d+\.\d{4}  pull \d+\.\d{4}  valid", line)


def test_time_left_is_judged_by_the_steps_since_a_run_went_on(tmp_path, clock, capsys):
    """Interrupted in step 6 and resumed, after step 8: two steps in 6 s, and 22 more take 66 s."""

    def interrupt(number):
        clock.pass_seconds(1)
        if number == 17:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        recorded(tmp_path / "m", before_update=interrupt)
    capsys.readouterr()
    recorded(tmp_path / "m", before_update=lambda _: clock.pass_seconds(1))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "resuming from step 6 of stage 1"
    assert lines[1].startswith("first 8/30  ")
    assert lines[1].endswith("  6 s, 66 s left")


def test_a_terminal_has_a_bar_instead(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    recorded(tmp_path / "m")
    err = capsys.readouterr().err
    assert "s left" not in err
    assert "30/30" in err
    assert "valid=" in err


# Settings


def test_settings_are_options_of_the_model_or_of_training():
    preset = preset_of("mixture", "digits", {"components": 7, "lr": 0.5, "steps": 3})
    own = catalog.trainable("mixture").PRESETS["digits"]
    assert preset == replace(own, options={**own.options, "components": 7}, lr=0.5, steps=3)
    assert preset_of("mixture", "nothing known", {}) == Preset()


@pytest.mark.parametrize("setting", ["steps", "batch_size", "validate_every"])
def test_settings_that_leave_nothing_to_do_are_refused(setting):
    with pytest.raises(GenbenchError, match=rf"{setting} is 0"):
        preset_of("mixture", "digits", {setting: 0})
    assert getattr(preset_of("mixture", "digits", {setting: 1}), setting) == 1


@pytest.mark.parametrize("minutes", [0.0, -1.0, math.nan])
def test_no_time_is_refused(tmp_path, minutes):
    with pytest.raises(GenbenchError, match="minutes"):
        recorded(tmp_path / "m", minutes=minutes)


def test_an_unknown_setting_is_refused_with_the_nearest():
    with pytest.raises(GenbenchError, match="Did you mean 'components'"):
        preset_of("mixture", "digits", {"component": 3})


def test_the_command_line_hands_on_all_it_was_given(cli, monkeypatch):
    given = {}

    def watched(*arguments):
        given.update(inspect.signature(train).bind(*arguments).arguments)
        given["out"].write_bytes(b"")
        return Card("mixture", Space((2,)))

    monkeypatch.setattr(training, "train", watched)
    line = "train mixture --dataset ring8 --steps 5 --set lr=0.5 --minutes 7 --seed 3 --device cpu -o m.safetensors"
    code, _, _ = cli(*line.split())
    assert code == 0
    preset = replace(preset_of("mixture", "ring8", {}), steps=5, lr=0.5)
    assert given.pop("dataset").name == "ring8"
    assert str(given.pop("out")) == "m.safetensors"
    assert str(given.pop("device")) == "cpu"
    assert given == {"name": "mixture", "preset": preset, "seed": 3, "minutes": 7.0, "command": f"genbench {line}"}


def test_a_baseline_of_the_catalog_is_trained_alike_each_time(tmp_path):
    preset = Preset(dict(components=4), steps=20, batch_size=32, lr=0.02, ema=0.9, validate_every=10)
    files = [tmp_path / f"{i}.safetensors" for i in range(3)]
    for path, seed in zip(files, (0, 0, 1), strict=True):
        train("mixture", datasets.load("digits"), preset, path, seed)
    a, b, c = (load_file(path) for path in files)
    assert_same(a, b)
    assert not torch.equal(a["mean"], c["mean"])


def test_an_option_with_the_name_of_a_setting_is_refused(tmp_path):
    """Which of the two `--set steps=2` means nobody could say."""
    file = tmp_path / "deep.py"
    file.write_text('"""Deep."""\n\nFAMILY = "toy"\n\n\ndef build(space, *, steps=8):\n    raise ValueError\n')
    catalog.use_plugin(str(file))
    with pytest.raises(GenbenchError, match="an option 'steps', which is a setting of training too"):
        preset_of("deep", "digits", {"steps": 2})
