"""Observation models: normalised, and the same whether x is copied for every h or not."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from baselines._observations import Bernoulli, Categorical, observation_of
from genbench.sampling import seeded
from genbench.space import Space

SPACES = [Space((1, 2, 2), 2), Space((1, 2, 2), 5), Space((3,))]


def outputs(space, *leading):
    return torch.randn(*leading, observation_of(space).parameters * space.dim, generator=seeded("h"))


@pytest.mark.parametrize("space", SPACES[:2])
def test_probabilities_of_all_states_sum_to_one(space):
    states = torch.tensor(list(itertools.product(range(space.levels), repeat=space.dim))).view(-1, *space.shape)
    h = outputs(space, 1).expand(len(states), -1)
    assert observation_of(space).log_prob(h, states).double().exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("space", SPACES)
def test_leading_dimensions_need_no_copies_of_x(space):
    observation, h = observation_of(space), outputs(space, 4, 3)
    x = observation.sample(h[0], seeded("x"))
    together = observation.log_prob(h, x)
    assert together.shape == (4, 3)
    for k in range(4):
        torch.testing.assert_close(together[k], observation.log_prob(h[k], x))


def test_bernoulli_is_binary_cross_entropy_and_a_categorical_of_two_levels():
    space = SPACES[0]
    h, x = outputs(space, 6), torch.randint(2, (6, 1, 2, 2), generator=seeded("x"))
    log_p = Bernoulli(space).log_prob(h, x)
    bce = F.binary_cross_entropy_with_logits(h, x.flatten(1).float(), reduction="none").sum(1)
    torch.testing.assert_close(log_p, -bce)
    two = torch.stack([torch.zeros_like(h), h], dim=1).flatten(1)
    torch.testing.assert_close(log_p, Categorical(space).log_prob(two, x))


@pytest.mark.parametrize("space", SPACES)
def test_the_mean_is_the_mean_of_samples(space):
    observation, n = observation_of(space), 20_000
    h = 0.5 * outputs(space, 1)
    x = observation.sample(h.expand(n, -1), seeded("x")).float()
    error = (x.var(0) / n).sqrt() + 1e-9
    assert ((x.mean(0) - observation.mean(h)[0]).abs() / error).max() < 4.5
