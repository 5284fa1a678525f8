"""Score-function VAE: its gradient against the one by enumeration, and the variance that a baseline takes away."""

import math
from pathlib import Path

import pytest
import torch
from torch.distributions import Bernoulli

from genbench import datasets
from genbench.baselines.latent_variable import score_function_vae
from genbench.baselines.latent_variable.score_function_vae import ScoreFunctionVAE
from genbench.cli import shipped
from genbench.models.checkpoint import load
from genbench.models.sampling import seeded
from genbench.space import Space

SPACE = Space((2, 2), levels=3)
KINDS = [("none", 1), ("none", 4), ("mean", 2), ("mean", 4)]


def small(baseline: str = "mean", k: int = 4) -> ScoreFunctionVAE:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = score_function_vae.build(SPACE, baseline=baseline, k=k, latent=3, hidden=8).eval()
    with torch.no_grad():
        net.decoder[-1].weight.mul_(5)
        net.encoder[-1].weight.mul_(5)
        net.prior.copy_(torch.tensor([0.5, -1.0, 0.0]))
    return net


def estimates(net: ScoreFunctionVAE, x: torch.Tensor, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """n independent estimates of the bound of one x [1, *shape] and of its gradient by q's logits -> [n], [n, d]."""
    logits = net.posterior(x).detach().repeat(n, 1).requires_grad_()
    bound = net.estimate(x.expand(n, *net.space.shape), logits, seeded("draws"))
    (gradient,) = torch.autograd.grad(bound.sum(), logits)
    return bound.detach(), gradient


def enumerated(net: ScoreFunctionVAE, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The bound of one x and its gradient by q's logits, summed over all codes -> [], [d]."""
    logits = net.posterior(x).detach().requires_grad_()
    log_q = Bernoulli(logits=logits).log_prob(net.codes).sum(1)
    bound = (log_q.exp() * (net.log_joint(x)[0] - log_q)).sum()
    (gradient,) = torch.autograd.grad(bound, logits)
    return bound.detach(), gradient[0]


def assert_mean(drawn: torch.Tensor, mean: torch.Tensor) -> None:
    """The mean of n draws [n, ...] is within four standard errors of what it should be, everywhere."""
    error = drawn.std(0) / math.sqrt(len(drawn))
    assert (error > 0).all()
    assert ((drawn.mean(0) - mean).abs() <= 4 * error).all()


def variance_ratio(first: torch.Tensor, second: torch.Tensor, mean: torch.Tensor) -> tuple[float, float, float]:
    """Total variance of `first` over that of `second`, [n, d] each of this mean, with a 99 % interval.

    By the delta method for the logarithm: the squared distances of the draws to their mean are independent.
    """
    a, b = (((g - mean) ** 2).sum(1).double() for g in (first, second))
    log_ratio = math.log(a.mean() / b.mean())
    error = math.sqrt(sum(float(s.var() / s.mean() ** 2) / len(s) for s in (a, b)))
    return tuple(math.exp(log_ratio + t * error) for t in (0, -2.576, 2.576))  # type: ignore[return-value]


@pytest.mark.parametrize(("baseline", "k"), KINDS)
def test_bound_and_gradient_are_unbiased_for_those_by_enumeration(baseline, k):
    net, x = small(baseline, k), torch.tensor([[[0, 2], [1, 1]]])
    bound, gradient = estimates(net, x, 100_000)
    expected, slope = enumerated(net, x)
    assert slope.abs().min() > 0.01  # an estimator without the score would be far away
    assert_mean(bound, expected)
    assert_mean(gradient, slope)


@pytest.mark.parametrize("baseline", ["none", "mean"])
def test_the_loss_has_the_enumerated_gradient_by_every_weight(baseline):
    """Of the encoder by the score, of decoder and prior as usual: each projected on a direction of its own."""
    net, x = small(baseline), torch.tensor([[[0, 2], [1, 1]], [[2, 2], [0, 1]]])
    groups = [list(net.encoder.parameters()), list(net.decoder.parameters()), [net.prior]]
    directions = [[torch.randn(p.shape, generator=seeded("to", i)) for p in g] for i, g in enumerate(groups)]

    def projected(loss: torch.Tensor) -> torch.Tensor:
        found = torch.autograd.grad(loss, [p for g in groups for p in g])
        parts = iter(found)
        return torch.stack([sum((d * next(parts)).sum() for d in ds) for ds in directions])

    drawn = torch.stack([projected(net.loss(x, seeded("loss", i))) for i in range(1500)])
    assert_mean(drawn, projected(-net.bounds(x)[0].mean()))


def test_the_baseline_lowers_the_variance():
    x = torch.tensor([[[0, 2], [1, 1]]])
    mean = enumerated(small(), x)[1]
    without, with_it = (estimates(small(baseline), x, 50_000)[1] for baseline in ("none", "mean"))
    ratio, _, highest = variance_ratio(with_it, without, mean)
    assert ratio < highest < 0.5


def test_a_draw_is_centred_by_the_others_and_not_by_itself():
    """With the mean over all draws in the place of b the gradient would be too short by 1 / k."""
    f = torch.tensor([[1.0, -3.0], [2.0, 0.0], [6.0, 9.0]])
    torch.testing.assert_close(small(k=3).centred(f), torch.tensor([[-3.0, -7.5], [-1.5, -3.0], [4.5, 10.5]]))
    assert small("none", 3).centred(f) is f


def test_an_equal_signal_for_every_draw_is_taken_away_whole():
    """f + c gives the same gradient for all c: so does no estimator without a baseline."""
    x = torch.tensor([[[0, 2], [1, 1]]])
    for baseline, same in (("mean", True), ("none", False)):
        net = small(baseline)
        plain = estimates(net, x, 100)[1]
        joint = net.log_prior
        net.log_prior = lambda z, joint=joint: joint(z) - 100  # type: ignore[method-assign]
        assert torch.allclose(estimates(net, x, 100)[1], plain, atol=1e-3) == same


def test_on_digits_the_shipped_model_would_train_with_far_more_noise_without_the_baseline():
    net = load(next(p for p in map(Path, shipped("digits")) if p.stem == "score-function-vae"))
    x = torch.from_numpy(datasets.load("digits").test[:1]).long()
    mean = enumerated(net, x)[1]
    net.baseline = "mean"
    with_it = estimates(net, x, 2000)[1]
    net.baseline = "none"
    without = estimates(net, x, 2000)[1]
    assert variance_ratio(with_it, without, mean)[2] < 0.1


@pytest.mark.parametrize(("baseline", "k", "message"), [("median", 4, "one of"), ("mean", 1, "at least 2")])
def test_what_has_no_baseline_is_refused(baseline, k, message):
    with pytest.raises(ValueError, match=message):
        score_function_vae.build(SPACE, baseline=baseline, k=k)
