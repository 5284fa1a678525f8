"""Convolutional VAE: sizes that do not halve, every decoder's bound against an integral over z, draws as scored."""

import pytest
import torch
from torch.distributions import Normal

from draws import assert_drawn, every
from genbench.baselines._observations import DECODERS
from genbench.baselines.latent_variable import conv_vae
from genbench.models.sampling import seeded
from genbench.space import Space

BINARY, GREY = Space((1, 3, 2), levels=2), Space((2, 1, 2), levels=4)
PROPER = [(GREY, name) for name in DECODERS if name != "bernoulli"] + [(BINARY, "bernoulli")]


def small(space: Space, decoder: str, telling: float = 3.0, **options) -> conv_vae.ConvVAE:
    """With one latent, on which x depends the more the more it tells."""
    torch.manual_seed(0)
    net = conv_vae.build(space, latent=1, width=4, halvings=1, decoder=decoder, **options).eval().requires_grad_(False)
    net.decoder.layers[0].weight.mul_(telling)
    net.decoder.layers[-1].weight.mul_(telling)
    return net


def log_marginal(net: conv_vae.ConvVAE, x: torch.Tensor) -> torch.Tensor:
    """log int p(x | z) N(z; 0, 1) dz by the trapezoid rule: [B] float64."""
    z = torch.linspace(-8, 8, 401)
    w = Normal(0.0, 1.0).log_prob(z.double()) + torch.tensor(16 / 400).double().log()
    log_p = torch.stack([net.log_likelihood(x, point.expand(len(x), 1)).double() for point in z])
    return torch.logsumexp(log_p + w[:, None], 0)


@pytest.mark.parametrize(("space", "decoder"), PROPER)
def test_the_integral_over_z_sums_to_one_and_samples_are_drawn_from_it(space, decoder):
    net = small(space, decoder)
    log_p = log_marginal(net, every(space))
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-4)  # float32 logits
    assert_drawn(net.sample(20_000, seeded("x")), log_p, space)


@pytest.mark.parametrize(("space", "decoder"), PROPER)
def test_weights_have_the_integral_as_their_mean(space, decoder):
    net, k = small(space, decoder, telling=1.0), 4000
    net.encoder[-1].weight.mul_(0.1)  # q is near the prior, which reaches all of z
    net.encoder[-1].bias.zero_()
    x = every(space)[:: len(every(space)) // 6]
    relative = (net.log_weights(x, k, seeded("z")).double() - log_marginal(net, x)).exp()  # mean one
    stderr = relative.std(0) / k**0.5
    assert float(stderr.max()) < 0.05
    assert float(((relative.mean(0) - 1) / stderr).abs().max()) < 4.5


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 7, 5), (1, 1, 3)])
@pytest.mark.parametrize("halvings", [0, 1, 2, 3])
def test_any_size_can_be_halved(shape, halvings):
    space = Space(shape, levels=3)
    net = conv_vae.build(space, latent=2, width=2, halvings=halvings)
    x = torch.randint(3, (2, *shape), generator=seeded("x"))
    assert net.log_weights(x, 3, seeded("z")).shape == (3, 2)
    assert net.sample(2, seeded("z")).shape == (2, *shape)
    net.loss(x, seeded("z")).backward()
    assert all(p.grad is not None for p in net.parameters())


def test_every_value_is_decoded_by_its_own_outputs():
    """The decoder's maps are P for each channel, values in the order of x: an output moves one value alone."""
    space = Space((2, 3, 3), levels=5)
    net = small(space, "categorical")
    h = net.decoder(torch.zeros(1, 1)).requires_grad_()
    x = torch.randint(5, (1, *space.shape), generator=seeded("x"))
    (gradient,) = torch.autograd.grad(net.observation.log_prob(h, x).sum(), h)
    lowest = gradient.view(5, *space.shape).argmax(0)  # the one logit that should rise is that of x
    assert torch.equal(lowest, x[0])


def test_dropout_rests_at_evaluation():
    net, x, z = small(GREY, "categorical", dropout=0.5), torch.ones(8, 4), torch.ones(8, 1)
    for network, given in ((net.encoder, x), (net.decoder, z)):
        assert torch.equal(network(given), network(given))
        network.train()
        assert not torch.equal(network(given), network(given))


def test_it_is_a_model_of_images():
    with pytest.raises(ValueError, match="images"):
        conv_vae.build(Space((4,), levels=2))
