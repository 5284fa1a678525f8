"""Multivariate normal: the density against SciPy, the integers against enumeration, the draws against both."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from draws import assert_drawn, assert_frequencies, assert_moments, every
from genbench.baselines.mixtures import multivariate_normal
from genbench.baselines.mixtures.multivariate_normal import MultivariateNormal, moments, regressions
from genbench.errors import GenbenchError
from genbench.models.sampling import seeded
from genbench.space import Space


def correlated(n: int, d: int) -> torch.Tensor:
    """Rows whose values depend on each other, in float64, with means and scales of their own."""
    generator = seeded("correlated", n, d)
    z, mixing = (torch.randn(m, d, generator=generator, dtype=torch.float64) for m in (n, d))
    return z @ mixing * torch.logspace(-1, 1, d) + torch.arange(d)


def fitted(space: Space, x: torch.Tensor) -> MultivariateNormal:
    model = multivariate_normal.build(space).double()
    model.fit(x)
    return model


def of_integers(space: Space, n: int = 200) -> MultivariateNormal:
    """Fitted to integers that are correlated, and take all levels."""
    y, top = correlated(n, space.dim), space.levels - 1
    x = ((y - y.mean(0)) / y.std(0) * (1 + space.levels / 8) + top / 2).round().clamp(0, top)
    return fitted(space, x.long().view(n, *space.shape))


def test_log_density_agrees_with_scipy():
    x = correlated(50, 5)
    model = fitted(Space((5,)), x)
    expected = stats.multivariate_normal(x.mean(0), np.cov(x.T, bias=True)).logpdf(x)
    np.testing.assert_allclose(model.log_prob(x).numpy(), expected, rtol=1e-10, atol=1e-10)


def test_single_precision_agrees_with_scipy_too():
    x = correlated(50, 5).float()
    model = multivariate_normal.build(Space((5,)))
    model.fit(x)
    expected = stats.multivariate_normal(x.double().mean(0), np.cov(x.double().T, bias=True)).logpdf(x)
    np.testing.assert_allclose(model.log_prob(x).numpy(), expected, rtol=1e-4, atol=1e-4)


def test_regressions_are_the_covariance():
    covariance = moments(correlated(50, 4))[1]
    B, s = regressions(covariance)
    assert torch.equal(B, B.tril(-1))
    A = torch.linalg.inv(torch.eye(4, dtype=torch.float64) - B)
    torch.testing.assert_close(A @ s.square().diag() @ A.T, covariance, rtol=1e-10, atol=1e-10)


def test_regressions_are_least_squares():
    x = correlated(50, 4)
    B, s = regressions(moments(x)[1])
    c = (x - x.mean(0)).numpy()
    found, residual, *_ = np.linalg.lstsq(c[:, :3], c[:, 3], rcond=None)
    np.testing.assert_allclose(B[3, :3].numpy(), found, rtol=1e-8)
    assert float(s[3] ** 2) == pytest.approx(residual[0] / 50, rel=1e-8)


def test_density_of_real_numbers_knows_no_order():
    x = correlated(50, 4)
    order = [2, 0, 3, 1]
    a, b = fitted(Space((4,)), x).log_prob(x), fitted(Space((4,)), x[:, order]).log_prob(x[:, order])
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_density_integrates_to_one():
    model = fitted(Space((2,)), correlated(50, 2))
    L = torch.linalg.cholesky(moments(correlated(50, 2))[1])
    line = torch.linspace(-9, 9, 361, dtype=torch.float64)  # steps of sd/20: on a Gaussian exact to rounding
    points = model.mean + torch.cartesian_prod(line, line) @ L.T
    total = float(model.log_prob(points).exp().sum() * (line[1] - line[0]) ** 2 * L.diagonal().prod())
    assert total == pytest.approx(1, abs=1e-10)


def test_draws_of_real_numbers_have_the_moments_of_the_data():
    x = correlated(50, 3)
    draws = fitted(Space((3,)), x).sample(20_000, seeded("samples"))
    assert_moments(draws, *moments(x))


@pytest.mark.parametrize("space", [Space((3,), levels=5), Space((2, 1, 2), levels=3), Space((6,), levels=2)])
def test_integers_sum_to_one(space):
    log_p = of_integers(space).log_prob(every(space))
    assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-12)
    assert float(log_p.max() - log_p.min()) > 1  # no uniform distribution, for which this would be trivial


def test_integers_depend_on_each_other():
    model = of_integers(Space((3,), levels=5))
    p = model.log_prob(every(model.space)).exp().view(5, 5, 5)
    independent = p.sum((1, 2))[:, None, None] * p.sum((0, 2))[:, None] * p.sum((0, 1))
    assert float((p - independent).abs().sum()) > 0.2


def test_integers_are_drawn_as_they_are_scored():
    space = Space((3,), levels=4)
    model = of_integers(space)
    assert_drawn(model.sample(20_000, seeded("samples")), model.log_prob(every(space)), space)


def test_with_narrow_cells_it_is_the_mass_of_the_normal_in_a_cell():
    """256 levels, standard deviations of some 30: the cell's mass by SciPy's integral over it."""
    space = Space((2,), levels=256)
    y = torch.randn(500, 2, generator=seeded("narrow"), dtype=torch.float64)
    x = (128 + 30 * y @ torch.tensor([[1.0, 0.7], [0.0, 0.7]], dtype=torch.float64)).round().clamp(1, 254).long()
    model = fitted(space, x)
    covariance = np.cov(x.T, bias=True) + np.eye(2) / 12
    normal = stats.multivariate_normal(x.double().mean(0), covariance)
    cells = x[:20].numpy()
    corner = {(i, j): normal.cdf(cells + np.array([i - 0.5, j - 0.5])) for i in (0, 1) for j in (0, 1)}
    mass = corner[1, 1] - corner[0, 1] - corner[1, 0] + corner[0, 0]
    # Over a cell the conditional mean moves by b = 0.7 levels, so they differ by about b^2/24 (c^2 - 1)/s^2 at c
    # standard deviations, s of some 20 levels: 1e-3 at c = 4
    np.testing.assert_allclose(model.log_prob(x[:20]).numpy(), np.log(mass), rtol=0, atol=2e-3)


def test_constant_pixels_keep_a_probability_for_other_levels():
    space = Space((2,), levels=5)
    model = fitted(space, torch.tensor([[0, 1], [0, 3], [0, 4]]))
    p = model.log_prob(every(space)).exp().view(5, 5).sum(1)  # of the first value
    # mass of N(0, 1/12) up to 1/2, and from there to 3/2
    expected = stats.norm.cdf(np.array([0.5, 1.5]) * math.sqrt(12))
    np.testing.assert_allclose(p[:2].numpy(), [expected[0], expected[1] - expected[0]], rtol=1e-6)


def test_completion_of_a_lower_half_is_exact():
    space = Space((1, 2, 2), levels=3)
    model = of_integers(space)
    mask = torch.tensor([[1, 1], [0, 0]]).expand(1, 1, 2, 2)
    x = torch.tensor([[2, 0], [0, 0]]).expand(8000, 1, 2, 2)
    done = model.complete(x, mask, seeded("completion"))
    assert torch.equal(done[:, :, 0], x[:, :, 0])
    states = every(space)
    upper = (states[:, 0, 0] == torch.tensor([2, 0])).all(1)
    p = model.log_prob(states[upper]).softmax(0)
    assert_frequencies(torch.bincount(done[:, 0, 1] @ torch.tensor([3, 1]), minlength=9), p)


def test_completion_of_real_numbers_is_the_conditional_normal():
    x = correlated(50, 3)
    model = fitted(Space((3,)), x)
    mean, S = moments(x)
    given = torch.tensor([mean[0] + 1.0, 7.0, 7.0], dtype=torch.float64).expand(20_000, 3)
    done = model.complete(given, torch.tensor([1, 0, 0]), seeded("completion"))
    slope = S[1:, 0] / S[0, 0]
    assert torch.equal(done[:, 0], given[:, 0])
    assert_moments(done[:, 1:], mean[1:] + slope, S[1:, 1:] - slope.outer(S[0, 1:]))


@pytest.mark.parametrize(
    "x", [[[1.0, 0.0], [1.0, 2.0], [1.0, 3.0]], [[1.0, 2.0], [3.0, 6.0], [4.0, 8.0]], [[0.0, 1.0]]]
)
def test_data_without_a_density_are_refused(x):
    with pytest.raises(GenbenchError, match="constant or a linear function"):
        multivariate_normal.build(Space((2,))).fit(torch.tensor(x))
