import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import norm
from torch import nn
from torch.distributions import Normal

from genbench import datasets
from genbench.baselines._layers import log_normal
from genbench.baselines.latent_variable import vae
from genbench.cli import shipped
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space


def small(space: Space, **options) -> vae.VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return vae.build(space, **{"latent": 2, "hidden": 16, "sd": "predicted", **options}).eval()


def linear(weight: list[float], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(1, 2)
    layer.weight.data, layer.bias.data = torch.tensor(weight).view(2, 1), torch.tensor(bias)
    return layer


def linear_gaussian() -> vae.VAE:
    """z ~ N(0, 1), x | z ~ N(z, 1), hence x ~ N(0, 2) and z | x ~ N(x/2, 1/2), which is the encoder."""
    model = vae.build(Space((1,)), latent=1, sd="predicted")
    model.decoder = linear([1.0, 0.0], [0.0, 0.0])
    model.encoder = linear([0.5, 0.0], [0.0, 0.5 * math.log(0.5)])
    return model.requires_grad_(False)


def test_with_the_true_posterior_every_weight_is_the_likelihood():
    x = torch.linspace(-3, 3, 7).view(-1, 1)
    expected = torch.tensor(norm.logpdf(x.numpy().ravel(), scale=math.sqrt(2)), dtype=torch.float32)
    weights = linear_gaussian().log_weights(x, 5, seeded("z"))
    torch.testing.assert_close(weights, expected.expand(5, -1), rtol=1e-5, atol=1e-5)


def test_loss_is_the_negative_bound_of_the_linear_gaussian():
    n, x = 20_000, 1.0
    loss = linear_gaussian().loss(torch.full((n, 1), x), seeded("z"))  # q is the posterior: the bound is tight
    # Its only noise is (x - z)^2 / 2 with x - z ~ N(m, v), and the variance of N(m, v)^2 is 2 v^2 + 4 m^2 v.
    m, v = x / 2, 0.5
    sd = math.sqrt((2 * v**2 + 4 * m**2 * v) / 4 / n)
    assert abs(float(loss) + norm.logpdf(x, scale=math.sqrt(2))) < 4 * sd


@pytest.mark.parametrize("space", [Space((1, 2, 2), levels=5), Space((3,))])
def test_log_mean_exp_of_weights_is_the_integral_over_z(space):
    model = small(space, latent=1).requires_grad_(False)
    for layer in (model.decoder[0], model.decoder[-1]):
        layer.weight.mul_(3)  # so that x depends on z
    generator = seeded("x", space.shape)
    x = (
        torch.randint(5, (4, *space.shape), generator=generator)
        if space.levels
        else torch.randn(4, 3, generator=generator)
    )
    nodes, quadrature = np.polynomial.legendre.leggauss(2000)
    z = torch.tensor(10 * nodes, dtype=torch.float32).view(-1, 1)
    joint = torch.stack([model.log_likelihood(one.expand(len(z), *space.shape), z) + model.log_prior(z) for one in x])
    expected = logsumexp(joint.double().numpy(), b=10 * quadrature, axis=1)
    k = 20_000
    weights = model.log_weights(x, k, seeded("z")).double()  # [k, B]
    relative = (weights - torch.from_numpy(expected)).exp()  # mean one
    stderr = relative.std(0) / k**0.5
    assert float(stderr.max()) < 0.02
    assert float(((relative.mean(0) - 1) / stderr).abs().max()) < 4


def test_the_bound_is_the_mean_log_weight():
    model = small(Space((1, 2, 2), levels=5)).requires_grad_(False)
    n = 20_000
    x = torch.randint(5, (1, 1, 2, 2), generator=seeded("x")).expand(n, -1, -1, -1)
    mean, log_sd = model.posterior(x)
    z = mean + log_sd.exp() * torch.randn(n, 2, generator=seeded("a"))
    reconstruction = model.log_likelihood(x, z)  # the one noisy term of the loss, whose KL is in closed form
    weights = model.log_weights(x, 1, seeded("b"))[0]
    stderr = ((weights.var() + reconstruction.var()) / n).sqrt()
    assert abs(float(weights.mean() + model.loss(x, seeded("c")))) < 4 * float(stderr)


def test_decoder_is_a_distribution_over_all_levels():
    space = Space((2,), levels=4)
    model = small(space)
    z = torch.randn(1, 2, generator=seeded("z")).expand(16, 2)
    everything = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    assert float(model.log_likelihood(everything, z).detach().exp().sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("space", [Space((1, 2, 2), levels=5), Space((1, 2, 2), levels=2), Space((3,))])
def test_samples_come_from_the_distribution_that_is_scored(space):
    """Mean of f(x) under samples against the model's own E_z E[f(x) | z], for f the value and its square."""
    model = small(space).requires_grad_(False)
    n = 20_000
    x = model.sample(n, seeded("x")).float().flatten(1)
    parameters = model.observation.split(model.decoder(model.sample_prior(n, seeded("z"))))  # [n, P, D]
    if space.levels is None:
        first, second = parameters[:, 0], parameters[:, 0] ** 2 + (2 * parameters[:, 1]).exp()
    elif space.levels == 2:
        first = second = parameters[:, 0].sigmoid()
    else:
        p, levels = parameters.softmax(1), torch.arange(5.0).view(5, 1)
        first, second = (p * levels).sum(1), (p * levels**2).sum(1)
    for sampled, expected in ((x, first), (x**2, second)):
        stderr = ((sampled.var(0) + expected.var(0)) / n).sqrt()
        assert float(((sampled.mean(0) - expected.mean(0)) / stderr).abs().max()) < 4


def test_reconstruction_is_the_expected_value_at_the_posterior_mean():
    model = small(Space((1, 1, 2), levels=5)).requires_grad_(False)
    x = torch.tensor([[[[0, 4]]]])
    z = model.encode(x)
    first = sum(
        value * math.exp(float(model.log_likelihood(torch.tensor([[[[value, other]]]]), z)))
        for value in range(5)
        for other in range(5)
    )
    assert float(model.reconstruct(x)[0, 0, 0, 0]) == pytest.approx(first, abs=1e-5)


def test_prior_is_the_standard_normal():
    z = torch.randn(3, 2, generator=seeded("z"))
    torch.testing.assert_close(small(Space((2,))).log_prior(z), log_normal(z, z.new_zeros(()), z.new_zeros(())).sum(1))


def test_encoder_runs_once_whatever_k():
    model, calls = small(Space((3,))), []
    model.encoder.register_forward_hook(lambda *_: calls.append(1))
    model.log_weights(torch.zeros(2, 3), 50, seeded("z"))
    assert len(calls) == 1


@torch.no_grad()
def test_the_shipped_weights_are_those_of_the_formula_written_out():
    model = load(next(p for p in map(Path, shipped("digits")) if p.stem == "vae"))
    x = torch.from_numpy(datasets.load("digits").test[:30]).long()
    k = 2 * vae.ROWS // len(x) + 1  # in slices, the last one short
    mean, log_sd = model.posterior(x)
    z = mean + log_sd.exp() * torch.randn(k, *mean.shape, generator=seeded("z"))
    log_q = Normal(mean, log_sd.exp()).log_prob(z).sum(-1)
    expected = model.log_likelihood(x, z) + model.log_prior(z) - log_q  # all at once
    torch.testing.assert_close(model.log_weights(x, k, seeded("z")), expected, rtol=1e-6, atol=0)
