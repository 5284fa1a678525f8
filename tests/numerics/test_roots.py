"""The trace of a root and the optimal transport, against SciPy, closed forms and each other."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

from genbench.numerics import roots


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spd(rng, d, rank=None):
    A = rng.standard_normal((d, rank or 2 * d))
    return A @ A.T


def test_root_trace_agrees_with_sqrtm(rng):
    for d in (1, 2, 30):
        S1, S2 = spd(rng, d), spd(rng, d)
        assert roots.root_trace(S1, S2) == pytest.approx(np.trace(sqrtm(S1 @ S2)).real, rel=1e-9)


def test_root_trace_of_commuting_covariances_in_closed_form(rng):
    # S_i = V diag(w_i) V': (S1 S2)^(1/2) = V diag(sqrt(w1 w2)) V', at any rank.
    V = np.linalg.qr(rng.standard_normal((20, 20)))[0]
    w1, w2 = rng.uniform(0.1, 5, 20), rng.uniform(0.1, 5, 20)
    for zeros1, zeros2 in ((0, 0), (3, 0), (0, 3), (3, 7), (20, 2)):
        a, b = w1.copy(), w2.copy()
        a[:zeros1], b[:zeros2] = 0, 0
        S1, S2 = (V * a) @ V.T, (V * b) @ V.T
        # The eigenvectors of a covariance are known to 1e-16, those of its root to 1e-8 at worst.
        assert roots.root_trace(S1, S2) == pytest.approx(np.sqrt(a * b).sum(), rel=1e-10, abs=1e-12)


def test_factors_of_data_and_of_its_covariance_give_one_trace(rng):
    x, y = rng.standard_normal((15, 40)), rng.standard_normal((60, 40)) * 2
    x[:, 3] = 0.1  # a constant feature
    from_data = roots.nuclear_norm(roots.factor_of_data(x), roots.factor_of_data(y))
    assert roots.root_trace_of_data(x, y) == pytest.approx(from_data, rel=1e-10)
    assert from_data == pytest.approx(
        roots.root_trace(np.cov(x.T), np.cov(y.T)), rel=1e-6
    )  # covariances lose half the digits
    assert from_data == pytest.approx(roots.root_trace(np.cov(y.T), np.cov(x.T)), rel=1e-6)


def test_transport_maps_one_gaussian_onto_the_other(rng):
    S1, S2 = spd(rng, 12), spd(rng, 12)
    for t in (roots.transport(S1, S2), roots.transport_of_factors(*map(roots.factor_of_covariance, (S1, S2)))):
        T12, T21 = (t.P * t.w) @ t.P.T, (t.Q * t.w) @ t.Q.T
        np.testing.assert_allclose(T12 @ S1 @ T12, S2, rtol=1e-8, atol=1e-8)
        np.testing.assert_allclose(T12 @ T21, np.eye(12), atol=1e-8)
        assert t.trace == pytest.approx(roots.root_trace(S1, S2), rel=1e-12)


def test_transport_of_a_singular_covariance_carries_the_whole_trace(rng):
    S1, S2 = spd(rng, 10, rank=4), spd(rng, 10)
    t = roots.transport(S1, S2)
    assert np.trace((t.P * t.w) @ t.P.T @ S1) == pytest.approx(t.trace, rel=1e-8)  # tr T12 S1 = tr (S1 S2)^(1/2)
    assert np.trace((t.Q * t.w) @ t.Q.T @ S2) == pytest.approx(t.trace, rel=1e-8)
    assert roots.transport(np.zeros((3, 3)), np.eye(3)).trace == 0


@pytest.mark.parametrize("d", [2, 300])
def test_a_rank_is_full_if_the_smallest_eigenvalue_is_above_the_rounding_of_a_sum_of_d(d):
    limit = d * np.finfo(np.float64).eps * 5.0
    rest = np.linspace(1, 5, d - 1)
    rest[-1] = 5
    assert roots._full_rank(np.array([1.01 * limit, *rest]))
    assert not roots._full_rank(np.array([0.99 * limit, *rest]))
