"""Quantiles and tails of Student's t, against those of scipy.stats."""

import math

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
