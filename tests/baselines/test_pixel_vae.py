"""PixelVAE: its window, the integral over z, the mean of a decoder drawn value by value, collapse and its cures."""

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from draws import assert_drawn, every
from genbench.baselines.latent_variable import pixel_vae
from genbench.models.sampling import seeded
from genbench.space import Space

BINARY, GREY = Space((1, 3, 2), levels=2), Space((2, 1, 2), levels=3)


def small(space: Space, telling: float = 3.0, **options) -> pixel_vae.PixelVAE:
    """With one latent, on which x depends the more the more it tells, and conditionals that are far from uniform."""
    torch.manual_seed(0)
    options = {"latent": 1, "maps": 4, "halvings": 1, "width": 8, "depth": 1, **options}
    net = pixel_vae.build(space, **options).eval().requires_grad_(False)
    net.decoder.layers[0].weight.mul_(telling)
    net.decoder.layers[-1].weight.mul_(telling)
    for layer in (net.observation.filter, net.observation.output):
        layer.weight.mul_(3)
    return net


def log_marginal(net: pixel_vae.PixelVAE, x: torch.Tensor) -> torch.Tensor:
    """log int p(x | z) N(z; 0, 1) dz by the trapezoid rule: [B] float64."""
    z = torch.linspace(-8, 8, 401)
    w = Normal(0.0, 1.0).log_prob(z.double()) + torch.tensor(16 / 400).double().log()
    log_p = net.log_likelihood(x, z[:, None, None].expand(-1, len(x), 1)).double()
    return torch.logsumexp(log_p + w[:, None], 0)


@pytest.mark.parametrize("space", [BINARY, GREY], ids=["binary", "grey"])
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_the_integral_over_z_sums_to_one_and_samples_are_drawn_from_it(space, reach):
    net = small(space, reach=reach)
    log_p = log_marginal(net, every(space))
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-4)  # float32 logits
    assert_drawn(net.sample(20_000, seeded("x")), log_p, space)


