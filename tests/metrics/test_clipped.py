"""Clipped density and coverage: against the definition by brute force, hand arithmetic, a beta-binomial, shares."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import betabinom, binom

from genbench.metrics import _groups
from genbench.metrics import clipped_density_coverage as clipped
from genbench.numerics.points import Points


def gaussian(rng, n, d=4, bad=0.0):
    x = rng.standard_normal((n, d))
    x[rng.random(n) < bad] += 50
    return x


def by_definition(x, y, k):
    """Both values as the authors' code has them where distances differ: every pair of rows, no squares."""
    within, across = cdist(y, y), cdist(y, x)
    np.fill_diagonal(within, np.inf)
    R = np.sort(within, 1)[:, k - 1]
    r = np.minimum(R, np.median(R))[:, None]
    density = np.minimum((across <= r).sum(0), k).mean() / np.minimum((within <= r).sum(0), k).mean()
    covered = np.minimum((across < R[:, None]).sum(1), k).mean() / k
    n, m = len(x), len(y)
    f = [(np.minimum(np.arange(i + 1), k) * betabinom.pmf(np.arange(i + 1), i, k, m - k)).sum() / k for i in range(n)]
    f.append((np.minimum(np.arange(n + 1), k) * betabinom.pmf(np.arange(n + 1), n, k, m - k)).sum() / k)
    return min(density, 1.0), (np.array(f) < covered).sum() / (n + 1)


@pytest.mark.parametrize("bad", [0.0, 0.3, 0.9])
@pytest.mark.parametrize(("n", "m", "k"), [(120, 120, 5), (121, 121, 3), (150, 90, 1), (70, 70, 20)])
def test_values_are_those_of_the_definition(n, m, k, bad):
    rng = np.random.default_rng(n + k)
    x, y = gaussian(rng, n, bad=bad), gaussian(rng, m)
    found = clipped.compute(Points(x), Points(y), k=k)
    density, coverage = by_definition(x, y, k)
    assert found["clipped_density"].value == pytest.approx(density, rel=1e-12)
    assert found["clipped_coverage"].value == coverage


def test_both_by_hand():
    # Data 0, 1, 3, 4, 20 with k = 1: radii 1, 1, 1, 1, 16, whose median is 1. Balls cut to it hold one other of the
    # data for 0, 1, 3 and 4, and none for 20: 4/5. Of the samples 0.5 lies in two balls, which count as one, 12 in
    # none (it is in the uncut ball of 20), nor the others: 1/5, and 1/5 over 4/5 is 1/4.
    x, y = (np.array(values, dtype=float)[:, None] for values in ([0.5, 12, 100, 200, 300], [0, 1, 3, 4, 20]))
    found = clipped.compute(x, y, k=1)
    assert found["clipped_density"].value == pytest.approx(1 / 4, rel=1e-15)
    # 0.5 is within the balls of 0 and 1, 12 within that of 20: three of five. With k = 1, f(m) = P(J > 0), and
    # P(J = 0) of m samples against 4 others is 4/(4 + m): f = 0, 1/5, 2/6, 3/7, 4/8, 5/9, all below 3/5.
    assert found["clipped_coverage"].details["before"]["value"] == 3 / 5
    assert found["clipped_coverage"].value == 1


@pytest.mark.parametrize(("n", "m", "k"), [(60, 90, 5), (300, 120, 3), (400, 400, 1), (9, 500, 8)])
def test_what_good_samples_cover_is_the_mean_of_a_beta_binomial(n, m, k):
    i = np.arange(n + 1)[:, None]
    expected = (np.minimum(i.T, k) * betabinom.pmf(i.T, i, k, m - k)).sum(1) / k
    np.testing.assert_allclose(clipped.expected(n, m, k), expected, rtol=1e-10, atol=1e-13)
    # below k samples no ball can be full, and each sample adds its chance to be in one of m - 1 balls of k
    np.testing.assert_allclose(expected[:k], np.arange(k) / m, rtol=1e-10)


