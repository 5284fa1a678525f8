"""Bernoulli VAE: sums over codes against loops over them, the gap of the bound, the sampler."""

import itertools

import pytest
import torch
from torch.distributions import Bernoulli

from draws import assert_drawn, every
from genbench.baselines.latent_variable import bernoulli_vae
from genbench.likelihood import log_likelihood
from genbench.likelihood.enumerated import enumerated
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((2, 2), levels=3)


def small(**options) -> bernoulli_vae.BernoulliVAE:
    torch.manual_seed(0)
    net = bernoulli_vae.build(SPACE, latent=3, hidden=8, **options).eval()
    with torch.no_grad():
        net.decoder[-1].weight.mul_(5)
        net.encoder[-1].weight.mul_(5)
        net.prior.copy_(torch.tensor([0.5, -1.0, 0.0]))
    return net


def by_hand(net: bernoulli_vae.BernoulliVAE, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log p(x, z) and log q(z | x) for each of the 8 codes in turn -> [B, 8] each."""
    joint, log_q = [], []
    for z in itertools.product((0, 1), repeat=3):
        code = torch.tensor(z).expand(len(x), -1)
        joint.append(net.log_likelihood(x, code) + Bernoulli(logits=net.prior).log_prob(code.float()).sum(1))
        log_q.append(Bernoulli(logits=net.posterior(x)).log_prob(code.float()).sum(1))
    return torch.stack(joint, 1), torch.stack(log_q, 1)


def test_bound_likelihood_and_gap_are_sums_over_all_codes():
    net, x = small(), every(SPACE)
    joint, log_q = by_hand(net, x)
    bound, log_p, gap = net.bounds(x)
    torch.testing.assert_close(log_p, joint.logsumexp(1))
    torch.testing.assert_close(bound, (log_q.exp() * (joint - log_q)).sum(1))
    true = joint - joint.logsumexp(1, keepdim=True)
    torch.testing.assert_close(gap, (true.exp() * (true - log_q)).sum(1), rtol=1e-4, atol=1e-5)
    # What the bound loses is KL(q(z | x) || p(z | x)).
    torch.testing.assert_close(log_p - bound, (log_q.exp() * (log_q - true)).sum(1), rtol=1e-4, atol=1e-4)
    assert (log_p > bound).all()


def test_probabilities_sum_to_one_and_samples_are_drawn_from_them():
    net = small().requires_grad_(False)
    log_p = net.log_prob(every(SPACE))
    assert float(log_p.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert_drawn(net.sample(20_000, seeded("x")), log_p, SPACE)
    assert_drawn(net.sample_prior(20_000, seeded("z")), net.log_prior(every(net.latent_space)), net.latent_space)


def test_the_harness_takes_it_as_exact_and_its_own_sum_agrees():
    net, x = small().requires_grad_(False), every(SPACE)[:20]
    found = log_likelihood(net, x.numpy(), k=1, seed=0, block_size=10)
    assert found.kind == "exact"
    torch.testing.assert_close(torch.from_numpy(enumerated(net, x.numpy()).values).float(), net.log_prob(x))


def test_the_gradient_is_that_of_the_score_function_in_expectation():
    """E_q f grad log q: the estimator with noise, here summed over codes, is what enumeration differentiates."""
    net, x = small(), every(SPACE)[:10]
    (enumerated_gradient,) = torch.autograd.grad(net.loss(x, seeded()), net.encoder[0].weight)
    joint, log_q = by_hand(net, x)
    signal = (log_q.exp() * (joint - log_q)).detach()
    (score,) = torch.autograd.grad(-(signal * log_q).sum(1).mean(), net.encoder[0].weight)
    torch.testing.assert_close(enumerated_gradient, score, rtol=1e-3, atol=1e-5)


def test_a_tight_model_trains_its_likelihood_and_the_encoder_follows():
    net, x = small(tight=True), every(SPACE)[:10]
    _, log_p, gap = net.bounds(x)
    torch.testing.assert_close(net.loss(x, seeded()), (gap - log_p).mean())
    (of_decoder,) = torch.autograd.grad(net.loss(x, seeded()), net.decoder[0].weight)
    (expected,) = torch.autograd.grad(-net.log_prob(x).mean(), net.decoder[0].weight)
    torch.testing.assert_close(of_decoder, expected)
    (stage,) = net.stages()
    torch.testing.assert_close(stage.validate(x, seeded()), -log_p.mean())


def test_reconstruction_is_the_mean_over_codes():
    net, x = small().requires_grad_(False), every(SPACE)[:5]
    _, log_q = by_hand(net, x)
    means = torch.stack([net.log_levels(c[None])[0].exp() @ torch.arange(3.0) for c in net.codes])
    torch.testing.assert_close(net.reconstruct(x).flatten(1), log_q.exp() @ means)


@pytest.mark.parametrize(("space", "options"), [(Space((2,)), {}), (SPACE, {"latent": 0}), (SPACE, {"latent": 13})])
def test_what_cannot_be_summed_is_refused(space, options):
    with pytest.raises(ValueError, match=r"levels are|latents, got"):
        bernoulli_vae.build(space, **options)
