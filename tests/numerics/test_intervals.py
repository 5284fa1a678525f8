"""Wilson's interval, by the equation that its ends solve, and by SciPy's; at the edges by what rounding must keep."""

import functools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm, t

from genbench.numerics.intervals import Z95, spread, wilson

EPS = float(np.finfo(float).eps)
T4 = 2.7764451051977987  # 97.5 % of Student's t with 4 degrees of freedom


def test_the_quantile_is_scipys():
    assert pytest.approx(norm.ppf(0.975), rel=2 * EPS) == Z95


@functools.cache
def intervals(z):
    """All shares s/n of 0 <= s <= n <= 200, of n trials and of trials that are not whole: p, n, low, high `[c]`."""
    shares = [(s / n, n) for n in range(1, 201) for s in range(n + 1)]
    trials = [(p, n * times) for p, n in shares for times in (1, 1 / 1.7, math.pi, 1 / 523.4, 1e12)]
    return np.array([(p, n, *wilson(p, n, z)) for p, n in trials]).T


@pytest.mark.parametrize("z", [Z95, T4, 0.1])
def test_an_interval_of_a_share_keeps_to_zero_and_one_and_holds_its_share(z):
    p, _, low, high = intervals(z)
    assert ((low >= 0) & (low <= p) & (p <= high) & (high <= 1)).all()
    np.testing.assert_array_equal(low == 0, p == 0)
    np.testing.assert_array_equal(high == 1, p == 1)


@pytest.mark.parametrize("z", [Z95, T4])
def test_its_ends_are_z_standard_errors_from_the_share(z):
    p, n, low, high = intervals(z)
    for distance, end in ((p - low, low), (high - p, high)):  # either has a few eps of error
        np.testing.assert_allclose(distance, z * np.sqrt(end * (1 - end) / n), rtol=1e-9, atol=4 * EPS)


def test_it_mirrors():
    p, n, low, high = intervals(Z95)
    mirrored = np.array([wilson(1 - share, trials) for share, trials in zip(p, n, strict=True)])
    np.testing.assert_allclose(mirrored, np.stack([1 - high, 1 - low], 1), rtol=0, atol=4 * EPS)


@pytest.mark.parametrize(("s", "n"), [(0, 1), (1, 1), (14, 14), (38, 38), (3, 7), (1, 200), (199, 200), (100, 200)])
def test_it_is_scipys(s, n):
    peer = binomtest(s, n).proportion_ci(0.95, method="wilson")
    assert wilson(s / n, n) == pytest.approx((peer.low, peer.high), rel=1e-13)


@pytest.mark.parametrize("freedom", [1.01, 4.0, 9.5, 1e4])
def test_a_standard_error_from_few_groups_has_the_freedom_of_its_interval(freedom):
    half = float(t.ppf(0.975, freedom)) * 0.3
    assert spread(0.3, (1 - half, 1 + half)) == (0.3, pytest.approx(freedom, rel=1e-4))


def test_a_normal_interval_or_a_shorter_one_takes_its_standard_error_for_known():
    assert spread(0.3, (1 - Z95 * 0.3, 1 + Z95 * 0.3)) == (0.3, math.inf)
    assert spread(0.3, None) == (0.3, math.inf)
    assert spread(0.3, (0.99, 1.0)) == (0.3, math.inf)


def test_an_interval_without_a_standard_error_is_a_normal_one():
    assert spread(0.0, (0.0, 2 * Z95)) == (pytest.approx(1.0), math.inf)
    assert spread(0.0, None) == (0.0, math.inf)
    assert spread(1e-9, (0.0, 2 * Z95)) == (pytest.approx(1.0), math.inf), "wider than any t with a degree of freedom"
