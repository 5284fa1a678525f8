"""Conditional VAE: the bound given a label, the marginal over labels, draws of a class, against integrals over z."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from draws import assert_drawn, assert_frequencies, counts, every
from genbench.baselines.latent_variable import conditional_vae
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE, C = Space((3,), levels=2), 3


def small() -> conditional_vae.ConditionalVAE:
    torch.manual_seed(0)
    net = conditional_vae.build(SPACE, classes=C, latent=1, hidden=8).requires_grad_(False).eval()
    net.decoder[0].weight.mul_(3)
    net.decoder[-1].weight.mul_(4)
    return net


def log_given(net: conditional_vae.ConditionalVAE, x: torch.Tensor, y: int) -> torch.Tensor:
    """log int p(x | z, y) N(z; 0, 1) dz by the trapezoid rule -> [B] float64."""
    z = torch.linspace(-9, 9, 601)
    w = Normal(0.0, 1.0).log_prob(z.double()) + math.log(18 / 600)
    log_p = net.log_likelihood(x, z[:, None, None].expand(-1, len(x), 1), torch.full((len(x),), y)).double()
    return torch.logsumexp(log_p + w[:, None], 0)


def test_each_class_has_a_distribution_of_its_own():
    net = small()
    given = torch.stack([log_given(net, every(SPACE), y) for y in range(C)])
    torch.testing.assert_close(given.exp().sum(1), torch.ones(C).double(), rtol=0, atol=1e-5)
    assert (given[0] - given[1]).abs().max() > 0.2
    for y in range(C):
        assert_drawn(net.sample(20_000, seeded("x"), torch.full((20_000,), y)), given[y], SPACE)


@pytest.mark.parametrize("labelled", [True, False])
def test_weights_have_the_integral_as_their_mean(labelled):
    net, k, x = small(), 20_000, every(SPACE)
    given = torch.stack([log_given(net, x, y) for y in range(C)])
    labels = torch.arange(len(x)) % C
    expected = given.gather(0, labels[None])[0] if labelled else given.logsumexp(0) - math.log(C)
    w = net.log_weights(x, k, seeded("z"), labels=labels if labelled else None).double()
    relative = (w - expected).exp()
    stderr = relative.std(0) / math.sqrt(k)
    assert float(stderr.max()) < 0.05
    assert float(((relative.mean(0) - 1) / stderr).abs().max()) < 4.5


def test_a_posterior_that_is_given_changes_nothing():
    net, x = small(), every(SPACE)
    labels = torch.zeros(len(x), dtype=torch.int64)
    for y in (None, labels):
        own = net.log_weights(x, 4, seeded("z"), labels=y)
        assert torch.equal(net.log_weights(x, 4, seeded("z"), net.posterior(x, y), labels=y), own)


def test_without_labels_all_is_the_mixture_over_classes():
    net, x = small(), every(SPACE)
    z = torch.full((len(x), 1), 0.7)
    each = torch.stack([net.log_likelihood(x, z, torch.full((len(x),), y)) for y in range(C)]).exp().mean(0)
    torch.testing.assert_close(net.log_likelihood(x, z).exp(), each)
    n = 20_000
    assert_frequencies(counts(net.observe(torch.full((n, 1), 0.7), seeded("x")), SPACE), each)
    mean = (each[:, None] * x).sum(0)
    torch.testing.assert_close(net.expected(z[:1])[0], mean)


def test_the_loss_is_the_negative_bound_given_the_label():
    net, n = small(), 20_000
    x, labels = torch.tensor([[1, 0, 1]]).expand(n, -1), torch.full((n,), 2)
    mean, log_sd = net.posterior(x[:1], labels[:1])
    assert mean.shape == (1, 1)
    w = net.log_weights(x, 1, seeded("a"), labels=labels)[0]
    loss = net.loss(x, seeded("b"), labels)
    z = mean + log_sd.exp() * torch.randn(n, 1, generator=seeded("b"))
    log_p = net.log_likelihood(x, z, labels)
    kl = kl_divergence(Normal(mean, log_sd.exp()), Normal(0.0, 1.0)).sum()
    torch.testing.assert_close(loss, kl - log_p.mean(), rtol=1e-5, atol=1e-5)
    assert abs(float(w.mean() + loss)) < 4 * float(((w.var() + log_p.var()) / n).sqrt())


def test_the_class_that_encoding_takes_is_the_likeliest():
    net, x = small(), every(SPACE)
    found = net.likeliest(x)
    labels = torch.stack([torch.full_like(found, y) for y in range(C)])
    z = torch.stack([net.posterior(x, y)[0] for y in labels])
    scores = torch.stack(
        [
            net.log_likelihood(x, m, y) + Normal(0.0, 1.0).log_prob(m).sum(1) + net.posterior(x, y)[1].sum(1)
            for m, y in zip(z, labels, strict=True)
        ]
    )
    assert torch.equal(found, scores.argmax(0))
    assert torch.equal(net.encode(x), net.encode(x, found))
    torch.testing.assert_close(net.reconstruct(x), net.expected(net.encode(x, found), found))
