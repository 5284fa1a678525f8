"""Wilson's interval, by the equation that its ends solve, and by SciPy's; at the edges by what rounding must keep."""

import functools
import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from genbench.numerics.intervals import Z95, known, wilson

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


def test_a_standard_error_from_few_groups_is_known_as_well_as_its_interval_is():
    assert known(0.3, (1 - T4 * 0.3, 1 + T4 * 0.3)) == pytest.approx(0.3 * T4 / Z95)
    assert known(0.3, (1 - Z95 * 0.3, 1 + Z95 * 0.3)) == pytest.approx(0.3)


def test_no_interval_makes_a_standard_error_smaller():
    assert known(0.3, None) == 0.3
    assert known(0.3, (0.99, 1.0)) == 0.3