def test_what_good_samples_cover_is_what_they_cover():
    n, m, k, replicates = 40, 60, 3, 400
    rng = np.random.default_rng(0)
    found = []
    for _ in range(replicates):
        x, y = Points(rng.random((n, 2))), Points(rng.random((m, 2)))
        found.append(np.mean(y.nearest(x, k)[0] < y.nearest(y, k)[0][:, -1:]))
    error = np.std(found) / math.sqrt(replicates)
    assert np.mean(found) == pytest.approx(clipped.expected(n, m, k)[-1], abs=4 * error)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_a_value_is_the_share_of_good_samples(share):
    """The paper's calibration: bad samples far away take their share of both, no more and no less."""
    n, replicates = 300, 40
    rng = np.random.default_rng(7)
    found = {"clipped_density": [], "clipped_coverage": []}
    for _ in range(replicates):
        x, y = gaussian(rng, n), gaussian(rng, n)
        x[: round(n * (1 - share))] += 50
        for name, measure in clipped.compute(x, y, intervals=False).items():
            found[name].append(measure.value)
    for name, values in found.items():
        error = np.std(values) / math.sqrt(replicates)
        assert np.mean(values) == pytest.approx(share, abs=4 * error), name
        assert error < 0.01, name


def test_outliers_among_the_data_have_balls_like_others():
    """Density counts a sample in the wide ball of an outlier as good; clipped density does not."""
    from genbench.metrics import density_coverage

    rng = np.random.default_rng(0)
    y = gaussian(rng, 200)
    y[:8] = 30 * rng.standard_normal((8, 4))
    x = 10 * rng.standard_normal((200, 4))
    wide, cut = density_coverage.compute(x, y)["density"].value, clipped.compute(x, y)["clipped_density"].value
    assert wide > 3 * cut


def test_intervals_hold_the_share_of_good_samples(monkeypatch):
    monkeypatch.setattr(_groups, "moving", lambda *_: ())  # what models share decides no interval
    n, bad, replicates = 250, 0.3, 80
    rng = np.random.default_rng(1)
    hits = {"clipped_density": 0, "clipped_coverage": 0}
    for _ in range(replicates):
        for name, measure in clipped.compute(gaussian(rng, n, bad=bad), gaussian(rng, n)).items():
            hits[name] += measure.ci95[0] <= 1 - bad <= measure.ci95[1]
    # at 95 % one run in 1,000 has fewer hits than this
    assert min(hits.values()) >= binom.ppf(0.001, replicates, 0.95)


@pytest.mark.parametrize("repeats", [2, 6])
def test_copies_count_as_rows(repeats):
    """With k + 1 copies of everything balls have radius 0: closed they hold their copies, open they hold nothing."""
    rng = np.random.default_rng(0)
    y = np.repeat(gaussian(rng, 40), repeats, 0)
    x = y[rng.permutation(len(y))]
    found = clipped.compute(Points(x), Points(y))
    density, coverage = by_definition(x, y, 5)
    assert found["clipped_density"].value == pytest.approx(density, rel=1e-12)
    assert found["clipped_coverage"].value == coverage
    assert (coverage == 0) == (repeats == 6)


def test_where_no_sample_is_good_the_interval_has_a_width():
    rng = np.random.default_rng(0)
    found = clipped.compute(gaussian(rng, 300, bad=1.0), gaussian(rng, 300))
    for name, measure in found.items():
        assert measure.value == 0, name
        low, high = measure.ci95
        assert low == 0, name
        assert 0.005 < high < 0.02, name  # Wilson's: z^2 / (n + z^2) = 1.26 %


def test_the_counts_that_are_compared_are_said():
    rng = np.random.default_rng(0)
    found = clipped.compute(Points(gaussian(rng, 80)), Points(gaussian(rng, 200)))["clipped_coverage"].details
    assert (found["n_samples"], found["n_train"], found["n_reference"]) == (80, 200, 80)
    assert found["note"] == "against 80 of 200 training examples, as many as there are samples"


def test_what_models_share_is_calibrated_too():
    """The part of the variance that comes from the training examples is the same of the share and of what it is of."""
    rng = np.random.default_rng(3)
    x, y = Points(gaussian(rng, 400, bad=0.4)), Points(gaussian(rng, 400))

    def filled(x, y):
        return (y.nearest(x, 5)[0] < y.nearest(y, 5)[0][:, -1:]).mean(1)

    raw = _groups.mean(filled, x, y, 6, {})
    found = clipped.compute(x, y)["clipped_coverage"]
    assert found.details["before"]["stderr"] == raw.stderr
    assert found.shared
    assert np.linalg.norm(found.shared) / found.stderr == pytest.approx(
        np.linalg.norm(raw.shared) / raw.stderr, rel=1e-12
    )
    assert found.stderr != pytest.approx(raw.stderr, rel=0.05), "the scales differ"
