"""Memory of a training: sizes known by arithmetic, and those that torch's own profiler counts."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from genbench.datasets import Dataset
from genbench.errors import Unavailable
from genbench.metrics import training_memory as metric
from genbench.models import building, training
from genbench.models.checkpoint import Card
from genbench.models.footprint import Held, training_memory
from genbench.models.training import Preset
from genbench.space import Space

CPU = torch.device("cpu")
X = np.linspace(0, 1, 64 * 1000, dtype=np.float32).reshape(64, 1000)
DATA = Dataset("rows", Space((1000,)), X, X[:4], X[:4], "CC0 (generated)", "this test")
CARD = Card("layer", DATA.space, {}, {"name": "rows", "sha256": DATA.sha256})


def test_a_storage_counts_once_and_until_it_is_given_up():
    before = torch.zeros(1000)
    with Held() as held:
        a = torch.zeros(1000, dtype=torch.float64)
        view, b = a.view(10, 100), before + 1
        assert held.now == 8000 + 4000
        del a
        assert held.now == 8000 + 4000  # a view holds it
        del view, b
        c = before.mul_(2)  # of a storage that was there before, which is seen now
        assert held.now == 4000
    assert held.most == 12_000
    assert c is before


class Layer(nn.Module):
    """One square layer and what its squares cost."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1000, 1000)

    def loss(self, x, generator):
        return self.layer(x).square().mean()


def test_steps_of_adam_hold_what_the_profiler_of_torch_says():
    def steps():
        model = Layer()
        optimiser = torch.optim.AdamW(model.parameters())
        x = torch.randn(64, 1000)
        for _ in range(2):
            optimiser.zero_grad()
            model.loss(x, None).backward()
            optimiser.step()

    with Held() as held:
        steps()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profiler:
        steps()
    events = [e for e in profiler.profiler.kineto_results.events() if e.name() == "[memory]"]
    running = np.cumsum([e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())])
    assert held.most == pytest.approx(int(running.max()), abs=1000)  # single numbers inside an operation
    assert held.now == 0


@pytest.fixture
def built(monkeypatch):
    asked = SimpleNamespace(batch_size=16, model=Layer)
    monkeypatch.setattr(training, "preset_of", lambda *given: Preset(batch_size=asked.batch_size))
    monkeypatch.setattr(building, "build", lambda *given: asked.model())
    return asked


def test_a_training_holds_six_copies_of_its_weights_and_a_batch_on_top(built):
    """Weights, gradients, two numbers of Adam, the average and the best; x, what comes out, its square and gradients.

    An update of Adam makes up to two more arrays of the largest weight.
    """
    weights, row = 4 * 1001 * 1000, 4 * 1000
    found = training_memory(CARD, DATA, CPU)
    assert found.kept == weights
    assert 6 * weights + 16 * row <= found.bytes <= 8 * weights + 6 * 16 * row
    assert (found.batch_size, found.device) == (16, "cpu")
    assert training_memory(CARD, DATA, CPU) == found
    measure = metric.compute(found)["training_memory"]
    assert (measure.value, measure.kind) == (found.bytes / 1e6, "exact")


def test_where_activations_are_most_of_it_memory_grows_with_the_batch(built):
    """A thousand weights, and a hundred times as many values of an example, their squares and gradients."""

    class Wide(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1000))

        def loss(self, x, generator):
            return (x[:, None] * self.scale * torch.ones(100, 1)).square().mean()

    built.model, sizes = Wide, []
    for built.batch_size in (8, 64):
        sizes.append(training_memory(CARD, DATA, CPU).bytes)
    assert 2 <= (sizes[1] - sizes[0]) / (56 * 4 * 100_000) <= 6


def test_counting_moves_no_random_numbers_and_a_closed_form_has_no_steps(built):
    state = torch.get_rng_state()
    training_memory(CARD, DATA, CPU)
    assert torch.equal(state, torch.get_rng_state())

    class Fitted(Layer):
        def fit(self, x, labels):
            raise AssertionError

    built.model = Fitted
    with pytest.raises(Unavailable, match="closed form"):
        training_memory(CARD, DATA, CPU)
