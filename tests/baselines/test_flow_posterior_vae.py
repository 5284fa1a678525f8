"""Flow posterior: the log-determinant against autograd, the masks, the density of draws, the bound."""

import math

import pytest
import torch
from torch.distributions import Normal

from draws import assert_means, every
from genbench.baselines.latent_variable import flow_posterior_vae
from genbench.baselines.latent_variable.flow_posterior_vae import Step
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((3,), levels=2)


def step(latent: int, backwards: bool) -> Step:
    torch.manual_seed(latent)
    found = Step(latent, 12, 3, backwards).requires_grad_(False)
    found.second.weight.normal_()
    return found


def small(latent: int = 2, **options) -> flow_posterior_vae.FlowPosteriorVAE:
    torch.manual_seed(0)
    net = flow_posterior_vae.build(SPACE, latent=latent, hidden=8, width=6, context=3, flow=3, **options)
    for layer in net.flow:
        torch.nn.init.normal_(layer.second.weight)
    net.requires_grad_(False)
    net.decoder[-1].weight.mul_(4)
    return net.eval()


@pytest.mark.parametrize("latent", [1, 2, 5])
@pytest.mark.parametrize("backwards", [False, True])
def test_the_log_determinant_is_that_of_the_jacobian_which_is_triangular(latent, backwards):
    layer, h = step(latent, backwards), torch.randn(4, 3, generator=seeded("h"))
    for row in range(4):
        z = torch.randn(latent, generator=seeded("z", row))
        jacobian = torch.autograd.functional.jacobian(lambda z, row=row: layer(z, h[row])[0], z)
        torch.testing.assert_close(layer(z, h[row])[1], torch.linalg.slogdet(jacobian).logabsdet)
        before = jacobian.tril(-1) if backwards else jacobian.triu(1)
        assert (before == 0).all()
        after = jacobian.triu(1) if backwards else jacobian.tril(-1)
        assert (after != 0).sum() == latent * (latent - 1) // 2  # every latent sees all of those before it


def test_every_latent_knows_the_context():
    layer, z = step(3, False), torch.zeros(3)
    jacobian = torch.autograd.functional.jacobian(lambda h: layer(z, h)[0], torch.zeros(3))
    assert (jacobian[1:] != 0).all()  # the first is moved by its biases: no hidden unit is before it


def test_draws_have_the_density_that_is_said():
    """The integral of q over z by a wide proposal is one, and E_q f is the same by draws and by q itself.

    q of a given z needs the inverse, one latent at a time: here by bisection, step by step.
    """
    net, n = small(), 4000
    q = net.posterior(torch.tensor([[1, 0, 1]]))
    z, log_q = (t[:, 0] for t in net.draw(q, n, seeded("z")))
    torch.testing.assert_close(log_density(net, z, q), log_q, rtol=1e-3, atol=1e-3)
    mean, sd = z.mean(0), 3 * z.std(0)
    wide = mean + sd * torch.randn(n, 2, generator=seeded("wide"))
    w = (log_density(net, wide, q) - Normal(mean, sd).log_prob(wide).sum(1)).double().exp()
    assert_means(w[:, None], 1.0)


def log_density(net: flow_posterior_vae.FlowPosteriorVAE, z: torch.Tensor, q: tuple[torch.Tensor, ...]) -> torch.Tensor:
    mean, log_sd, h = q
    total = torch.zeros(len(z))
    for t in reversed(range(len(net.flow))):
        layer = net.flow[t]
        before = torch.zeros_like(z)
        for i in (1, 0) if t % 2 else (0, 1):
            low, high = torch.full((len(z),), -200.0), torch.full((len(z),), 200.0)
            for _ in range(45):
                before[:, i] = (low + high) / 2
                above = layer(before, h)[0][:, i] > z[:, i]
                high, low = torch.where(above, before[:, i], high), torch.where(above, low, before[:, i])
        total -= layer(before, h)[1]
        z = before
    return total + Normal(mean, log_sd.exp()).log_prob(z).sum(1)


def test_weights_have_the_likelihood_as_their_mean():
    net, k, x = small(latent=1), 20_000, every(SPACE)
    grid = torch.linspace(-9, 9, 601)
    prior = Normal(0.0, 1.0).log_prob(grid.double()) + math.log(18 / 600)
    log_p = net.log_likelihood(x, grid[:, None, None].expand(-1, 8, 1)).double()
    expected = torch.logsumexp(log_p + prior[:, None], 0)
    assert float(expected.exp().sum()) == pytest.approx(1, abs=1e-5)
    relative = (net.log_weights(x, k, seeded("z")).double() - expected).exp()
    stderr = relative.std(0) / math.sqrt(k)
    assert float(stderr.max()) < 0.05
    assert float(((relative.mean(0) - 1) / stderr).abs().max()) < 4.5


def test_the_loss_is_the_negative_mean_weight():
    net, n = small(), 500
    x = torch.tensor([[1, 0, 1]]).expand(n, -1)
    w = net.log_weights(x, 1, seeded("z"))[0]
    torch.testing.assert_close(net.loss(x, seeded("z")), -w.mean(), rtol=1e-4, atol=1e-5)


def test_without_steps_it_is_a_gaussian_and_a_step_starts_near_the_identity():
    torch.manual_seed(0)
    net = flow_posterior_vae.build(SPACE, latent=2, flow=0)
    q = net.posterior(every(SPACE))
    z, log_q = net.draw(q, 3, seeded("z"))
    torch.testing.assert_close(log_q, Normal(q[0], q[1].exp()).log_prob(z).sum(-1))
    z, h = torch.ones(4, 2), torch.zeros(4, 3)
    out, log_det = Step(2, 4, 3, False)(z, h)
    assert (out > 0.7).all()
    assert (log_det.abs() < 0.6).all()


def test_a_flow_has_steps_that_see_every_latent():
    with pytest.raises(ValueError, match="fewer than 0"):
        flow_posterior_vae.build(SPACE, flow=-1)
    with pytest.raises(ValueError, match="no more than 6 of 8 latents"):
        flow_posterior_vae.build(SPACE, latent=8, width=6)
    flow_posterior_vae.build(SPACE, latent=8, width=7)
