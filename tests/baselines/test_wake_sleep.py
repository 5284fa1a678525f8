"""Helmholtz machine: everything against sums over its codes; what each phase teaches, and that it teaches the truth."""

import math

import pytest
import torch

from draws import assert_drawn, assert_means, every
from genbench.baselines.latent_variable import wake_sleep
from genbench.likelihood.enumerated import enumerated
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((3,), levels=3)


def small(**options) -> wake_sleep.WakeSleep:
    torch.manual_seed(0)
    net = wake_sleep.build(SPACE, lower=3, upper=2, hidden=8, **options).requires_grad_(False).eval()
    for network in (net.generate_x, net.generate_lower, net.recognise_lower, net.recognise_upper):
        network[-1].weight.mul_(4)
    net.prior.copy_(torch.tensor([1.0, -0.5]))
    return net


def joint(net: wake_sleep.WakeSleep, x: torch.Tensor) -> torch.Tensor:
    """log p(x, h) for every code -> [32, B]."""
    codes = every(net.latent_space)
    return torch.stack([net.log_likelihood(x, z.expand(len(x), -1)) for z in codes]) + net.log_prior(codes)[:, None]


def test_probabilities_sum_to_one_and_samples_are_drawn_from_them():
    net, x = small(), every(SPACE)
    log_p = joint(net, x).logsumexp(0)
    assert float(log_p.double().exp().sum()) == pytest.approx(1, abs=1e-5)
    assert_drawn(net.sample(20_000, seeded("x")), log_p, SPACE)
    torch.testing.assert_close(torch.from_numpy(enumerated(net, x.numpy()).values).float(), log_p)


def test_both_priors_and_posteriors_are_drawn_as_they_are_scored():
    net, x = small(), torch.tensor([[0, 2, 1]])
    codes = every(net.latent_space)
    assert_drawn(net.sample_prior(20_000, seeded("z")), net.log_prior(codes), net.latent_space)
    logits = net.posterior(x)
    log_q = net.log_posterior(codes[:, None], logits)[:, 0]
    assert float(log_q.exp().sum()) == pytest.approx(1, abs=1e-5)
    assert_drawn(net.draw(logits, 20_000, seeded("q"))[:, 0], log_q, net.latent_space)


def test_weights_have_the_likelihood_as_their_mean_and_the_bound_is_below_it():
    net, x, k = small(), every(SPACE)[::4], 20_000
    log_p = joint(net, x).logsumexp(0).double()
    w = net.log_weights(x, k, seeded("z")).double()
    relative = (w - log_p).exp()
    stderr = relative.std(0) / math.sqrt(k)
    assert float(stderr.max()) < 0.1
    assert float(((relative.mean(0) - 1) / stderr).abs().max()) < 4.5
    bound = -float(net.bound(x.repeat(2000, 1), seeded("b")))
    exact = float(
        (net.log_posterior(every(net.latent_space)[:, None], net.posterior(x)).exp() * log_ratio(net, x)).sum(0).mean()
    )
    assert bound == pytest.approx(exact, abs=5 * float(w.std()) / math.sqrt(2000 * len(x)))
    assert exact < float(log_p.mean())


def log_ratio(net: wake_sleep.WakeSleep, x: torch.Tensor) -> torch.Tensor:
    """log p(x, h) - log q(h | x) for every code -> [32, B]."""
    return joint(net, x) - net.log_posterior(every(net.latent_space)[:, None], net.posterior(x))


def test_each_phase_teaches_its_own_weights():
    net, x = small().requires_grad_(True), every(SPACE)
    (stage,) = net.stages()
    wake, sleep = stage.objectives
    assert {id(p) for p in wake.parameters} | {id(p) for p in sleep.parameters} == {id(p) for p in net.parameters()}
    for own, other in ((wake, sleep), (sleep, wake)):
        net.zero_grad()
        own.loss(x, seeded("z")).backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in own.parameters)
        assert all(p.grad is None for p in other.parameters)


def test_the_wake_phase_is_the_gradient_of_the_bound():
    """By the generative weights, in the mean over draws: the bound's own gradient, summed over codes."""
    net, x = small().requires_grad_(True), torch.tensor([[0, 2, 1]])
    q = net.log_posterior(every(net.latent_space)[:, None], net.posterior(x)).exp().detach()
    weight = net.generate_lower[-1].weight
    (exact,) = torch.autograd.grad(-(q * log_ratio(net, x)).sum(), weight)
    many = x.expand(200, -1)
    found = torch.stack([torch.autograd.grad(net.wake(many, seeded("z", r)), weight)[0] for r in range(100)])
    assert_means(found, exact)


def test_the_sleep_phase_is_lowest_at_the_true_posterior():
    """Its mean over dreams is an entropy and E_p KL(p(h | x) || q(h | x))."""
    net, n = small(), 20_000
    x = every(SPACE)
    log_p = joint(net, x)
    true = log_p.log_softmax(0)
    log_q = net.log_posterior(every(net.latent_space)[:, None], net.posterior(x))
    p = log_p.exp()
    exact = float(-(p * log_q).sum())
    assert exact > float(-(p * true).sum())  # the entropy alone
    losses = torch.stack([net.sleep(torch.zeros(n // 20, 3), seeded("s", r)) for r in range(20)])
    assert_means(losses[:, None], exact)


def test_few_codes_are_summed_and_many_are_not():
    assert wake_sleep.build(SPACE, lower=8, upper=4).latent_space.dim == 12
    with pytest.raises(ValueError, match="pseudo-likelihood"):
        small(decoder="bernoulli")
