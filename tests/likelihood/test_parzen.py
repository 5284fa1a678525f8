import math

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.special import logsumexp
from scipy.stats import chi2, multivariate_normal, ncx2, norm

from genbench.likelihood import parzen as module
from genbench.likelihood.parzen import WARNING, parzen


def test_one_sample_is_one_gaussian():
    random = np.random.default_rng(0)
    s, x = random.normal(size=(1, 3)), random.normal(size=(10, 3))
    found = parzen(s, x, x, bandwidths=np.array([0.7]))
    np.testing.assert_allclose(found.values, multivariate_normal(s[0], 0.49).logpdf(x), rtol=1e-12)
    assert found.kind == "estimate"
    assert found.warnings == (WARNING,)


def test_it_is_the_mixture_about_the_samples_and_the_bandwidth_the_best_on_validation():
    random = np.random.default_rng(1)
    s, v, x = random.normal(size=(40, 2)), random.normal(size=(30, 2)), random.normal(size=(20, 2))

    def direct(points, sigma):
        return logsumexp([multivariate_normal(m, sigma**2).logpdf(points) for m in s], axis=0) - math.log(len(s))

    grid = np.geomspace(0.05, 3, 9)
    found = parzen(s, v, x, grid)
    scores = [direct(v, sigma).mean() for sigma in grid]
    np.testing.assert_allclose(found.validation, scores, rtol=1e-10)
    assert found.bandwidth == grid[int(np.argmax(scores))]
    np.testing.assert_allclose(found.values, direct(x, found.bandwidth), rtol=1e-10)


def test_chunks_do_not_change_a_value(monkeypatch):
    random = np.random.default_rng(2)
    s, v, x = random.normal(size=(50, 4)), random.normal(size=(31, 4)), random.normal(size=(17, 4))
    whole = parzen(s, v, x)
    monkeypatch.setattr(module, "CHUNK", 150)
    cut = parzen(s, v, x)
    np.testing.assert_allclose(cut.values, whole.values, rtol=1e-10)
    assert cut.bandwidth == whole.bandwidth


def test_it_is_far_from_overflow_and_far_from_the_origin():
    found = parzen(np.zeros((5, 2)) + 1e6, np.ones((3, 2)) + 1e6, np.full((1, 2), 2e6), np.array([1e-3]))
    expected = 2 * norm.logpdf(1e6, scale=1e-3)
    np.testing.assert_allclose(found.values, expected, rtol=1e-10)


def test_images_are_flattened():
    random = np.random.default_rng(3)
    a = random.normal(size=(9, 1, 2, 2))
    np.testing.assert_allclose(parzen(a, a, a).values, parzen(*[a.reshape(9, 4)] * 3).values, rtol=1e-12)


def test_samples_that_are_the_validation_data_drive_the_bandwidth_to_the_edge_of_the_grid():
    a = np.random.default_rng(4).normal(size=(30, 50))
    found = parzen(a, a, a)
    assert found.bandwidth == found.bandwidths[0]
    assert "edge of the grid" in found.warnings[1]


@pytest.mark.parametrize("arrays", [(np.zeros((0, 2)), np.zeros((1, 2))), (np.zeros((1, 3)), np.zeros((1, 2)))])
def test_arrays_that_do_not_fit_are_refused(arrays):
    with pytest.raises(ValueError, match="rows of one shape"):
        parzen(arrays[0], arrays[1], arrays[1])


def test_values_that_are_not_finite_are_refused():
    a = np.zeros((2, 2))
    with pytest.raises(ValueError, match="finite"):
        parzen(a, a, np.full((1, 2), np.nan))


def least_loss(d, M, sigma):
    """A lower bound on log p - E log q, both p and the M samples N(0, I_d), q their Parzen window of width sigma.

    For theta in (0, 1], E log sum_m a_m <= 1/theta log E (sum_m a_m)^theta <= 1/theta log sum_m E a_m^theta, and
    a^theta = N(x; s, sigma^2)^theta is (2 pi sigma^2)^(d(1-theta)/2) theta^(-d/2) N(x; s, sigma^2 / theta).
    """
    theta = np.linspace(0.05, 1, 500)
    v = 1 + sigma**2 / theta
    log_gaussian = -0.5 * d * (np.log(2 * math.pi * v) + 1 / v)  # E_x log N(x; 0, v)
    log_power = 0.5 * d * ((1 - theta) * math.log(2 * math.pi * sigma**2) - np.log(theta)) + log_gaussian
    most = ((1 - theta) * math.log(M) + log_power) / theta
    return -0.5 * d * (math.log(2 * math.pi) + 1) - most.min()


def greatest_loss(d, M, sigma):
    """An upper bound on the same: of the sum, keep the nearest sample alone, with E min r^2 = int P(r^2 > t)^M dt."""
    squares = chi2.ppf((np.arange(40) + 0.5) / 40, d)  # |x|^2
    t = np.linspace(0, 3 * d, 1500)
    nearest = trapezoid(np.exp(M * ncx2.logsf(t, d, squares[:, None])), t, axis=1).mean()
    most = -math.log(M) - 0.5 * d * math.log(2 * math.pi * sigma**2) - nearest / (2 * sigma**2)
    return -0.5 * d * (math.log(2 * math.pi) + 1) - most


def test_samples_of_the_true_model_lose_17_nats_in_100_dimensions():
    """The loss of the true model by its own 10,000 samples, between two bounds that need no simulation."""
    d, M, n = 100, 10_000, 1000
    random = np.random.default_rng(5)
    s, v, x = (random.normal(size=(rows, d)) for rows in (M, 200, n))
    found = parzen(s, v, x)
    loss = norm.logpdf(x).sum(1) - found.values
    error = loss.std(ddof=1) / math.sqrt(n)
    low, high = least_loss(d, M, found.bandwidth), greatest_loss(d, M, found.bandwidth)
    assert 15 < low < high < 19
    assert low - 4 * error < loss.mean() < high + 4 * error
    assert len(found.warnings) == 1  # the bandwidth is inside the grid
