"""Mixture: the density against SciPy, the masses of integers, weights and components of the draws."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import log_ndtr, logsumexp

from draws import assert_drawn, assert_frequencies, assert_moments, assert_standard_normal, every
from genbench.baselines._layers import log_normal_mass
from genbench.baselines.mixtures import mixture
from genbench.models.sampling import seeded
from genbench.space import Space


def random_mixture(space: Space, components: int = 3) -> mixture.GaussianMixture:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = mixture.build(space, components=components)
        for p in model.parameters():
            p.data += 0.3 * torch.randn_like(p)
    return model


def test_log_density_agrees_with_scipy():
    model = random_mixture(Space((2,)))
    x = np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    mean, sd = model.mean.detach().double().numpy(), model.log_sd.detach().double().exp().numpy()
    components = [stats.multivariate_normal(m, np.diag(s**2)).logpdf(x) for m, s in zip(mean, sd, strict=True)]
    log_pi = model.logits.detach().double().log_softmax(0).numpy()
    expected = logsumexp(np.stack(components, 1) + log_pi, axis=1)
    # float32: a quadratic form of size q is off by a few q eps
    np.testing.assert_allclose(model.log_prob(torch.from_numpy(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-5)


def test_integers_sum_to_one():
    model = random_mixture(Space((3,), levels=5))
    everything = torch.cartesian_prod(*[torch.arange(5)] * 3)
    assert float(model.log_prob(everything).double().exp().sum().detach()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("mean", [0.0, 0.97, -1.5, 5.0, -40.0])
@pytest.mark.parametrize("log_sd", [-6.0, -4.0, -2.0, 0.0, 3.0])
def test_discretised_masses_sum_to_one_however_far_the_mean(levels, mean, log_sd):
    x = torch.arange(levels) * (2 / (levels - 1)) - 1
    log_p = log_normal_mass(x, torch.tensor(mean), torch.tensor(log_sd), levels)
    # An edge of a bin is rounded by 6e-8, which moves at most 6e-8 / (sd sqrt(2 pi)) of mass: 1e-5 at sd = e^-6.
    assert float(log_p.double().exp().sum()) == pytest.approx(1, abs=2e-5)


@pytest.mark.parametrize("mean", [0.3, 4.0, -9.0])
def test_log_masses_in_the_tails_agree_with_scipy(mean):
    levels, sd = 17, 0.05
    edges = np.concatenate([[-np.inf], np.arange(-15, 16, 2) / 16, [np.inf]])  # bins end halfway between levels
    z = (edges - mean) / sd
    z = np.where(z[:-1] + z[1:] > 0, [-z[1:], -z[:-1]], [z[:-1], z[1:]])  # the lower tail of either side
    low, high = log_ndtr(z[0]), log_ndtr(z[1])
    expected = high + np.log1p(-np.exp(low - high))  # down to -2e4 nats
    x = torch.arange(levels) * (2 / (levels - 1)) - 1
    log_p = log_normal_mass(x, torch.tensor(mean), torch.tensor(sd).log(), levels)
    np.testing.assert_allclose(log_p.numpy(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("mean", [0.0, 3.0, -20.0])
def test_gradient_of_the_log_mass_is_finite_where_the_mass_underflows(mean):
    x = torch.arange(17) / 8 - 1.0
    parameters = torch.full((17,), mean, requires_grad=True), torch.full((17,), -3.0, requires_grad=True)
    for gradient in torch.autograd.grad(log_normal_mass(x, *parameters, 17).sum(), parameters):
        assert torch.isfinite(gradient).all()


@torch.no_grad()
def test_samples_have_the_scored_frequencies():
    space = Space((2,), levels=4)
    model = random_mixture(space)
    model.mean.mul_(0.3)
    model.log_sd.fill_(-0.3)  # wide enough that the edge levels take much of the tails
    assert_drawn(model.sample(20_000, seeded("samples")), model.log_prob(every(space)), space)


@torch.no_grad()
def test_draws_of_real_numbers_follow_weights_means_and_deviations():
    model = random_mixture(Space((2,)))
    weights = torch.tensor([0.6, 0.3, 0.1])
    model.logits.copy_(weights.log() + 5.0)  # up to a constant
    model.mean.copy_(torch.tensor([[-90.0, 0.0], [0.0, 90.0], [90.0, 0.0]]))  # so far apart that a draw shows its k
    x = model.sample(20_000, seeded("samples"))
    k = torch.cdist(x, model.mean).argmin(1)
    assert_frequencies(torch.bincount(k, minlength=3), weights)
    assert_standard_normal((x - model.mean[k]) / model.log_sd[k].exp())
    for j, w in enumerate(model.log_sd.exp()):
        assert_moments(x[k == j], model.mean[j], w.square().diag())


@torch.no_grad()
def test_components_start_on_training_examples():
    space = Space((2,), levels=5)
    model = random_mixture(space)
    x = torch.tensor([[0, 4], [4, 2], [1, 3]])
    model.initialise(x, seeded("initialise"))
    assert len(model.mean.unique(dim=0)) > 1
    for mean in model.mean:
        assert (mean == x / 2 - 1).all(1).any()  # 5 levels are 2 per unit of [-1, 1]


def test_components_start_equally_likely_and_as_wide_as_asked_for():
    model = mixture.build(Space((2,)), components=3, scale=0.2)
    assert (model.logits == 0).all()
    torch.testing.assert_close(model.log_sd.exp(), torch.full((3, 2), 0.2))


def test_loss_is_the_mean_negative_log_likelihood():
    model, x = random_mixture(Space((2,))), torch.randn(7, 2, generator=seeded("x"))
    torch.testing.assert_close(model.loss(x, seeded("unused")), -model.log_prob(x).mean())
