"""VampPrior: a mixture of posteriors, drawn as scored; the KL by Monte Carlo; collapsed pseudo-inputs."""

import pytest
import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from draws import assert_means
from genbench.baselines.latent_variable import vampprior_vae
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((2, 2), levels=4)


def small(components: int = 3, **options) -> vampprior_vae.VampPriorVAE:
    torch.manual_seed(0)
    net = vampprior_vae.build(SPACE, components=components, latent=2, hidden=8, **options).requires_grad_(False)
    net.pseudo.uniform_(-1.5, 1.5)
    net.encoder[-1].weight.mul_(4)
    return net.eval()


def test_the_prior_is_the_mean_of_the_posteriors_at_the_pseudo_inputs():
    net = small()
    mean, log_sd = net.encoder(net.pseudo.clamp(-1, 1)).chunk(2, dim=1)
    mixture = MixtureSameFamily(Categorical(torch.ones(3)), Independent(Normal(mean, log_sd.exp()), 1))
    z = 2 * torch.randn(5, 7, 2, generator=seeded("z"))
    torch.testing.assert_close(net.log_prior(z), mixture.log_prob(z))


def test_draws_of_the_prior_have_the_density_that_is_scored():
    """By importance weights: E_p f = E_r f p / r, with r a wide normal."""
    net, n = small(), 40_000
    drawn = net.sample_prior(n, seeded("z"))
    wide = Normal(0.0, 3.0)
    z = 3 * torch.randn(n, 2, generator=seeded("r"))
    w = (net.log_prior(z) - wide.log_prob(z).sum(1)).double().exp()[:, None]
    features = [lambda z: z, lambda z: z**2, lambda z: (z > 0.2).double()]
    assert_means(w, 1.0)
    for f in features:
        a, b = f(drawn).double(), w * f(z)
        assert_means(a - b, 0.0)  # pairs of independent draws


def test_the_kl_is_that_of_the_draws():
    net, n = small(), 40_000
    x = torch.randint(4, (1, 2, 2), generator=seeded("x"))
    _, kl = net.terms(x.expand(n, -1, -1), seeded("z"))
    mean, log_sd = net.posterior(x)
    grid = torch.cartesian_prod(*[torch.linspace(-6, 6, 301)] * 2)
    points = mean + log_sd.exp() * grid
    log_q = Normal(mean, log_sd.exp()).log_prob(points).sum(1)
    cell = float(log_sd.exp().prod()) * (12 / 300) ** 2
    exact = (log_q.exp() * (log_q - net.log_prior(points))).double().sum() * cell
    assert_means(kl[:, None], float(exact))


def test_the_loss_is_the_negative_mean_weight():
    net, n = small(), 20_000
    x = torch.randint(4, (1, 2, 2), generator=seeded("x")).expand(n, -1, -1)
    w = net.log_weights(x, 1, seeded("z"))[0]
    torch.testing.assert_close(net.loss(x, seeded("z")), -w.mean(), rtol=1e-4, atol=1e-4)


def test_collapsed_pseudo_inputs_are_one():
    """K equal pseudo-inputs are a prior of one component, whatever K; and at x itself the KL is zero."""
    one, many = small(1), small(5)
    many.pseudo.copy_(one.pseudo.expand(5, -1))
    many.encoder.load_state_dict(one.encoder.state_dict())
    z = torch.randn(9, 2, generator=seeded("z"))
    torch.testing.assert_close(one.log_prior(z), many.log_prior(z))
    x = torch.randint(4, (1, 2, 2), generator=seeded("x"))
    one.initialise(x, seeded("u"))
    _, kl = one.terms(x, seeded("z"))
    torch.testing.assert_close(kl, torch.zeros(1), rtol=0, atol=1e-5)


def test_pseudo_inputs_start_at_examples_and_learn():
    net = small().requires_grad_(True)
    x = torch.randint(4, (20, 2, 2), generator=seeded("x"))
    net.initialise(x, seeded("u"))
    places = vampprior_vae.normalised(x, SPACE).flatten(1)
    assert all((u == places).all(1).any() for u in net.pseudo)
    with torch.no_grad():
        net.pseudo.mul_(0.5)  # off the ends of the range, where the clamp stops the gradient
    net.loss(x, seeded("z")).backward()
    assert (net.pseudo.grad.abs().sum(1) > 0).all()


def test_there_is_a_component():
    with pytest.raises(ValueError, match="at least one component"):
        vampprior_vae.build(SPACE, components=0)
