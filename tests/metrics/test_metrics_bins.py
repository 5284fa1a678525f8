"""NDB and JSD of k-means bins: SciPy's tests and distances, hand arithmetic, a jackknife by rows, and simulation."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist, jensenshannon
from scipy.stats import chi2_contingency, ncx2, norm
from sklearn.cluster import KMeans

from genbench.errors import GenbenchError, ModelError
from genbench.metrics import bins
from genbench.numerics.points import Points


def data(n=400, m=900, d=6, seed=0, shift=0.4):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) + shift).astype(np.float32), rng.standard_normal((m, d)).astype(np.float32)


def histograms(n, m, skew, size, seed=0, K=60):
    rng = np.random.default_rng(seed)
    p = np.exp(rng.normal(0, skew, K))
    return [(rng.multinomial(n, p / p.sum()), rng.multinomial(m, np.full(K, 1 / K))) for _ in range(size)]


def test_bins_are_those_of_scikit_learn_and_scipy():
    x, y = data()
    means = KMeans(20, n_init=1, max_iter=100, random_state=0, algorithm="elkan")
    centres = means.fit(y.astype(float)).cluster_centers_
    a, b = (np.bincount(cdist(z, centres).argmin(1), minlength=20) for z in (x, y))
    found = bins.compute(x, y, bins=20)
    assert found["ndb"].details["counts"] == a.tolist()
    assert found["ndb"].details["train_counts"] == b.tolist()
    # The square of a two-proportion z with pooled variance is Pearson's chi-squared of the 2 x 2 table.
    tables = [np.array([[i, 400 - i], [j, 900 - j]]) for i, j in zip(a, b, strict=True)]
    different = [k for k, table in enumerate(tables) if chi2_contingency(table, correction=False).pvalue < 0.05]
    assert 0 < len(different) < 20
    assert found["ndb"].details["different"] == different
    assert found["ndb"].value == len(different) / 20
    assert found["jsd"].value == pytest.approx(jensenshannon(a / 400, b / 900) ** 2, rel=1e-12)


def test_bins_by_hand():
    # 10 samples and 40 training rows in bins of shares (6/10, 4/10, 0) and (10/40, 30/40, 0). Bin 1:
    # P = 16/50, variance P (1-P) (1/10 + 1/40) = 0.0272, z = 0.35/0.1649 = 2.12; bin 2 is its mirror image;
    # bin 3 is empty on both sides. With M = (0.425, 0.575) the divergences are
    # (0.6 log(0.6/0.425) + 0.4 log(0.4/0.575))/2 and (0.25 log(0.25/0.425) + 0.75 log(0.75/0.575))/2.
    a, b = np.array([6, 4, 0]), np.array([10, 30, 0])
    np.testing.assert_allclose(bins.z_of_counts(a, b), [0.35 / 0.0272**0.5, -0.35 / 0.0272**0.5, 0], rtol=1e-12)
    ndb = bins.different_bins(a, b, {})
    assert ndb.value == 2 / 3
    assert ndb.details["different"] == [0, 1]
    kl = [0.6 * math.log(0.6 / 0.425), 0.4 * math.log(0.4 / 0.575)]
    kl += [0.25 * math.log(0.25 / 0.425), 0.75 * math.log(0.75 / 0.575)]
    assert bins.jsd_of_counts(a, b, {}).value == pytest.approx(sum(kl) / 2, rel=1e-12)


def test_jsd_runs_from_zero_to_log_two():
    a = np.array([5, 7, 0])
    assert bins.jsd_of_counts(a, 3 * a, {}).value == 0
    apart = bins.jsd_of_counts(np.array([9, 0]), np.array([0, 4]), {})
    assert apart.value == pytest.approx(math.log(2), rel=1e-15)
    assert apart.ci95[1] == math.log(2)


def test_the_jackknife_is_that_of_rows_left_out_one_by_one():
    a, b = np.array([5, 1, 3, 0]), np.array([2, 8, 4, 1])
    rows = np.repeat(np.arange(4), a)
    left_out = [bins.jsd_of_counts(np.bincount(np.delete(rows, i), minlength=4), b, {}).value for i in range(len(rows))]
    assert bins._jackknife(a, b / b.sum()) == pytest.approx(8 * np.var(left_out), rel=1e-12)


def jsd(a, b):
    return jensenshannon(a / a.sum(), b / b.sum()) ** 2


@pytest.mark.parametrize(("a", "b"), [([5, 1, 3, 0], [2, 8, 4, 0]), ([6, 5, 6, 1], [7, 6, 6, 2])])
def test_the_error_of_jsd_is_that_of_both_jackknives_less_the_quadratic_part(a, b):
    # Unlike sets, and like ones, where the quadratic part is all.
    a, b = np.array(a), np.array(b)
    rows_a, rows_b = (np.repeat(np.arange(4), counts) for counts in (a, b))
    n, m, r = len(rows_a), len(rows_b), int((a + b > 0).sum()) - 1
    without_a = [jsd(np.bincount(np.delete(rows_a, i), minlength=4), b) for i in range(n)]
    without_b = [jsd(a, np.bincount(np.delete(rows_b, i), minlength=4)) for i in range(m)]
    quadratic = r / 32 * (1 / n + 1 / m) ** 2
    variance = max((n - 1) * np.var(without_a) + (m - 1) * np.var(without_b) - quadratic, quadratic)
    found = bins.jsd_of_counts(a, b, {})
    assert found.stderr == pytest.approx(math.sqrt(variance), rel=1e-12)
    assert found.details["bias"] == pytest.approx(r / 8 * (1 / n + 1 / m), rel=1e-15)
    assert (variance == quadratic) == (a[0] == 6)


@pytest.mark.parametrize(
    ("a", "b", "by_powers"),
    [([30, 30, 30, 10], [100, 40, 30, 30], True), ([30, 30, 30, 30, 30, 5], [30, 30, 30, 30, 30, 60], False)],
)
def test_the_error_of_ndb_is_that_of_its_tests_powers_or_of_independent_trials(a, b, by_powers):
    # A test at z has power P(z + N(0, 1) beyond +-1.96), which is that of a non-central chi-squared.
    z, K = bins.z_of_counts(np.array(a), np.array(b)), len(a)
    power = ncx2.sf(norm.isf(0.025) ** 2, 1, z**2)
    p = (np.abs(z) > norm.isf(0.025)).mean()
    variances = (power * (1 - power)).sum() / K**2, p * (1 - p) / K
    found = bins.different_bins(np.array(a), np.array(b), {})
    assert found.value == p
    assert (variances[0] < variances[1]) == by_powers
    assert found.stderr == pytest.approx(math.sqrt(min(variances)), rel=1e-10)


def test_equal_distributions_differ_in_about_one_bin_of_twenty():
    # The share of a thousand nearly independent tests: 0.05 +- 4 sqrt(0.05 * 0.95/1000) = 0.028; in bins of
    # forty rows the level itself is met to within 0.01.
    values = [bins.compute(*data(m=2000, shift=0, seed=seed), bins=50)["ndb"].value for seed in range(20)]
    assert np.mean(values) == pytest.approx(0.05, abs=0.04)


@pytest.mark.parametrize("skew", [0, 0.2, 0.7])
def test_standard_errors_are_those_of_simulation(skew):
    # 300 replicates know their own spread to 1/sqrt(600) = 4 %. Both errors err upwards: the jackknife by its
    # quadratic part's estimate, the powers' by up to 1.5 where half of the bins are equal.
    pairs = histograms(500, 2000, skew, 300)
    for make, slack in ((bins.different_bins, 1.5), (bins.jsd_of_counts, 1.25)):
        found = [make(a, b, {}) for a, b in pairs]
        ratio = np.mean([f.stderr for f in found]) / np.std([f.value for f in found])
        assert 0.88 < ratio < slack


@pytest.mark.parametrize("skew", [0, 0.7])
def test_intervals_hold_the_truth(skew):
    # 95 % of 400, less four standard errors of 1.1 %.
    pairs = histograms(300, 1000, skew, 400)
    for make in (bins.different_bins, bins.jsd_of_counts):
        found = [make(a, b, {}) for a, b in pairs]
        truth = np.mean([f.value for f in found])
        assert np.mean([f.ci95[0] <= truth <= f.ci95[1] for f in found]) > 0.95 - 0.044


def test_the_fit_is_shared_by_all_models(monkeypatch):
    x, y = data()
    y = Points(y)
    first = bins.compute(x, y, bins=10)["jsd"].value
    monkeypatch.setattr(bins, "_centres", lambda *_: pytest.fail("fitted again"))
    assert bins.compute(x, y, bins=10)["jsd"].value == first


def test_rows_may_come_in_any_order():
    x, y = data()
    y = Points(y)
    assert bins.compute(x[::-1].copy(), y)["jsd"].value == bins.compute(x, y)["jsd"].value


def test_identical_points_lie_in_one_bin():
    found = bins.compute(np.ones((20, 3)), np.ones((30, 3)), bins=5)
    assert found["ndb"].value == 0
    assert found["jsd"].value == 0
    assert found["jsd"].ci_method.startswith("none: all fell in one bin")


def test_one_sample_has_a_value_and_no_interval():
    found = bins.compute(np.zeros((1, 6)), data()[1], bins=4)["jsd"]
    assert 0 < found.value < math.log(2)
    assert found.ci_method.startswith("none: one row")


def test_bad_inputs_are_errors():
    x, y = data()
    with pytest.raises(GenbenchError, match="at least 100 rows, got 99"):
        bins.compute(x, y[:99])
    with pytest.raises(ModelError, match="NaN"):
        bins.compute(np.full((4, 6), np.nan), y)
    with pytest.raises(ValueError, match="widths"):
        bins.compute(x[:, :3], y)
