"""Log-mean-exp of arrays and of streams, against SciPy and the definition."""

import warnings

import numpy as np
import pytest
from scipy.special import logsumexp

from genbench.numerics.logmeanexp import LogMeanExp, log_mean_exp


@pytest.fixture
def rng():
    return np.random.default_rng(0)


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


@pytest.mark.parametrize("K", [2, 3, 7, 1000])
@pytest.mark.parametrize("spread", [0, 1e-16, 1e-12, 1e-8, 1e-5])
def test_near_equal_weights_have_a_small_variance_and_never_a_negative_one(rng, K, spread):
    # K/ESS - 1 is a difference of numbers near 1: it errs by a few eps, and would be below 0 as often as not.
    w = -3.5 + spread * rng.standard_normal((K, 2000))
    for state in (LogMeanExp.of(w), LogMeanExp.of(w[:1]).merge(LogMeanExp.of(w[1:]))):
        assert (state.variance >= 0).all()
        expected = np.var(np.exp(w + 3.5), axis=0, ddof=1) / K
        np.testing.assert_allclose(state.variance, expected, rtol=1e-4, atol=8 * np.finfo(float).eps)
        np.testing.assert_allclose(state.log_mean, np.log(np.exp(w + 3.5).mean(0)) - 3.5, atol=1e-14)
        np.testing.assert_allclose(state.ess, K, rtol=1e-9)


def test_a_weight_that_rules_has_a_sample_of_its_own():
    # Weights 1 and K - 1 times e^-800, which is no number beside 1: ESS 1, variance of the mean as large as its square.
    for K in (2, 5):
        state = LogMeanExp.of(np.array([[0.0]] + [[-800.0]] * (K - 1)))
        assert (state.ess, state.variance) == (1, 1)
        assert state.log_mean == pytest.approx(-np.log(K), rel=1e-15)
