"""Observation models: normalised, drawn from as scored, and the same whether x is copied for every h or not."""

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal

from draws import assert_drawn, assert_standard_normal, every
from genbench.baselines._observations import Bernoulli, Categorical, PredictedGaussian, SharedGaussian, observation_of
from genbench.models.sampling import seeded
from genbench.space import Space

BINARY, LEVELS, REAL = Space((1, 2, 2), 2), Space((1, 2, 2), 5), Space((3,))
ALL = [Bernoulli(BINARY), Categorical(LEVELS), SharedGaussian(REAL), PredictedGaussian(REAL)]
DISCRETE, GAUSSIAN = ALL[:2], ALL[2:]


def of(observations):
    return pytest.mark.parametrize("observation", observations, ids=lambda o: type(o).__name__)


def outputs(observation, *leading):
    return torch.randn(*leading, observation.per_value * observation.space.dim, generator=seeded("h"))


@of(DISCRETE)
def test_probabilities_of_all_states_sum_to_one_and_are_those_of_the_draws(observation):
    states = every(observation.space)
    h = 0.5 * outputs(observation, 1)
    log_p = observation.log_prob(h.expand(len(states), -1), states)
    assert log_p.double().exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert_drawn(observation.sample(h.expand(20_000, -1), seeded("x")), log_p, observation.space)


@of(GAUSSIAN)
@torch.no_grad()
def test_gaussians_have_the_mean_and_the_deviation_that_their_outputs_say(observation):
    h = outputs(observation, 1)
    mean, log_sd = (h, observation.log_sd) if observation.per_value == 1 else h.chunk(2, dim=1)
    x = observation.sample(h.expand(20_000, -1), seeded("x"))
    assert_standard_normal((x - mean) / log_sd.exp())
    torch.testing.assert_close(observation.log_prob(h, x), Normal(mean, log_sd.exp()).log_prob(x).sum(1))


@of(ALL)
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


@of(ALL)
@torch.no_grad()
def test_the_mean_is_the_mean_of_samples(observation):
    n, h = 20_000, 0.5 * outputs(observation, 1)
    x = observation.sample(h.expand(n, -1), seeded("x")).float()
    error = (x.var(0) / n).sqrt() + 1e-9
    assert ((x.mean(0) - observation.mean(h)[0]).abs() / error).max() < 4.5


def test_a_space_decides_its_family():
    families = [type(observation_of(space, "shared")) for space in (BINARY, LEVELS, REAL)]
    assert families == [Bernoulli, Categorical, SharedGaussian]
    assert isinstance(observation_of(REAL, "predicted"), PredictedGaussian)
    with pytest.raises(ValueError, match="sd is"):
        observation_of(REAL, "none")
