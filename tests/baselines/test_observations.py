"""Observation models: normalised, drawn from as scored, and the same whether x is copied for every h or not."""

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch.distributions import Normal

from draws import ALARM, assert_drawn, assert_standard_normal, every
from genbench.baselines._observations import (
    DECODERS,
    FIXED_SD,
    Bernoulli,
    Categorical,
    Gaussian,
    Logistic,
    Logistics,
    observation_of,
)
from genbench.models.sampling import seeded
from genbench.space import Space

BINARY, LEVELS, REAL = Space((1, 2, 2), 2), Space((1, 2, 2), 5), Space((3,))
CONTINUOUS = [name for name in DECODERS if name not in ("bernoulli", "categorical")]
DISCRETE = [Bernoulli(BINARY), *(observation_of(LEVELS, name) for name in DECODERS if name != "bernoulli")]
GAUSSIAN = [Gaussian(REAL, sd) for sd in ("fixed", "shared", "predicted")]
ALL = DISCRETE + GAUSSIAN + [Logistic(REAL), Logistics(REAL)]


def of(observations):
    return pytest.mark.parametrize(
        "observation", observations, ids=lambda o: f"{type(o).__name__}-{o.per_value}-{o.space.levels}"
    )


def outputs(observation, *leading):
    return torch.randn(*leading, observation.per_value * observation.space.dim, generator=seeded("h"))


@of(DISCRETE)
def test_probabilities_of_all_states_sum_to_one_and_are_those_of_the_draws(observation):
    states = every(observation.space)
    h = 0.5 * outputs(observation, 1)
    log_p = observation.log_prob(h.expand(len(states), -1), states)
    assert log_p.double().exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert_drawn(observation.sample(h.expand(20_000, -1), seeded("x")), log_p, observation.space)


def test_a_fixed_deviation_is_not_learned():
    assert GAUSSIAN[0].log_sd.exp() == pytest.approx(FIXED_SD)
    assert not list(GAUSSIAN[0].parameters())


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


@pytest.mark.parametrize("name", CONTINUOUS)
@torch.no_grad()
def test_masses_of_levels_are_integrals_of_the_density_over_their_bins(name):
    """The same h on integers and on real numbers: by the trapezoid rule over each bin, whose ends reach to +-40."""
    integers, real = observation_of(Space((1,), 5), name), observation_of(Space((1,)), name)
    edges = torch.tensor([-40.0, -0.75, -0.25, 0.25, 0.75, 40.0], dtype=torch.float64)
    n = 200_001
    for seed in range(3):
        h = torch.randn(1, integers.per_value, generator=seeded(seed)).double()
        found = torch.stack([integers.log_prob(h, torch.tensor([[level]]))[0] for level in range(5)]).exp()
        for mass, low, high in zip(found, edges[:-1], edges[1:], strict=True):
            x = torch.linspace(float(low), float(high), n, dtype=torch.float64)[:, None]
            p = real.log_prob(h.expand(n, -1), x).exp()
            assert float(mass) == pytest.approx(float(torch.trapezoid(p, x[:, 0])), abs=1e-6)


@torch.no_grad()
def test_logistics_of_real_numbers_are_drawn_from_their_distribution_function():
    h = 0.5 * torch.randn(1, 2, generator=seeded("h"))
    x = Logistic(Space((1,))).sample(h.expand(20_000, -1), seeded("x"))
    location, scale = h[0, 0], (h[0, 1] - 2).exp()
    assert stats.kstest(((x - location) / scale).flatten().numpy(), "logistic").pvalue > ALARM
    log_p = Logistic(Space((1,))).log_prob(h.expand(len(x), -1), x)
    expected = stats.logistic.logpdf(x.numpy(), float(location), float(scale))[:, 0]
    torch.testing.assert_close(log_p, torch.from_numpy(expected).to(log_p), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_no_scale_of_integers_overflows():
    space = Space((1,), 256)
    for name in CONTINUOUS:
        observation = observation_of(space, name)
        for size in (-200.0, 200.0):
            h = torch.full((256, observation.per_value), size)
            assert torch.isfinite(observation.log_prob(h, torch.arange(256)[:, None])).all()


def test_the_pseudo_likelihood_of_grey_values_says_that_it_is_none():
    grey = Bernoulli(LEVELS)
    assert not grey.is_likelihood
    assert all(o.is_likelihood for o in ALL)
    h = outputs(grey, 1)
    total = grey.log_prob(h.expand(625, -1), every(LEVELS)).exp().sum()
    assert float(total) > 2  # that is why
    x = grey.sample(h.expand(2_000, -1), seeded("x"))
    assert x.unique().tolist() == [0, 4]


def test_a_space_decides_its_family():
    families = [type(observation_of(space)) for space in (BINARY, LEVELS, REAL)]
    assert families == [Bernoulli, Categorical, Gaussian]
    assert isinstance(observation_of(REAL).log_sd, torch.nn.Parameter)
    with pytest.raises(ValueError, match="decoder is"):
        observation_of(REAL, "none")
    with pytest.raises(ValueError, match="no distribution of real numbers"):
        observation_of(REAL, "categorical")
