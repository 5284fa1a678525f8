"""Speed, by a clock that only the model moves: what is timed, and how stages and repeats count."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from genbench.datasets import Dataset
from genbench.errors import Unavailable
from genbench.metrics import training_time
from genbench.models import building, timing, training
from genbench.models.checkpoint import Card
from genbench.models.timing import time_sampling, time_training
from genbench.models.training import Objective, Preset, Stage
from genbench.space import Space

X = np.linspace(0, 1, 80, dtype=np.float32).reshape(40, 2)
DATA = Dataset("pairs", Space((2,)), X, X[:4], X[:4], "CC0 (generated)", "this test")
CARD = Card("watched", DATA.space, {"depth": 3}, {"name": "pairs", "sha256": DATA.sha256})
CPU = torch.device("cpu")


class Watched(nn.Module):
    """Two stages: 3/4 of the steps cost 2 s + 3 x 1 s, 1/4 of them 6 s; what it does first takes a minute more."""

    def __init__(self, clock):
        super().__init__()
        self.clock, self.weight, self.seen, self.first = clock, nn.Parameter(torch.zeros(2)), 0, True

    def initialise(self, x, generator):
        self.seen = len(x)

    def costs(self, seconds):
        def loss(x, generator):
            assert self.training
            assert len(x) == 8
            self.clock.now += seconds + 60 * self.first
            self.first = False
            return (self.weight - x).square().mean()

        return loss

    def stages(self):
        critic = Objective("critic", [self.weight], self.costs(1.0), repeats=3)
        return (
            Stage("game", (Objective("generator", [self.weight], self.costs(2.0)), critic), None, fraction=0.75),
            Stage("prior", (Objective("loss", [self.weight], self.costs(6.0)),), None, fraction=0.25),
        )

    def sample(self, n, generator):
        self.clock.now += n / 100 + 60 * self.first
        self.first = False


@pytest.fixture
def model(monkeypatch):
    clock = SimpleNamespace(now=0.0)
    clock.perf_counter = lambda: clock.now
    model = Watched(clock)
    monkeypatch.setattr(timing, "time", clock)
    monkeypatch.setattr(training, "preset_of", lambda name, data, settings: Preset({"depth": 1}, batch_size=8))
    asked = []
    monkeypatch.setattr(building, "build", lambda name, space, options, limits: asked.append((name, options)) or model)
    model.asked = asked
    return model


def test_a_training_is_timed_by_its_own_loop_each_stage_with_its_share(model):
    found = time_training(CARD, DATA, CPU, repeats=7)
    assert found.per_second == pytest.approx([(0.75 * 24 + 0.25 * 8) / (0.75 * 5 + 0.25 * 6)] * 7, rel=1e-12)
    assert (found.batch_size, found.stages, found.device) == (8, 2, "cpu")
    assert model.asked == [("watched", {"depth": 3})]  # as the checkpoint was built
    assert model.seen == len(X)
    assert model.weight.abs().sum() > 0


def test_time_to_the_best_weights_is_that_of_the_steps_on_the_card(model):
    """100 steps of 5 s and 30 of 6 s; what the card does not say nobody knows."""
    said = {"game_best_step": 100, "prior_best_step": 30}
    found = time_training(replace(CARD, training=said), DATA, CPU, repeats=6)
    assert found.to_best == pytest.approx([100 * 5 + 30 * 6] * 6)
    assert training_time.compute(found)["training_time"].value == pytest.approx(680)
    for training_said in ({}, {"game_best_step": 100}, {"best_step": 130}):
        silent = time_training(replace(CARD, training=training_said), DATA, CPU, repeats=6)
        with pytest.raises(Unavailable, match="does not say"):
            training_time.compute(silent)


def test_a_closed_form_has_no_steps_to_time(model):
    model.fit = lambda x, labels: None
    with pytest.raises(Unavailable, match="closed form"):
        time_training(CARD, DATA, CPU)


def test_timing_a_training_moves_no_random_numbers_of_others(model):
    state = torch.get_rng_state()
    time_training(CARD, DATA, CPU)
    assert torch.equal(state, torch.get_rng_state())


def test_sampling_is_timed_after_a_warm_up(model):
    found = time_sampling(model, 50, CPU)
    assert found.block_s == pytest.approx([0.5] * 6)
    assert found.single_s == pytest.approx([0.01] * 6)