@pytest.mark.parametrize("space", [BINARY, GREY], ids=["binary", "grey"])
def test_weights_have_the_integral_as_their_mean(space):
    net, k = small(space, telling=1.0), 4000
    net.encoder[-1].weight.mul_(0.1)  # q is near the prior, which reaches all of z
    net.encoder[-1].bias.zero_()
    x = every(space)[:: len(every(space)) // 6]
    relative = (net.log_weights(x, k, seeded("z")).double() - log_marginal(net, x)).exp()  # mean one
    stderr = relative.std(0) / k**0.5
    assert float(stderr.max()) < 0.05
    assert float(((relative.mean(0) - 1) / stderr).abs().max()) < 4.5


@pytest.mark.parametrize("reach", [0, 1, 2, 4])
def test_a_pixel_sees_its_window_and_nothing_else(reach):
    space = Space((2, 5, 5), levels=3)
    seen = small(space, reach=reach, width=12).observation.double()
    x = torch.randint(3, (4, 2, 5, 5), generator=seeded("x")).double().requires_grad_()
    seen.padded = lambda x: torch.nn.functional.pad(x, (reach, reach, reach, 0))  # real numbers have a gradient
    logits = seen.logits(seen.filter(seen.padded(x)), torch.zeros(4, 12, 5, 5).double())  # [4, L, C, H, W]
    row, column = torch.arange(5)[:, None], torch.arange(5)[None]
    for c, i, j in [(0, 3, 2), (1, 3, 2), (1, 0, 0), (0, 4, 4)]:
        (gradient,) = torch.autograd.grad(logits[:, :, c, i, j].pow(2).sum(), x, retain_graph=True)
        near = ((row < i) | ((row == i) & (column < j))) & (i - row <= reach) & ((j - column).abs() <= reach)
        expected = near.repeat(2, 1, 1)
        expected[0, i, j] = c == 1  # the channel before
        assert torch.equal((gradient != 0).any(0), expected)


def test_the_mean_is_that_of_the_decoder(monkeypatch):
    net, n = small(BINARY, reach=2), 300
    monkeypatch.setattr(pixel_vae, "DRAWS", n)
    z, x = torch.tensor([[-1.0], [0.5], [2.0]]), every(BINARY)
    p = torch.stack([net.log_likelihood(x, row.expand(len(x), 1)) for row in z]).exp()
    exact = torch.einsum("nx,xchw->nchw", p, x.float())
    stderr = (exact * (1 - exact) / n).sqrt()
    assert float(((net.mean_of_draws(z) - exact) / stderr).abs().max()) < 4.5
    assert torch.equal(net.mean_of_draws(z)[1:], net.mean_of_draws(z[1:]))  # whoever stands beside it
    assert torch.equal(net.reconstruct(x), net.mean_of_draws(net.encode(x)))


@pytest.mark.parametrize("free", [0.0, 0.3, 5.0])
def test_free_bits_count_each_latent_from_so_many_nats_on(free):
    net = small(BINARY, latent=3, free=free)
    x = torch.randint(2, (50, 1, 3, 2), generator=seeded("x"))
    mean, log_sd = net.posterior(x)
    kl = kl_divergence(Normal(mean, log_sd.exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(net.kl_by_latent(x), kl.mean(0))
    (stage,) = net.stages()
    bound, freed = stage.validate(x, seeded("z")), stage.objectives[0].loss(x, seeded("z"))
    torch.testing.assert_close(freed - bound, (free - kl.mean(0)).clamp(min=0).sum(), rtol=1e-4, atol=1e-5)


SQUARE = Space((1, 3, 3), levels=2)


def copies(n: int, generator: torch.Generator) -> torch.Tensor:
    """One fair bit in all nine pixels, each of them wrong one time in ten: [n, 1, 3, 3]."""
    bit = torch.randint(2, (n, 1, 1, 1), generator=generator)
    return bit ^ (torch.rand(n, *SQUARE.shape, generator=generator) < 0.1).long()


def true_entropy() -> float:
    x = every(SQUARE).float()
    given = [Independent(Bernoulli(torch.full(SQUARE.shape, p)), 3).log_prob(x) for p in (0.1, 0.9)]
    log_p = torch.stack(given).logsumexp(0).double() - torch.tensor(2.0).double().log()
    return -float((log_p.exp() * log_p).sum())


def trained(reach: int, free: float) -> tuple[float, torch.Tensor]:
    """The bound in nats over the true entropy, and the KL of each latent."""
    torch.manual_seed(0)
    net = pixel_vae.build(SQUARE, reach=reach, free=free, latent=2, maps=4, halvings=1, width=16, depth=1)
    optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
    generator = seeded("train")
    for step in range(250):
        optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / 250)
        optimiser.zero_grad()
        net.freed(copies(96, generator), generator).backward()
        optimiser.step()
    x = copies(5_000, seeded("test"))
    with torch.no_grad():
        return float(net.loss(x, seeded("z"))) - true_entropy(), net.kl_by_latent(x)


def test_collapse_with_a_window_that_sees_all_and_its_two_cures():
    """z has something to say: the bit, log 2 nats. A decoder that sees all pixels before it needs no z to say it."""
    excess, kl = trained(reach=2, free=0.0)
    assert float(kl.sum()) < 0.02  # collapsed, and the better for it:
    assert excess < 0.1
    without, kl = trained(reach=0, free=0.0)
    assert float(kl.max()) > 0.6  # no window: z says the bit, and pays more than log 2, as q is no posterior of a bit
    assert without > excess
    _, kl = trained(reach=2, free=0.5)
    assert float(kl.max()) > 0.45  # free bits: z is used at the price that was waived


@pytest.mark.parametrize("options", [{"reach": -1}, {"free": -0.1}, {"width": 1}])
def test_options_are_checked(options):
    with pytest.raises(ValueError, match="at least"):
        pixel_vae.build(GREY, **options)


def test_it_is_a_model_of_images_of_levels():
    for space in (Space((4,), levels=2), Space((1, 2, 2))):
        with pytest.raises(ValueError, match="images"):
            pixel_vae.build(space)
