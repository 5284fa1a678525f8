"""Covariances from deviations: what values share, and what each has for itself."""

import numpy as np
import pytest

from genbench.numerics.joint import joint

G = 50


@pytest.fixture
def deviations():
    rng = np.random.default_rng(0)
    return rng.standard_normal(G) + rng.standard_normal((4, G))


def covariance(variances, deviations):
    return joint(np.sqrt(variances), deviations)[0]


def test_the_whole_variance_stays(deviations):
    wanted = deviations @ deviations.T
    found, shared = joint(np.sqrt(np.diag(wanted) + 7.0), deviations)
    np.testing.assert_allclose(shared, wanted)
    np.testing.assert_allclose(found, wanted + 7.0 * np.eye(4))


def test_a_variance_that_is_less_than_what_is_shared_is_not_taken_for_it(deviations):
    found = covariance(np.zeros(4), deviations)
    assert (np.diag(found) >= np.diag(deviations @ deviations.T)).all()


def test_it_is_a_covariance(deviations):
    """No difference, nor any other contrast, has a variance below 0."""
    rng = np.random.default_rng(1)
    for variances in (np.zeros(4), np.full(4, 0.01), np.full(4, 500.0)):
        assert np.linalg.eigvalsh(covariance(variances, deviations)).min() > -1e-9
        contrast = rng.standard_normal(4)
        assert contrast @ covariance(variances, deviations) @ contrast >= 0


def test_a_copy_shares_all_that_moves(deviations):
    copy = np.stack([deviations[0]] * 2)
    found = covariance(np.full(2, float((copy[0] ** 2).sum())), copy)
    assert found[0, 0] + found[1, 1] - 2 * found[0, 1] == pytest.approx(0.0, abs=1e-12)


def test_values_that_move_apart_differ_by_more_than_independent_ones(deviations):
    apart = np.stack([deviations[0], -deviations[0]])
    variances = np.full(2, 2 * float((apart[0] ** 2).sum()))
    found = covariance(variances, apart)
    assert found[0, 0] + found[1, 1] - 2 * found[0, 1] > variances.sum()


def test_a_value_without_a_standard_error_shares_nothing(deviations):
    deviations[2] = 0
    found, _ = joint(np.array([9.0, 9.0, 0.0, 9.0]), deviations)
    assert not found[2].any()
