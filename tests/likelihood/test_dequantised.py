"""Dequantisation with learned noise, against densities whose cells have a known mass."""

import itertools
import math

import pytest
import torch
from torch import nn

from genbench import catalog
from genbench.baselines.flows import realnvp, variational_realnvp
from genbench.baselines.flows.realnvp import learned_noise
from genbench.likelihood.dequantised import Dequantised, LogitNormal, Noise, VariationallyDequantised
from genbench.likelihood.iwae import importance_weighted
from genbench.models.sampling import seeded
from genbench.space import Space


class Ramp(nn.Module):
    """Density 2y/L^2 on [0, L): P(x) = (2x + 1) / L^2."""

    space = Space((1,))
    L = 4

    def log_prob(self, y):
        return torch.log(2 * y[:, 0] / self.L**2)


CELLS = torch.arange(Ramp.L)[:, None]
EXACT = torch.log((2 * CELLS[:, 0] + 1) / Ramp.L**2)


class RampPosterior(Noise):
    """The density of u under the ramp, given its cell: 2 (x + u) / (2 x + 1), drawn by its inverse distribution."""

    def posterior(self, x):
        return x.double()

    def draw(self, q, generator):
        v = torch.rand(q.shape, generator=generator, dtype=torch.double)
        u = (q**2 + v * (2 * q + 1)).sqrt() - q
        return u, torch.log(2 * (q + u) / (2 * q + 1))[:, 0]


