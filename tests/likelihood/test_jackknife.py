import functools
import math

import numpy as np
import pytest

from genbench.likelihood.jackknife import jackknife, jackknife_groups, log_share_of_the_rest
from genbench.models.sampling import seeded, to_tensor
from genbench.numerics.logmeanexp import LogMeanExp, log_mean_exp
from genbench.studies.calibration.likelihoods import expected_bound as integral
from oracles import LinearGaussian, estimate

X = 1.0
LOG_P = -(X**2) / 4 - 0.5 * math.log(4 * math.pi)


@functools.cache
def expected_bound(k):
    return integral(X, k)


def log_weights(n, k, seed=0):
    """n independent columns of k log-weights of the linear-Gaussian model at X with q = prior: [k, n]."""
    model = LinearGaussian("prior")
    x = to_tensor(np.full((n, 1), X, np.float32), model.space)
    return model.log_weights(x, k, seeded("jackknife", seed)).numpy()


def expected_jackknife(k):
    """E J = K E L_K - (K-1) E L_{K-1}: the weights that are left are independent again."""
    return k * expected_bound(k) - (k - 1) * expected_bound(k - 1)


def test_two_weights_by_hand():
    """Weights 1 and 3: L_2 = log 2, L_1 = log 1 and log 3, so J = 2 log 2 - (0 + log 3) / 2."""
    np.testing.assert_allclose(jackknife(np.log([[1.0], [3.0]])), 2 * math.log(2) - math.log(3) / 2, rtol=1e-14)


def test_it_is_its_definition():
    w = np.random.RandomState(0).normal(size=(7, 5)) * 2
    left_out = np.stack([log_mean_exp(np.delete(w, i, axis=0)) for i in range(7)])
    np.testing.assert_allclose(jackknife(w), 7 * log_mean_exp(w) - 6 * left_out.mean(0), rtol=1e-12)


@pytest.mark.parametrize("k", [2, 10])
def test_its_mean_is_the_known_integral(k):
    values = jackknife(log_weights(40_000, k))
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert abs(values.mean() - expected_jackknife(k)) < 4 * error


def test_its_bias_is_of_second_order_and_that_of_the_bound_of_first():
    first = {k: expected_bound(k) - LOG_P for k in (10, 20, 40)}
    second = {k: expected_jackknife(k) - LOG_P for k in (10, 20, 40)}
    for k in (20, 40):
        assert abs(second[k]) < abs(first[k]) / 10
    # a/K + b/K^2 halves, and a/K^2 + b/K^3 falls to a quarter, ever more nearly.
    for bias, ratio in ((first, 2), (second, 4)):
        found = [bias[10] / bias[20], bias[20] / bias[40]]
        assert abs(found[1] - ratio) < abs(found[0] - ratio)
        assert found[1] == pytest.approx(ratio, rel=0.15)


def test_samples_show_the_smaller_bias():
    w = log_weights(100_000, 10, seed=1)
    corrected = jackknife(w)
    error = corrected.std(ddof=1) / math.sqrt(len(corrected))
    exact = expected_bound(10) - LOG_P
    assert abs(exact) > 15 * error  # the bound's bias is seen well
    assert abs(corrected.mean() - LOG_P) < abs(exact) / 10 + 4 * error


def test_equal_weights_need_no_correction_however_small_or_many():
    w = np.full((100_000, 2), -2000.0)
    np.testing.assert_allclose(jackknife(w), -2000.0, rtol=1e-12)


def test_scaling_all_weights_shifts_the_value():
    w = log_weights(10, 50)
    np.testing.assert_allclose(jackknife(w - 2000), jackknife(w) - 2000, rtol=1e-12)


def test_one_weight_may_dominate_all_others():
    """Weights 1 and e^-100 twice: without the first, 2/2 e^-100 is left, which 1 - share would round to 0."""
    w = np.array([[0.0], [-100.0], [-100.0]])
    rest = [math.log(2) - 100, 0.0, 0.0]  # log(1 + e^-100) - log(1 + 2 e^-100) = -e^-100
    np.testing.assert_allclose(log_share_of_the_rest(w)[:, 0], rest, atol=1e-15)
    by_hand = 3 * -math.log(3) - 2 * (-100 - 2 * math.log(2)) / 3
    np.testing.assert_allclose(jackknife(w), by_hand, rtol=1e-14)


def test_weights_of_zero():
    zero = -np.inf
    w = np.array([[0.0, zero, 0.0], [1.0, zero, zero], [zero, zero, zero]])
    found = jackknife(w)
    left_out = [log_mean_exp(np.delete(w[:, 0], i)) for i in range(3)]
    assert found[0] == pytest.approx(3 * log_mean_exp(w[:, 0]) - 2 * np.mean(left_out), rel=1e-12)
    assert found[1] == -np.inf
    assert found[2] == np.inf


def test_a_nan_stays():
    assert np.isnan(jackknife(np.array([[0.0], [np.nan], [1.0]]))).all()


def test_groups_of_one_weight_are_the_jackknife_itself():
    w = log_weights(20, 9)
    np.testing.assert_allclose(jackknife_groups([LogMeanExp.of(row[None]) for row in w]), jackknife(w), rtol=1e-12)


@pytest.mark.parametrize("sizes", [(5, 5), (5, 5, 5, 5), (7, 7, 6), (1, 3, 10)])
def test_groups_are_their_definition(sizes):
    w, K = log_weights(20, sum(sizes)), sum(sizes)
    groups = np.split(w, np.cumsum(sizes)[:-1])
    left_out = [log_mean_exp(np.concatenate(groups[:g] + groups[g + 1 :])) for g in range(len(sizes))]
    expected = len(sizes) * log_mean_exp(w) - sum((1 - m / K) * rest for m, rest in zip(sizes, left_out, strict=True))
    np.testing.assert_allclose(jackknife_groups([LogMeanExp.of(g) for g in groups]), expected, rtol=1e-12)


def test_unequal_groups_cancel_the_first_order_too():
    """E J = G E L_K - sum (1 - m_g/K) E L_{K - m_g}, exactly, and its bias is of second order."""
    sizes = (8, 8, 4)
    K = sum(sizes)
    expected = len(sizes) * expected_bound(K) - sum((1 - m / K) * expected_bound(K - m) for m in sizes)
    assert abs(expected - LOG_P) < abs(expected_bound(K) - LOG_P) / 5
    w = log_weights(40_000, K, seed=2)
    values = jackknife_groups([LogMeanExp.of(g) for g in np.split(w, np.cumsum(sizes)[:-1])])
    assert abs(values.mean() - expected) < 4 * values.std(ddof=1) / math.sqrt(len(values))


def test_the_true_posterior_needs_no_correction():
    model = LinearGaussian("posterior")
    x = np.linspace(-3, 3, 7, dtype=np.float32)[:, None]
    w = model.log_weights(to_tensor(x, model.space), 20, seeded(0)).double().numpy()
    np.testing.assert_allclose(jackknife(w), estimate(model, x, 20).values, atol=1e-9)


@pytest.mark.parametrize("call", [lambda: jackknife(np.zeros((1, 3))), lambda: jackknife_groups([])])
def test_one_weight_has_no_jackknife(call):
    with pytest.raises(ValueError, match=r"at least 2|K >= 2"):
        call()
