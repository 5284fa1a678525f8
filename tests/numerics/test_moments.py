"""Mean and covariance by blocks, against NumPy."""

import numpy as np
import pytest

from genbench.numerics.moments import merge, moments, variance_of_means


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_moments_are_those_of_numpy_at_any_block_size_and_order(rng):
    x = (rng.standard_normal((503, 7)) * 3 + 100).astype(np.float32)
    for block in (1, 7, 500, 4096):
        for rows in (x, x[::-1]):
            m = moments(rows, block)
            assert m.n == 503
            np.testing.assert_allclose(m.mean, x.mean(0, dtype=np.float64), rtol=1e-12)
            np.testing.assert_allclose(m.covariance, np.cov(x.T.astype(np.float64)), rtol=1e-10, atol=1e-10)


def test_merged_moments_are_those_of_the_union(rng):
    x = rng.standard_normal((40, 3)) + 1e4  # a raw sum of x x' would lose nine digits
    merged = merge(moments(x[:13]), moments(x[13:]))
    np.testing.assert_allclose(merged.covariance, np.cov(x.T), rtol=1e-9, atol=1e-10)


def test_a_covariance_of_one_row_is_an_error():
    with pytest.raises(ValueError, match="at least 2 rows"):
        _ = moments(np.zeros((1, 2))).covariance
    with pytest.raises(ValueError, match="n >= 1"):
        moments(np.zeros((0, 2)))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 15, 16, 17])
def test_moments_at_the_edges_of_blocks(rng, n):
    x = rng.standard_normal((n, 3))
    m = moments(x, block=8)
    assert m.n == n
    np.testing.assert_allclose(m.mean, x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(m.scatter, (x - x.mean(0)).T @ (x - x.mean(0)), rtol=1e-10, atol=1e-14)


def test_variances_of_means_add_up():
    # 1, 2, 6: variance 7, of the mean 7/3; 0, 4: variance 8, of the mean 4.
    a, b = np.array([1.0, 2, 6]), np.array([0.0, 4])
    assert variance_of_means(a) == pytest.approx(7 / 3, rel=1e-15)
    assert variance_of_means(a, b) == pytest.approx(7 / 3 + 4, rel=1e-15)
