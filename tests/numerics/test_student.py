"""Quantiles and tails of Student's t, against those of scipy.stats."""

import math

import numpy as np
import pytest
from scipy import stats

from genbench.numerics import student


@pytest.mark.parametrize("freedom", [1, 2.5, 9, 49, 1e4, math.inf])
@pytest.mark.parametrize("p", [1e-12, 0.025, 0.5, 0.8, 0.975, 1 - 1e-9])
def test_quantiles_and_tails_have_the_bits_of_scipys(p, freedom):
    assert student.quantile(p, freedom) == stats.t.ppf(p, freedom)
    assert -student.quantile(p, freedom) == stats.t.isf(p, freedom)
    x = float(stats.t.ppf(p, freedom))
    assert student.above(x, freedom) == stats.t.sf(x, freedom)


@pytest.mark.parametrize("freedom", [0.7, 2.5, 4.0, 49.0, 1e4])
def test_degrees_of_freedom_come_back_from_a_quantile(freedom):
    assert student.freedom(0.975, stats.t.ppf(0.975, freedom)) == pytest.approx(freedom, rel=1e-4)
    assert student.freedom(0.975, stats.norm.ppf(0.975)) == student.freedom(0.975, 0.1) == math.inf


@pytest.mark.parametrize("freedom", [1.0, 4.0, 49.0, math.inf])
def test_values_of_t_become_the_normal_ones_that_are_exceeded_as_often(freedom):
    z = np.array([-6.0, -1.0, 0.0, 0.5, 3.0])
    t = stats.t.isf(stats.norm.sf(np.abs(z)), freedom) * np.sign(z)
    np.testing.assert_allclose(student.as_normal(t, np.full(5, freedom)), z, rtol=1e-6, atol=1e-12)
    assert student.as_normal(np.array([-1e300, 1e300]), np.full(2, math.inf)).tolist() == [-math.inf, math.inf]


def test_the_degrees_of_freedom_are_those_of_welch():
    """Two samples: the sum of the variances of their means, as scipy has it."""
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal(7), 3 * rng.standard_normal(12)
    wanted = stats.ttest_ind(a, b, equal_var=False).df
    assert student.satterthwaite((a.var(ddof=1) / 7, 6), (b.var(ddof=1) / 12, 11)) == pytest.approx(wanted)
    assert student.satterthwaite((0.0, 3), (0.0, math.inf)) == math.inf
