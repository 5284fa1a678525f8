"""One copy of each formula, against closed forms and second implementations."""

import warnings

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from genbench.numerics import roots
from genbench.numerics.logmeanexp import LogMeanExp, log_mean_exp
from genbench.numerics.moments import merge, moments
from genbench.numerics.neighbours import count_within, nearest


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


@pytest.mark.parametrize("block", [1, 200, 2**22])
def test_nearest_are_those_of_all_distances(rng, block):
    x, y = rng.standard_normal((50, 5)) + 30, rng.standard_normal((70, 5)) + 30
    squares, index = nearest(x, y, 4, block=block)
    D = cdist(x, y)
    np.testing.assert_array_equal(index, np.argsort(D, axis=1)[:, :4])
    np.testing.assert_allclose(np.sqrt(squares), np.sort(D, axis=1)[:, :4], rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planted_copies_far_from_the_origin_are_at_distance_exactly_zero(rng, dtype):
    y = (rng.standard_normal((300, 512)) + 5).astype(dtype)
    planted = rng.permutation(300)[:40]
    squares, index = nearest(y[planted], y, 2)
    np.testing.assert_array_equal(index[:, 0], planted)
    assert (squares[:, 0] == 0).all()
    assert (squares[:, 1] > 0).all()


def test_a_row_is_excluded_by_index_and_its_copy_is_not():
    x = np.array([[0.0], [0.0], [1.0], [3.0]])
    squares, index = nearest(x, x, 2, exclude_self=True)
    np.testing.assert_array_equal(index, [[1, 2], [0, 2], [0, 1], [2, 0]])
    np.testing.assert_array_equal(squares, [[0, 1], [0, 1], [1, 1], [4, 9]])


@pytest.mark.parametrize("block", [1, 5, 2**22])
def test_ties_go_to_the_lower_index_at_any_block_size(rng, block):
    y = rng.integers(0, 2, size=(64, 6)) * 0.1 + 7  # 64 points on a cube: nothing but ties
    x = rng.integers(0, 2, size=(30, 6)) * 0.1 + 7
    squares, index = nearest(x, y, 5, block=block)
    exact = ((x[:, None] - y[None]) ** 2).sum(-1)
    np.testing.assert_array_equal(index, np.argsort(exact, axis=1, kind="stable")[:, :5])
    np.testing.assert_array_equal(squares, np.sort(exact, axis=1)[:, :5])
    np.testing.assert_array_equal(
        count_within(x, y, np.full((30, 1), exact[0, 0]), block), (exact <= exact[0, 0]).sum(1)
    )


def test_counts_within_balls_about_either_set(rng):
    x, y = rng.standard_normal((40, 3)), rng.standard_normal((50, 3))
    D2 = cdist(x, y) ** 2
    about_y, about_x = rng.uniform(0, 4, 50), rng.uniform(0, 4, (40, 1))
    np.testing.assert_array_equal(count_within(x, y, about_y, block=100), (about_y >= D2).sum(1))
    np.testing.assert_array_equal(count_within(x, y, about_x, block=100), (about_x >= D2).sum(1))


def test_identical_points_are_inside_balls_of_radius_zero():
    x = np.full((4, 3), 0.1)
    np.testing.assert_array_equal(count_within(x, x, np.zeros(4)), 4)


def test_neighbours_refuse_what_they_cannot_answer():
    x = np.zeros((3, 2))
    with pytest.raises(ValueError, match="3 neighbours cannot be found among 2"):
        nearest(x, x, 3, exclude_self=True)
    with pytest.raises(ValueError, match="expected"):
        nearest(x, np.zeros((3, 4)), 1)
    for bad in (np.nan, np.inf, 1e300):
        with pytest.raises(ValueError, match="finite"):
            nearest(np.full((3, 2), bad), np.array([[0.0, 0], [bad, 0]]), 1)


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
