"""Covariances from deviations: what values share, and what each has for itself."""

import numpy as np
import pytest
from scipy import stats

from genbench.numerics.intervals import Z95
from genbench.numerics.joint import joint

G = 50


@pytest.fixture
def deviations():
    rng = np.random.default_rng(0)
    return rng.standard_normal(G) + rng.standard_normal((4, G))


def alike(variances, deviations):
    """The covariance where the standard errors are known."""
    return joint(np.sqrt(variances), deviations, np.sqrt(variances))


def test_the_whole_variance_stays_and_what_is_shared_is_wider_as_t_is(deviations):
    shared = deviations @ deviations.T
    few = (stats.t.ppf(0.975, G - 1) / Z95) ** 2
    found = alike(np.diag(shared) + 7.0, deviations)
    off = ~np.eye(4, dtype=bool)
    np.testing.assert_allclose(found[off], few * shared[off])
    np.testing.assert_allclose(np.diag(found), few * np.diag(shared) + 7.0)


def test_a_variance_that_is_less_than_what_is_shared_is_not_taken_for_it(deviations):
    found = alike(np.zeros(4), deviations)
    assert (np.diag(found) >= np.diag(deviations @ deviations.T)).all()


def test_it_is_a_covariance(deviations):
    """No difference, nor any other contrast, has a variance below 0."""
    rng = np.random.default_rng(1)
    for variances in (np.zeros(4), np.full(4, 0.01), np.full(4, 500.0)):
        assert np.linalg.eigvalsh(alike(variances, deviations)).min() > -1e-9
        contrast = rng.standard_normal(4)
        assert contrast @ alike(variances, deviations) @ contrast >= 0


def test_a_copy_shares_all_that_moves(deviations):
    copy = np.stack([deviations[0]] * 2)
    found = alike(np.full(2, float((copy[0] ** 2).sum())), copy)
    assert found[0, 0] + found[1, 1] - 2 * found[0, 1] == pytest.approx(0.0, abs=1e-12)


def test_values_that_move_apart_differ_by_more_than_independent_ones(deviations):
    apart = np.stack([deviations[0], -deviations[0]])
    variances = np.full(2, 2 * float((apart[0] ** 2).sum()))
    found = alike(variances, apart)
    assert found[0, 0] + found[1, 1] - 2 * found[0, 1] > variances.sum()


def test_what_is_shared_is_widened_in_the_same_proportion(deviations):
    """Standard errors that are known badly widen the whole covariance: correlations stay."""
    variances, times = np.diag(deviations @ deviations.T) + 7.0, np.array([1.0, 1.5, 1.5, 3.0])
    found, before = joint(np.sqrt(variances), deviations, times * np.sqrt(variances)), alike(variances, deviations)
    np.testing.assert_allclose(found, np.outer(times, times) * before)


def test_a_value_without_a_standard_error_shares_nothing(deviations):
    deviations[2] = 0
    found = joint(np.array([9.0, 9.0, 0.0, 9.0]), deviations, np.array([9.0, 9.0, 0.0, 9.0]))
    assert not found[2].any()
