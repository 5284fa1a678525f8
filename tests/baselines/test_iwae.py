"""IWAE: the bound of k weights on a linear-Gaussian model against its integral, its gradient, two layers."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm
from torch import nn

from draws import assert_drawn, assert_means, every
from genbench.baselines.latent_variable import iwae, vae
from genbench.models.sampling import seeded
from genbench.space import Space


def linear(inputs: int, weight: list[float], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(inputs, len(bias))
    layer.weight.data, layer.bias.data = torch.tensor(weight).view(len(bias), inputs), torch.tensor(bias)
    return layer


def linear_gaussian(k: int) -> iwae.IWAE:
    """z ~ N(0, 1), x | z ~ N(z, 1), q the prior: every weight is N(x; z, 1)."""
    model = iwae.build(Space((1,)), k=k, latent=1, decoder="gaussian-predicted")
    model.decoder, model.encoder = linear(1, [1.0, 0.0], [0.0, 0.0]), linear(1, [0.0, 0.0], [0.0, 0.0])
    return model.requires_grad_(False)


def integral(x: float, k: int, draws: int = 400_000) -> tuple[float, float]:
    """E log 1/k sum_i N(x; z_i, 1) with its standard error: L_k of `linear_gaussian`, by SciPy alone."""
    z = np.random.default_rng(k).standard_normal((k, draws // k))
    values = logsumexp(norm.logpdf(x, z), axis=0) - math.log(k)
    return float(values.mean()), float(values.std() / math.sqrt(values.size))


@pytest.mark.parametrize("k", [1, 5, 50])
def test_the_loss_is_the_negative_bound_of_k_weights(k):
    x, n, repeats = 1.5, 4000, 10
    model = linear_gaussian(k)
    losses = [float(model.loss(torch.full((n, 1), x), seeded("z", r))) for r in range(repeats)]
    expected, stderr = integral(x, k)
    own = np.std(losses, ddof=1) / math.sqrt(repeats)
    assert abs(-np.mean(losses) - expected) < 5 * math.hypot(own, stderr)
    if k == 1:  # E log N(x; z, 1), z ~ N(0, 1)
        assert expected == pytest.approx(-0.5 * math.log(2 * math.pi) - (x**2 + 1) / 2, abs=5 * stderr)


def test_the_bound_rises_with_k_towards_the_likelihood():
    """Theorem 1, on differences of bounds from the same draws: L_5 of a group against the mean of its five L_1."""
    model, x = linear_gaussian(1), torch.full((2000, 1), 1.5)
    w = model.log_weights(x, 50, seeded("z")).double()  # [50, B]
    bounds = [(w.unflatten(0, (-1, k)).logsumexp(1) - math.log(k)).mean(0) for k in (1, 5, 50)]
    for lower, higher in itertools.pairwise(bounds):
        assert (higher >= lower - 1e-9).all()  # by concavity, for every set of draws
        assert float((higher - lower).mean()) > 0.01
    log_p = norm.logpdf(1.5, scale=math.sqrt(2))
    gap = log_p - float(bounds[2].mean())
    assert 0 < gap < log_p - float(bounds[1].mean())


def test_one_weight_has_the_expected_gradient_of_the_vae():
    """k = 1 is a VAE, only without the KL's closed form: gradients agree in the mean over draws."""
    torch.manual_seed(0)
    one = iwae.build(Space((2,)), k=1, latent=2, hidden=4, decoder="gaussian-predicted")
    other = vae.build(Space((2,)), latent=2, hidden=4, decoder="gaussian-predicted")
    other.load_state_dict(one.state_dict())
    x = torch.randn(1, 2, generator=seeded("x")).expand(500, -1)
    differences = []
    for r in range(60):
        found = []
        for model, seed in ((one, "a"), (other, "b")):
            model.zero_grad()
            model.loss(x, seeded(seed, r)).backward()
            found.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
        differences.append(found[0] - found[1])
    assert_means(torch.stack(differences), 0.0)


def test_the_gradient_weighs_each_draw_by_its_share():
    """Equation 14: sum_i w_i / (sum_j w_j) grad log w_i."""
    torch.manual_seed(0)
    model = iwae.build(Space((3,), levels=4), k=7, latent=2, hidden=4)
    x = torch.randint(4, (1, 3), generator=seeded("x"))
    (gradient,) = torch.autograd.grad(model.loss(x, seeded("z")), model.decoder[0].weight)
    w = model.train_weights(x, seeded("z"))[:, 0]
    each = [torch.autograd.grad(value, model.decoder[0].weight, retain_graph=True)[0] for value in w]
    expected = -torch.einsum("k,kij->ij", w.softmax(0), torch.stack(each))
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def two_layers() -> iwae.IWAE:
    """h2 ~ N(0, 1), h1 | h2 ~ N(2 h2, 0.5^2), x | h1 ~ N(h1, 1), and q by Bayes' rule."""
    model = iwae.build(Space((1,)), layers=2, latent=1, upper=1, decoder="gaussian-predicted")
    log_half = math.log(0.5)
    model.upper_decoder, model.decoder = linear(1, [2.0, 0.0], [0.0, log_half]), linear(1, [1.0, 0.0], [0.0, 0.0])
    v = 4 + 0.25  # of h1; h2 | h1 ~ N(2 h1 / v, 0.25 / v), h1 | x ~ N(x v / (v + 1), v / (v + 1))
    model.upper_encoder = linear(1, [2 / v, 0.0], [0.0, 0.5 * math.log(0.25 / v)])
    model.encoder = linear(1, [v / (v + 1), 0.0], [0.0, 0.5 * math.log(v / (v + 1))])
    return model.requires_grad_(False)


def test_weights_of_two_layers_are_the_likelihood_where_both_posteriors_are_true():
    x = torch.linspace(-4, 4, 9)[:, None]
    expected = torch.from_numpy(norm.logpdf(x[:, 0].numpy(), scale=math.sqrt(5.25)))
    w = two_layers().log_weights(x, 5, seeded("z"))
    torch.testing.assert_close(w, expected.to(w).expand(5, -1), rtol=1e-5, atol=1e-5)


def test_the_prior_of_two_layers_is_scored_as_it_is_drawn():
    model = two_layers()
    covariance = np.array([[4.25, 2.0], [2.0, 1.0]])
    z = model.sample_prior(20_000, seeded("z"))
    expected = multivariate_normal(np.zeros(2), covariance).logpdf(z.numpy())
    torch.testing.assert_close(model.log_prior(z), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-4)
    assert_means(z, 0.0)
    assert_means(z[:, :1] * z, torch.from_numpy(covariance[0]))


@pytest.mark.parametrize("layers", [1, 2])
def test_samples_come_from_the_distribution_that_is_weighed(layers):
    space = Space((3,), levels=2)
    torch.manual_seed(1)
    model = iwae.build(space, layers=layers, latent=2, upper=2, hidden=4).requires_grad_(False)
    model.decoder[-1].weight.mul_(4)
    w = model.log_weights(every(space), 50_000, seeded("z")).double()
    log_p = w.logsumexp(0) - math.log(50_000)  # right to a few thousandths
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=0.02)
    assert_drawn(model.sample(5_000, seeded("x")), log_p - log_p.logsumexp(0), space)


@pytest.mark.parametrize("options", [{"k": 0}, {"layers": 3}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="k is at least 1"):
        iwae.build(Space((3,)), **options)
