"""Draws against the distribution that they should come from: what the tests of samplers share.

Draws that are right fail a test with a chance of about ALARM. Seeds are fixed: a test that passes will pass again.
"""

import itertools

import torch
from scipy import stats
from torch import Tensor

from genbench.space import Space

ALARM = 1e-4


def every(space: Space) -> Tensor:
    """All observations of a small space of integers, the last value running fastest: [L^D, *shape] int64."""
    assert space.levels is not None
    states = torch.tensor(list(itertools.product(range(space.levels), repeat=space.dim)))
    return states.view(-1, *space.shape)


def counts(x: Tensor, space: Space) -> Tensor:
    """How often each of `every(space)` is among x [n, *shape]: [L^D]."""
    assert space.levels is not None
    assert x.dtype == torch.int64
    assert x.shape[1:] == space.shape
    assert int(x.min()) >= 0
    assert int(x.max()) < space.levels
    place = space.levels ** torch.arange(space.dim - 1, -1, -1)
    return torch.bincount((x.flatten(1) * place).sum(1), minlength=space.levels**space.dim)


def assert_frequencies(found: Tensor, p: Tensor) -> None:
    """Counts [m] are those of draws with probabilities p [m], by a chi-square test.

    It takes states expected under ten times, and the rarest of the others, as one.
    """
    p = p.detach().double()
    assert abs(float(p.sum()) - 1) < 1e-4, "the probabilities do not sum to one"  # float32, and quadrature
    order = p.argsort(descending=True)
    observed, expected = found[order].double(), int(found.sum()) * p[order] / p.sum()
    last = int((expected >= 10).sum()) - 1
    assert last > 0, "too few draws to tell anything"
    observed, expected = (torch.cat([t[:last], t[last:].sum()[None]]).numpy() for t in (observed, expected))
    pvalue = float(stats.chisquare(observed, expected).pvalue)
    assert pvalue > ALARM, f"frequencies differ: p-value {pvalue:.1e}"


def assert_drawn(x: Tensor, log_p: Tensor, space: Space) -> None:
    """x [n, *shape] are draws from the probabilities exp(log_p) of `every(space)`."""
    assert_frequencies(counts(x, space), log_p.double().exp())


def assert_means(x: Tensor, expected: Tensor | float) -> None:
    """The rows of x [n, ...] are independent with mean `expected` [...], and all means are within their standard error.

    The bound on the z-scores is that of a normal, by Bonferroni for as many as there are.
    """
    x = x.detach().double().flatten(1)
    expected = torch.as_tensor(expected, dtype=torch.float64).flatten().expand(x.shape[1])
    sd, gap = x.std(0), (x.mean(0) - expected).abs()
    assert bool((gap[sd == 0] < 1e-6).all()), "a value that never changes differs from its mean"
    z = float((gap / (sd / len(x) ** 0.5))[sd > 0].max())
    bound = float(stats.norm.isf(ALARM / 2 / x.shape[1]))
    assert z < bound, f"a mean is {z:.1f} standard errors off, and the bound is {bound:.1f}"


def assert_moments(x: Tensor, mean: Tensor, covariance: Tensor) -> None:
    """Means and covariances of x [n, d] are mean [d] and covariance [d, d]."""
    assert_means(x, mean)
    centred = x.detach().double() - mean.detach().double()
    rows, columns = torch.triu_indices(x.shape[1], x.shape[1])
    assert_means(centred[:, rows] * centred[:, columns], covariance[rows, columns])


def assert_standard_normal(z: Tensor) -> None:
    """z [n, d] are draws of N(0, I): moments of the rows, and the distribution of the values."""
    assert_moments(z, torch.zeros(z.shape[1]), torch.eye(z.shape[1]))
    pvalue = float(stats.kstest(z.detach().double().flatten().numpy(), "norm").pvalue)
    assert pvalue > ALARM, f"the values are not normal: p-value {pvalue:.1e}"