def moved(module: nn.Module, size: float = 0.3) -> nn.Module:
    """Away from the zeros that it starts at: every parameter is moved at random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for p in module.parameters():
            p.data += size * torch.randn_like(p)
    return module


def noise_in(shape: tuple[int, ...], levels: int = Ramp.L, depth: int = 2) -> LogitNormal:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return moved(learned_noise(shape, levels, hidden=6, depth=depth))


def weights(model, x, k):
    with torch.no_grad():
        return model.log_weights(x, k, seeded("weights")).double()


def test_with_the_true_conditional_every_weight_is_the_probability():
    w = weights(VariationallyDequantised(Ramp(), Ramp.L, RampPosterior()), CELLS, 200)
    torch.testing.assert_close(w, EXACT.double().expand_as(w), rtol=0, atol=1e-6)  # x.float() + u is rounded once


def test_weights_are_unbiased_whatever_the_noise():
    n = 40_000
    p = weights(VariationallyDequantised(Ramp(), Ramp.L, noise_in((1,), depth=0)), CELLS, n).exp()
    error = p.std(0) / math.sqrt(n)
    assert ((p.mean(0) - EXACT.exp()).abs() < 4 * error).all()


def test_weights_of_a_flow_on_several_values_are_unbiased():
    """Learned and uniform noise are two estimates of one probability."""
    n, levels = 40_000, 3
    x = torch.tensor(list(itertools.product(range(levels), repeat=2)))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        flow = moved(realnvp.RealNVP((2,), depth=2, hidden=6, dropout=0.0, levels=levels), 0.2).eval()
    learned = weights(VariationallyDequantised(flow, levels, noise_in((2,), levels)), x, n).exp()
    uniform = weights(Dequantised(flow, levels), x, n).exp()
    error = ((learned.var(0) + uniform.var(0)) / n).sqrt()
    assert ((learned.mean(0) - uniform.mean(0)).abs() < 4 * error).all()


def test_learned_noise_beats_uniform_noise_and_no_noise_beats_the_truth():
    """The gap of uniform noise is closed: E_u log((2 x + 2 u) / (2 x + 1)), 0.307 nats in the cell of zero."""
    model = VariationallyDequantised(Ramp(), Ramp.L, learned_noise((1,), Ramp.L, hidden=16, depth=0))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    x = CELLS.repeat(64, 1)
    for step in range(300):
        optimiser.zero_grad()
        model.loss(x, seeded("step", step)).backward()
        optimiser.step()
    n = 20_000
    w = weights(model, CELLS, n)
    error = w.std(0) / math.sqrt(n)
    assert (w.mean(0) < EXACT + 4 * error).all()
    uniform = weights(Dequantised(Ramp(), Ramp.L), CELLS, n)
    assert float(EXACT[0] - uniform.mean(0)[0]) == pytest.approx(1 - math.log(2), abs=4 / math.sqrt(n))  # sd log u = 1
    assert float((EXACT - w.mean(0)).mean()) < 0.5 * float((EXACT - uniform.mean(0)).mean())


def test_density_of_the_noise_integrates_to_one():
    """The measure of u is that of e, so sum r(u) du over a grid of e must be one, from the u and log r of the model."""
    noise = noise_in((1,), depth=0).double()
    e = torch.linspace(-8, 8, 20_001, dtype=torch.double)[:, None]
    with torch.no_grad():
        for q in noise.float().posterior(CELLS).double():
            u, logdet = noise.double()(e, q.expand(len(e), -1))
            r = torch.exp(-0.5 * e[:, 0] ** 2 - 0.5 * math.log(2 * math.pi) - logdet)
            assert bool((u > 0).all() and (u < 1).all() and (u.diff(dim=0) > 0).all())
            assert float(torch.trapezoid(r, u[:, 0])) == pytest.approx(1, abs=1e-5)  # 1e-15 of the mass lies outside


@pytest.mark.parametrize("shape", [(3,), (1, 4, 4), (3, 2, 2)])
def test_logdet_of_the_noise_is_that_of_autograds_jacobian(shape):
    noise = noise_in(shape)
    x = torch.randint(Ramp.L, (1, *shape), generator=seeded("x"))
    q = noise.posterior(x).detach().double()
    noise = noise.double()
    e = torch.randn(math.prod(shape), dtype=torch.double, generator=seeded("e"))
    jacobian = torch.autograd.functional.jacobian(lambda v: noise(v.view(1, *shape), q)[0].flatten(), e)
    logdet = noise(e.view(1, *shape), q)[1][0]
    torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, logdet, rtol=1e-9, atol=1e-9)
    off_diagonal = jacobian - torch.diag(jacobian.diag())
    assert bool((off_diagonal != 0).any()), "couplings make the noise of one value depend on that of others"


def test_noise_starts_close_to_uniform():
    noise = learned_noise((4,), Ramp.L, hidden=6)
    with torch.no_grad():
        u, log_r = noise.draw(noise.posterior(torch.zeros(5000, 4, dtype=torch.long)), seeded("u"))
    # The Gaussian with the moments of the logistic distribution: KL to uniform 0.0105 nats per value, by quadrature.
    assert float(log_r.mean()) / 4 == pytest.approx(0.0105, abs=4 * float(log_r.std()) / 4 / math.sqrt(5000))
    assert float(u.mean()) == pytest.approx(0.5, abs=4 * 0.3 / math.sqrt(20_000))


def test_noise_far_out_has_a_finite_density():
    noise = learned_noise((2,), Ramp.L, hidden=4)
    u, logdet = noise(torch.full((1, 2), 60.0), noise.posterior(torch.zeros(1, 2, dtype=torch.long)))
    assert bool((u == 1).all())
    assert bool(logdet.isfinite().all())


def test_gradients_reach_every_parameter():
    model = moved(variational_realnvp.build(Space((1, 8, 8), 17), depth=2, hidden=4, noise_hidden=4), 0.1)
    x = torch.randint(17, (4, 1, 8, 8), generator=seeded("x"))
    model.loss(x, seeded("u")).backward()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert bool((p.grad != 0).any()), name


def test_posterior_is_what_the_weights_take():
    model = moved(variational_realnvp.build(Space((3,), 5), depth=1, hidden=4, noise_hidden=4)).eval()
    x = torch.tensor([[0, 2, 4], [1, 1, 3]])
    given = model.log_weights(x, 7, seeded("u"), model.posterior(x))
    torch.testing.assert_close(given, model.log_weights(x, 7, seeded("u")), rtol=0, atol=0)
    bound = importance_weighted(model.requires_grad_(False), x, 60, lambda j: seeded("chunk", j))
    assert bound.state.n == 60


def test_loss_is_the_bound_of_one_draw():
    x = CELLS.repeat(5, 1)
    for model in (Dequantised(Ramp(), Ramp.L), VariationallyDequantised(Ramp(), Ramp.L, noise_in((1,), depth=0))):
        bound = model.log_weights(x, 1, seeded("u")).mean()
        torch.testing.assert_close(model.loss(x, seeded("u")), -bound, rtol=0, atol=0)


def test_kinds_of_dequantisation_are_options_of_the_flow():
    space = Space((3,), 5)
    assert isinstance(realnvp.build(space), Dequantised)
    assert isinstance(realnvp.build(space, dequantisation="variational"), VariationallyDequantised)
    assert isinstance(catalog.build("variational-realnvp", space, {}), VariationallyDequantised)
    with pytest.raises(ValueError, match="'uniform' or 'variational', not 'gaussian'"):
        realnvp.build(space, dequantisation="gaussian")
    with pytest.raises(ValueError, match="need no dequantisation"):
        variational_realnvp.build(Space((3,)))
