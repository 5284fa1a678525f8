"""Several tests at once: by hand, against the intervals that they invert, and by counting what is noticed."""

import math

import numpy as np
import pytest
from scipy import stats

from genbench.numerics.multiple import POWER, detectable, holm, p_value, quantile


def test_holm_by_hand():
    """Sorted .005 x 4, .01 x 3, .03 x 2, .04 x 1, and never less than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("freedom", [3, 30, math.inf])
def test_a_p_value_is_below_five_percent_where_the_interval_does_not_reach_zero(freedom):
    for gap in (-2.0, 2.0):
        assert p_value(gap, 2.0, freedom) == pytest.approx(0.05)
        assert p_value(gap, 1.99, freedom) < 0.05 < p_value(gap, 2.01, freedom)
    assert p_value(0.0, 1.0, freedom) == pytest.approx(1)


def test_the_p_value_of_a_t_interval_is_that_of_the_t_test():
    x = np.random.default_rng(0).standard_normal(12) + 0.7
    test = stats.ttest_1samp(x, 0)
    low, _ = test.confidence_interval(0.95)
    assert p_value(x.mean(), x.mean() - low, 11) == pytest.approx(test.pvalue, rel=1e-9)


def test_without_a_spread_an_effect_is_there_for_certain_or_is_none():
    assert (p_value(1e-9, 0.0), p_value(0.0, 0.0)) == (0.0, 1.0)


def test_intervals_of_several_tests_are_those_of_bonferroni():
    assert quantile(1) == pytest.approx(1.959963984540054)
    assert quantile(5, 20) == pytest.approx(stats.t.ppf(1 - 0.005, 20))


def test_a_detectable_effect_is_noticed_as_often_as_it_says():
    """The power of a normal test in closed form; that of a t test by the noncentral t, up to what Bloom leaves out."""
    for tests in (1, 10):
        effect, z = detectable(0.5, tests), quantile(tests)
        power = stats.norm.sf(z - effect / 0.5) + stats.norm.cdf(-z - effect / 0.5)
        assert power == pytest.approx(POWER, abs=1e-4)
    t = quantile(1, 20)
    assert stats.nct.sf(t, 20, detectable(1.0, 1, 20)) == pytest.approx(POWER, abs=0.01)
