"""Intervals hold the truth about as often as they say; the full table is docs/coverage.md."""

import pytest

from genbench.coverage import cases, coverage


@pytest.mark.parametrize("case", cases(), ids=lambda c: f"{c.what}, n={c.n}")
def test_nominal_95_percent_is_between_93_and_97(case):
    """1,000 replicates know a coverage of 95 % to 0.7 %: the limits are widened by three standard errors."""
    assert 0.93 - 0.021 <= coverage(case, 1000) <= 0.97 + 0.021
