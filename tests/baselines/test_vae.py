"""VAE: the bound and its weights against integrals over the latent, the prior, the sampler."""

import math
from pathlib import Path

import pytest
import torch
from scipy.stats import norm
from torch import nn
from torch.distributions import Normal

from draws import assert_drawn, assert_moments, assert_standard_normal, every
from genbench import datasets
from genbench.baselines.latent_variable import vae
from genbench.cli import shipped
from genbench.errors import Unavailable
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space


def small(space: Space, **options) -> vae.VAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return vae.build(space, **{"latent": 2, "hidden": 16, "decoder": "gaussian-predicted", **options}).eval()


def telling(model: vae.VAE) -> vae.VAE:
    """The model with a decoder in which x depends on z."""
    for layer in (model.decoder[0], model.decoder[-1]):
        layer.weight.data.mul_(3)
    return model.requires_grad_(False)


def prior_grid() -> tuple[torch.Tensor, torch.Tensor]:
    """Points [m, 1] and the weights [m] of a mean under N(0, 1): the trapezoid rule, exact on what is this smooth."""
    z = torch.linspace(-10, 10, 801, dtype=torch.float64)
    return z.float()[:, None], Normal(0.0, 1.0).log_prob(z).exp() * 20 / 800


def log_marginal(model: vae.VAE, x: torch.Tensor) -> torch.Tensor:
    """log int p(x | z) N(z; 0, 1) dz, of a model with one latent -> [B] float64."""
    z, w = prior_grid()
    log_p = model.log_likelihood(x, z[:, None].expand(-1, len(x), -1)).double()  # [m, B]
    return torch.logsumexp(log_p + w.log()[:, None], 0)


def linear(weight: list[float], bias: list[float]) -> nn.Linear:
    layer = nn.Linear(1, 2)
    layer.weight.data, layer.bias.data = torch.tensor(weight).view(2, 1), torch.tensor(bias)
    return layer


def linear_gaussian() -> vae.VAE:
    """z ~ N(0, 1), x | z ~ N(z, 1), hence x ~ N(0, 2) and z | x ~ N(x/2, 1/2), which is the encoder."""
    model = vae.build(Space((1,)), latent=1, decoder="gaussian-predicted")
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
    model = telling(small(space, latent=1))
    generator = seeded("x", space.shape)
    x = (
        torch.randint(5, (4, *space.shape), generator=generator)
        if space.levels
        else torch.randn(4, 3, generator=generator)
    )
    k = 20_000
    weights = model.log_weights(x, k, seeded("z")).double()  # [k, B]
    relative = (weights - log_marginal(model, x)).exp()  # mean one
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


@pytest.mark.parametrize("space", [Space((1, 2, 2), levels=2), Space((3,), levels=4)])
def test_samples_come_from_the_distribution_that_is_scored(space):
    model = telling(small(space, latent=1))
    assert_drawn(model.sample(20_000, seeded("x")), log_marginal(model, every(space)), space)


@pytest.mark.parametrize("sd", ["shared", "predicted"])
def test_samples_of_real_numbers_have_the_moments_of_the_integral_over_z(sd):
    model = telling(small(Space((3,)), latent=1, decoder=f"gaussian-{sd}"))
    z, w = prior_grid()
    h = model.decoder(z).double()
    if sd == "shared":
        centre, variance = h, (2 * model.observation.log_sd).exp().expand(h.shape)
    else:
        centre, variance = h[:, :3], (2 * h[:, 3:]).exp()
    mean = w @ centre
    second = torch.einsum("m,mi,mj->ij", w, centre, centre) + (w @ variance.double()).diag()
    assert_moments(model.sample(20_000, seeded("x")), mean, second - mean.outer(mean))


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


def test_a_bernoulli_of_grey_values_trains_and_has_no_likelihood():
    """Its pseudo-likelihood would pass for a bound: it is at most one, as those of levels are."""
    model = small(Space((1, 2, 2), levels=5), decoder="bernoulli")
    x = torch.randint(5, (8, 1, 2, 2), generator=seeded("x"))
    model.loss(x, seeded("z")).backward()
    assert all(p.grad.abs().sum() > 0 for p in model.decoder.parameters())
    for refused in (lambda: model.log_weights(x, 3, seeded("z")), lambda: model.log_likelihood(x, torch.zeros(8, 2))):
        with pytest.raises(Unavailable, match="pseudo"):
            refused()


def test_prior_is_the_standard_normal():
    model = small(Space((2,)), latent=3)
    z = model.sample_prior(20_000, seeded("z"))
    assert_standard_normal(z)
    torch.testing.assert_close(model.log_prior(z), Normal(0.0, 1.0).log_prob(z).sum(1))


def test_dropout_is_in_both_networks_and_rests_at_evaluation():
    model, x, z = small(Space((3,)), dropout=0.5), torch.ones(4, 3), torch.ones(4, 2)
    for network, given in ((model.encoder, x), (model.decoder, z)):
        assert torch.equal(network(given), network(given))
        network.train()
        assert not torch.equal(network(given), network(given))


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
