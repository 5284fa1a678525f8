"""Sums of kernels, against the matrix of all of them."""

import itertools

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from genbench.numerics import kernels
from genbench.numerics.kernels import MANY, Cubic, Gaussian, own_sums, sums
from genbench.numerics.points import Points


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("tile", [(1, 1), (7, 40), (1024, 2048)])
@pytest.mark.parametrize("kernel", [Cubic(), Gaussian(2.0)])
def test_kernel_sums_are_those_of_the_matrix(rng, kernel, tile):
    x, y = rng.standard_normal((50, 5)), rng.standard_normal((60, 5)) + 1

    def matrix(a, b):
        return (a @ b.T / 5 + 1) ** 3 if kernel == Cubic() else np.exp(-(cdist(a, b) ** 2) / 8)

    X, Y = Points(x, tile=tile), Points(y, tile=tile)
    np.testing.assert_allclose(X.kernel_sums(Y, kernel), matrix(x, y).sum(1), rtol=1e-12)
    np.testing.assert_allclose(Y.kernel_sums(X, kernel), matrix(x, y).sum(0), rtol=1e-12)
    np.testing.assert_allclose(X.kernel_sums(X, kernel), matrix(x, x).sum(1) - np.diag(matrix(x, x)), rtol=1e-12)


def by_definition(kernel, a, b):
    """All values k(a_i, b_j)."""
    if kernel == Cubic():
        return (a @ b.T / a.shape[1] + 1) ** 3
    if not kernel.of_directions:
        return np.exp(-cdist(a, b, "sqeuclidean") / (2 * kernel.sigma**2))
    blank = [~z.any(1) for z in (a, b)]
    u, v = (z / np.where(none, 1, np.linalg.norm(z, axis=1))[:, None] for z, none in zip((a, b), blank, strict=True))
    d2 = 2 - 2 * u @ v.T
    d2[np.ix_(*blank)] = 0
    return np.exp(-d2 / (2 * kernel.sigma**2))


def without_diagonal(kernel, x):
    k = by_definition(kernel, x, x)
    np.fill_diagonal(k, 0)
    return k


KERNELS = (Cubic(), Gaussian(10.0, of_directions=True), Gaussian(0.4, of_directions=True), Gaussian(0.4))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 8), (8, 9), (9, 7), (16, 17), (17, 15), (15, 16)])
@pytest.mark.parametrize("tile", [(8, 8), (8, 5), (3, 8)])
def test_sums_at_the_edges_of_tiles_with_blank_rows(rng, n, m, tile):
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((m, 3)) + 0.5
    x[2::3], y[1::4] = 0, 0
    rows, columns = sums(x, y, KERNELS, tile)
    own = own_sums(x, KERNELS, tile)
    for kernel in KERNELS:
        k = by_definition(kernel, x, y)
        np.testing.assert_allclose(rows[kernel], k.sum(1), rtol=1e-12)
        np.testing.assert_allclose(columns[kernel], k.sum(0), rtol=1e-12)
        np.testing.assert_allclose(own[kernel], without_diagonal(kernel, x).sum(1), rtol=1e-12)


@pytest.mark.parametrize(("n", "m"), [(7, 20), (20, 7), (8, 8), (20, 9)])  # from 8 rows on by halves
def test_a_set_keeps_every_kernel_apart(rng, n, m):
    x, y = rng.standard_normal((n, 3)), rng.standard_normal((m, 3)) + 0.5
    known = {kernel: (by_definition(kernel, x, y), without_diagonal(kernel, x)) for kernel in KERNELS}
    for order in itertools.permutations(KERNELS):
        X, Y = Points(x), Points(y)
        for kernel in order:
            across, within = known[kernel]
            np.testing.assert_allclose(X.kernel_sums(Y, kernel), across.sum(1), rtol=1e-12)
            np.testing.assert_allclose(Y.kernel_sums(X, kernel), across.sum(0), rtol=1e-12)
            np.testing.assert_allclose(X.kernel_sums(X, kernel), within.sum(1), rtol=1e-12)


def test_no_kernel_exceeds_one_where_rounding_makes_squares_negative(rng):
    # Copies 1e8 from the origin, whose squares of 1e16 round to 2: the expansion may give a distance of -4.
    x = np.repeat(1e8 + rng.standard_normal((10, 3)), 2, 0)
    for kernel in (Gaussian(0.3), Gaussian(1e-9, of_directions=True)):
        assert (Points(x).kernel_sums(Points(x.copy()), kernel) <= 20).all()
        assert (own_sums(x, (kernel,), (8, 8))[kernel] <= 19).all()


@pytest.mark.parametrize("d", [MANY, MANY + 1])
def test_sums_of_many_dimensions_are_those_of_the_matrix_and_their_halves_are_summed_once(rng, d, monkeypatch):
    x, y = rng.standard_normal((50, d)).astype(np.float32), rng.standard_normal((60, d)).astype(np.float32)
    matrix = (x.astype(np.float64) @ y.T.astype(np.float64) / d + 1) ** 3
    X, Y = Points(x, tile=(7, 40)), Points(y, tile=(7, 40))
    np.testing.assert_allclose(X.kernel_sums(Y, Cubic()), matrix.sum(1), rtol=1e-12)
    calls = []
    monkeypatch.setattr(kernels, "sums", lambda *given: calls.append(given) or sums(*given))
    for places, half in X.halves:
        for other_places, other in Y.halves:
            expected = matrix[np.ix_(places, other_places)].sum(1)
            np.testing.assert_allclose(half.kernel_sums(other, Cubic()), expected, rtol=1e-12)
    assert bool(calls) == (d <= MANY), "where products take the time, they are those of the whole"
