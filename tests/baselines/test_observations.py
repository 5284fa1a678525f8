"""Observation models: normalised, and the same whether x is copied for every h or not."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from genbench.baselines._observations import Bernoulli, Categorical, PredictedGaussian, SharedGaussian, observation_of
from genbench.models.sampling import seeded
from genbench.space import Space

BINARY, LEVELS, REAL = Space((1, 2, 2), 2), Space((1, 2, 2), 5), Space((3,))
ALL = [Bernoulli(BINARY), Categorical(LEVELS), SharedGaussian(REAL), PredictedGaussian(REAL)]
every = pytest.mark.parametrize("observation", ALL, ids=lambda o: type(o).__name__)


def outputs(observation, *leading):
    return torch.randn(*leading, observation.per_value * observation.space.dim, generator=seeded("h"))


@pytest.mark.parametrize("observation", ALL[:2], ids=["Bernoulli", "Categorical"])
def test_probabilities_of_all_states_sum_to_one(observation):
    space = observation.space
    states = torch.tensor(list(itertools.product(range(space.levels), repeat=space.dim))).view(-1, *space.shape)
    h = outputs(observation, 1).expand(len(states), -1)
    assert observation.log_prob(h, states).double().exp().sum().item() == pytest.approx(1, abs=1e-5)


@every
@torch.no_grad()
def test_leading_dimensions_need_no_copies_of_x(observation):
    h = outputs(observation, 4, 3)
    x = observation.sample(h[0], seeded("x"))
    together = observation.log_prob(h, x)
    assert together.shape == (4, 3)
    for k in range(4):
        torch.testing.assert_close(together[k], observation.log_prob(h[k], x))


def test_bernoulli_is_binary_cross_entropy_and_a_categorical_of_two_levels():
    h, x = outputs(ALL[0], 6), torch.randint(2, (6, 1, 2, 2), generator=seeded("x"))
    log_p = ALL[0].log_prob(h, x)
    bce = F.binary_cross_entropy_with_logits(h, x.flatten(1).float(), reduction="none").sum(1)
    torch.testing.assert_close(log_p, -bce)
    two = torch.stack([torch.zeros_like(h), h], dim=1).flatten(1)
    torch.testing.assert_close(log_p, Categorical(BINARY).log_prob(two, x))


@every
@torch.no_grad()
def test_the_mean_is_the_mean_of_samples(observation):
    n, h = 20_000, 0.5 * outputs(observation, 1)
    x = observation.sample(h.expand(n, -1), seeded("x")).float()
    error = (x.var(0) / n).sqrt() + 1e-9
    assert ((x.mean(0) - observation.mean(h)[0]).abs() / error).max() < 4.5


def test_a_space_decides_its_family():
    assert [type(observation_of(space)) for space in (BINARY, LEVELS, REAL)] == [Bernoulli, Categorical, SharedGaussian]
    assert isinstance(observation_of(REAL, "predicted"), PredictedGaussian)
    with pytest.raises(ValueError, match="sd is"):
        observation_of(REAL, "none")
