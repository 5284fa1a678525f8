"""One copy of each formula, against closed forms and second implementations."""

import gc
import warnings

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from genbench.numerics import neighbours, roots
from genbench.numerics.kernels import Cubic, Gaussian
from genbench.numerics.logmeanexp import LogMeanExp, log_mean_exp
from genbench.numerics.moments import merge, moments
from genbench.numerics.neighbours import Rows
from genbench.numerics.points import Points


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def spd(rng, d, rank=None):
    A = rng.standard_normal((d, rank or 2 * d))
    return A @ A.T


# Moments


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


# Roots


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


# Neighbours


def brute(x, y, k, own=False):
    """All distances by the definition, the k nearest with ties to the lower index."""
    D2 = ((x[:, None].astype(np.float64) - y[None]) ** 2).sum(-1)
    if own:
        np.fill_diagonal(D2, np.inf)
    order = np.argsort(D2, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(D2, order, 1), order, D2


SETS = {
    "gaussian": lambda rng, n: rng.standard_normal((n, 7)) * [9, 1, 1, 1, 1, 0.1, 0.1] + 30,
    "lattice": lambda rng, n: rng.integers(0, 3, (n, 7)) * 0.5,  # nothing but ties
    "repeated": lambda rng, n: rng.standard_normal((3, 7))[rng.integers(0, 3, n)],
    "one point": lambda rng, n: np.full((n, 7), 0.1),
    "far": lambda rng, n: rng.standard_normal((n, 7)) * 1e-3 + 1e3,  # float32 proposes next to nothing
    "outlier": lambda rng, n: np.concatenate([rng.standard_normal((n - 1, 7)), np.full((1, 7), 1e7)]),
    "vast": lambda rng, n: rng.standard_normal((n, 7)) * 1e25,  # squares beyond float32
    "tiny": lambda rng, n: rng.standard_normal((n, 7)) * 1e-25,
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("tile", [(1, 1), (7, 40), (1024, 2048)])
@pytest.mark.parametrize(("a", "b"), [(a, a) for a in SETS] + [("gaussian", "one point"), ("lattice", "repeated")])
def test_neighbours_and_balls_are_those_of_all_distances(rng, a, b, tile, dtype):
    x, y = SETS[a](rng, 41).astype(dtype), SETS[b](rng, 83).astype(dtype)
    y[5:9] = x[5:9]  # copies across the sets
    X, Y = Points(x, tile=tile), Points(y, tile=tile)
    for k in (2, 1, 7):
        for P, Q in ((X, Y), (Y, X), (X, X)):
            squares, index = P.nearest(Q, k)
            expected, order, D2 = brute(P.x, Q.x, k, P is Q)
            np.testing.assert_allclose(squares, expected, rtol=1e-14)
            rank = np.take_along_axis(D2, index, 1)  # where rounding of the definition itself decides, both are right
            np.testing.assert_allclose(rank, expected, rtol=1e-14)
            assert ((squares == 0) == (expected == 0)).all()
            clear = (np.diff(np.sort(D2, axis=1)[:, : k + 1]) > 1e-12 * expected).all(1) if a == "gaussian" else []
            np.testing.assert_array_equal(index[clear], order[clear])
    for k in (3, 4):
        radii = Y.nearest(Y, k)[0][:, -1]
        counts, D2 = X.balls(Y, k), exact_squares(X, Y)
        np.testing.assert_array_equal(counts.closed, (radii >= D2).sum(1))
        np.testing.assert_array_equal(counts.open, (radii > D2).sum(1))


def exact_squares(X, Y):
    pairs = np.indices((len(X), len(Y))).reshape(2, -1)
    return neighbours.squared_distance(X.x, Y.x, *pairs).reshape(len(X), len(Y))


@pytest.mark.parametrize("k", [1, 5])
def test_where_float32_cannot_tell_distances_apart_float64_does(rng, monkeypatch, k):
    again = []
    precise = neighbours.Tile.precise
    monkeypatch.setattr(neighbours.Tile, "precise", lambda tile: again.append(tile) or precise(tile))
    x = rng.standard_normal((700, 8)) * 1e-4 + 1  # rounding of its squares hides the distances
    x[0] = 1e4
    X = Points(x, tile=(300, 300))
    squares, index = X.nearest(X, k)
    expected, order, _ = brute(x, x, k, own=True)
    np.testing.assert_allclose(squares, expected, rtol=1e-12)
    np.testing.assert_array_equal(index, order)
    assert len(again) >= 3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planted_copies_far_from_the_origin_are_at_distance_exactly_zero(rng, dtype):
    y = (rng.standard_normal((300, 2048)) + 5).astype(dtype)
    planted = rng.permutation(300)[:40]
    squares, index = Points(y[planted]).nearest(Points(y), 2)
    np.testing.assert_array_equal(index[:, 0], planted)
    assert (squares[:, 0] == 0).all()
    assert (squares[:, 1] > 0).all()


def test_a_row_is_excluded_by_index_and_its_copy_is_not():
    x = Points(np.array([[0.0], [0.0], [1.0], [3.0]]))
    squares, index = x.nearest(x, 2)
    np.testing.assert_array_equal(index, [[1, 2], [0, 2], [0, 1], [2, 0]])
    np.testing.assert_array_equal(squares, [[0, 1], [0, 1], [1, 1], [4, 9]])


def test_ties_go_to_the_lower_index_at_any_tile(rng):
    y = rng.integers(0, 2, size=(64, 6)) * 0.1 + 7  # 64 points on a cube: nothing but ties
    x = rng.integers(0, 2, size=(30, 6)) * 0.1 + 7
    expected, order, D2 = brute(x, y, 5)
    for tile in ((1, 3), (8, 64), (1024, 2048)):
        squares, index = Points(x, tile=tile).nearest(Points(y), 5)
        np.testing.assert_array_equal(index, order)
        np.testing.assert_array_equal(squares, expected)
        found = neighbours.count_within(Rows(x), Rows(y), np.full(30, D2[0, 0]), tile)
        np.testing.assert_array_equal(found, (D2[0, 0] >= D2).sum(1))


def test_values_stay_when_rows_change_their_order(rng):
    x, y = (rng.standard_normal((n, 33)).astype(np.float32) for n in (120, 90))
    p, q = rng.permutation(120), rng.permutation(90)
    one, other = Points(x).balls(Points(y), 3), Points(x[p]).balls(Points(y[q]), 3)
    np.testing.assert_array_equal(one.closed[p], other.closed)
    squares, index = Points(x).nearest(Points(y), 2)
    squares_, index_ = Points(x[p]).nearest(Points(y[q]), 2)
    np.testing.assert_array_equal(squares[p], squares_)
    np.testing.assert_array_equal(index[p], q[index_])


def test_what_is_known_of_a_set_is_computed_once_and_forgotten_with_it(rng, monkeypatch):
    sweeps = []
    once = neighbours.sweep

    def counted(*arguments):
        sweeps.append(None)
        once(*arguments)

    monkeypatch.setattr(neighbours, "sweep", counted)
    x, y = Points(rng.standard_normal((20, 3))), Points(rng.standard_normal((30, 3)))
    for k in (3, 5):
        x.balls(y, k), y.balls(x, k), x.nearest(y), y.nearest(x, 2), x.nearest(x, k)
    assert len(sweeps) == 3  # each with itself, and one meeting
    del x
    gc.collect()
    assert len(y._against) == 0


def test_neighbours_refuse_what_they_cannot_answer():
    x = Points(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="3 neighbours cannot be found among 2"):
        x.nearest(x, 3)
    with pytest.raises(ValueError, match="different widths"):
        x.nearest(Points(np.zeros((3, 4))))
    for bad in (np.nan, np.inf, 1e300):
        with pytest.raises(ValueError, match="finite"), np.errstate(all="ignore"):
            Points(np.full((3, 2), bad)).nearest(Points(np.array([[0.0, 0], [bad, 0]])))


# Kernel sums


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


# Log-mean-exp


def stream(w, chunk):
    states = [LogMeanExp.of(w[i : i + chunk]) for i in range(0, len(w), chunk)]
    total = states[0]
    for state in states[1:]:
        total = total.merge(state)
    return total


def test_log_mean_exp_is_scipys_along_any_axis(rng):
    w = rng.standard_normal((6, 4, 3)) * 50
    for axis in (0, 1, -1):
        expected = logsumexp(w, axis=axis) - np.log(w.shape[axis])
        np.testing.assert_allclose(log_mean_exp(w, axis), expected, rtol=1e-13)


def test_chunks_of_1_7_and_1000_agree(rng):
    w = rng.standard_normal((1000, 3)) * 20
    whole = LogMeanExp.of(w)
    for chunk in (1, 7, 1000):
        state = stream(w, chunk)
        assert state.n == 1000
        # 1000 additions, each to 1.1e-16.
        np.testing.assert_allclose(state.log_mean, whole.log_mean, rtol=0, atol=1e-12)
        np.testing.assert_allclose(state.ess, whole.ess, rtol=1e-12)
        np.testing.assert_allclose(state.variance, whole.variance, rtol=1e-11)


def test_scaling_all_weights_by_e_to_the_minus_2000_shifts_the_result_and_nothing_else(rng):
    w = np.round(rng.standard_normal((100, 2)) * 2**20) / 2**20  # so that w - 2000 is exact
    a, b = stream(w, 7), stream(w - 2000, 7)
    np.testing.assert_allclose(b.log_mean, a.log_mean - 2000, rtol=0, atol=2e-13)  # the spacing of floats at 2000
    np.testing.assert_array_equal(a.ess, b.ess)


def test_zero_weights_count_and_stay_finite():
    w = np.array([[0.0], [-np.inf], [0.0], [0.0]])
    for chunk in (1, 2, 4):
        state = stream(w, chunk)
        np.testing.assert_allclose(state.log_mean, np.log(3 / 4))
        np.testing.assert_allclose(state.ess, 3)
    # The first chunk all zero weights, the rest tiny.
    np.testing.assert_allclose(stream(np.array([[-np.inf], [-2000.0]]), 1).log_mean, -2000 - np.log(2))


def test_only_zero_weights_give_minus_infinity_and_no_sample_size():
    state = stream(np.full((3, 1), -np.inf), 1)
    assert state.log_mean == -np.inf
    assert np.isnan(state.ess)


def test_faults_propagate_through_every_chunk():
    for bad in (np.nan, np.inf):
        for position in range(3):
            w = np.zeros((3, 2))
            w[position, 0] = bad
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                for chunk in (1, 3):
                    result = stream(w, chunk).log_mean
                    np.testing.assert_array_equal(result, [bad, 0.0])


def test_equal_weights_have_full_sample_size_and_no_variance():
    state = LogMeanExp.of(np.full((8, 2), -3.5))
    np.testing.assert_array_equal(state.ess, 8)
    np.testing.assert_allclose(state.variance, 0, atol=1e-15)
    assert np.isnan(LogMeanExp.of(np.zeros((1, 2))).variance).all()


def test_variance_is_the_squared_coefficient_of_variation_over_k(rng):
    w = rng.standard_normal((50, 3))
    e = np.exp(w)
    np.testing.assert_allclose(LogMeanExp.of(w).variance, e.var(0, ddof=1) / e.mean(0) ** 2 / 50, rtol=1e-12)


def test_no_weights_are_an_error():
    with pytest.raises(ValueError, match="at least one"):
        log_mean_exp(np.zeros((0, 3)))
