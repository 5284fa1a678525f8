"""Sample metrics by nearest neighbours, against peers, brute force, hand arithmetic and simulation."""

import contextlib
import io
import math

import numpy as np
import prdc
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import binom, mannwhitneyu
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from genbench.errors import GenbenchError, ModelError
from genbench.metrics import _groups, authenticity, data_copying, density_coverage, near_duplicates, realism
from genbench.numerics.points import Points

METRICS = (authenticity, data_copying, density_coverage, near_duplicates, realism)


def features(sizes=(150, 200, 120), d=8, seed=0, shift=0.3, scale=1.1):
    """Samples, training and test features: float32, the samples shifted and wider."""
    rng = np.random.default_rng(seed)
    x, train, test = (rng.standard_normal((n, d)) for n in sizes)
    return [a.astype(np.float32) for a in (x * scale + shift, train, test)]


def compute(metric, x, train, test, **parameters):
    given = {"sample_features": x, "train_features": train, "reference_features": train, "test_features": test}
    return metric.compute(*(given[need] for need in metric.NEEDS), **parameters)


def line(*values):
    return np.array(values, dtype=np.float64)[:, None]


def own_distances(x):
    d = cdist(x, x)
    np.fill_diagonal(d, np.inf)
    return np.sort(d, 1)


# Density and coverage


@pytest.mark.parametrize("k", [1, 3, 5, 7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_density_and_coverage_are_prdcs(k, dtype):
    x, train, _ = (f.astype(dtype) for f in features(sizes=(150, 150, 9)))
    ours = density_coverage.compute(x, train, k=k)
    with contextlib.redirect_stdout(io.StringIO()):
        peer = prdc.compute_prdc(train, x, k)
    # The counts are equal; their means differ by the rounding of a sum of 150 terms.
    assert ours["density"].value == pytest.approx(peer["density"], rel=1e-13)
    assert ours["coverage"].value == pytest.approx(peer["coverage"], rel=1e-13)
    assert 0 < ours["coverage"].value < 1


def test_density_and_coverage_by_hand():
    # Radii of 0, 1 and 3 to their nearest others: 1, 1, 2. The sample 0.5 lies in two balls, 1 in its own
    # alone (it is on the edges of the others), 10 and 11 in none: density 3/4. Two of three balls are hit.
    measures = density_coverage.compute(line(0.5, 1, 10, 11), line(0, 1, 3), k=1)
    assert measures["density"].value == 3 / 4
    assert measures["coverage"].value == pytest.approx(2 / 3, rel=1e-15)
    assert measures["coverage"].ci_method == "none: an interval needs 10 rows of either set, for 5 groups"


def test_density_and_coverage_of_identical_points_are_zero_as_in_prdc():
    x = np.full((40, 3), 0.1)
    ours = density_coverage.compute(x, x.copy())
    with contextlib.redirect_stdout(io.StringIO()):
        peer = prdc.compute_prdc(x, x, 5)
    assert [m.value for m in ours.values()] == [peer["density"], peer["coverage"]] == [0, 0]


def test_density_and_coverage_of_one_distribution_have_their_expected_values():
    n, m, k, replicates = 20, 30, 4, 400
    rng = np.random.default_rng(0)
    found = [
        density_coverage.compute(rng.standard_normal((n, 2)), rng.standard_normal((m, 2)), k=k)
        for _ in range(replicates)
    ]
    m = n  # no more training examples than samples
    # A ball misses all samples if the k points nearest to its centre, of m - 1 + n, are all training examples.
    covered = 1 - math.prod((m - i) / (m + n - i) for i in range(1, k + 1))
    for name, truth in (("density", 1), ("coverage", covered)):
        values = np.array([measures[name].value for measures in found])
        assert values.mean() == pytest.approx(truth, abs=4 * values.std() / math.sqrt(replicates))


def test_intervals_of_density_and_coverage_hold_their_expected_values(monkeypatch):
    monkeypatch.setattr(_groups, "moving", lambda *_: ())  # what models share decides no interval
    n, k, replicates = 300, 5, 100
    truth = {"density": 1, "coverage": 1 - math.prod((n - i) / (2 * n - i) for i in range(1, k + 1))}
    rng = np.random.default_rng(1)
    hits = dict.fromkeys(truth, 0)
    for _ in range(replicates):
        for name, measure in density_coverage.compute(rng.standard_normal((n, 2)), rng.standard_normal((n, 2))).items():
            hits[name] += measure.ci95[0] <= truth[name] <= measure.ci95[1]
    # At 95 % one run in 1,000 has fewer hits than this; independent rows would have 78 in 100.
    assert min(hits.values()) >= binom.ppf(0.001, replicates, 0.95)


def test_the_design_effect_is_that_of_a_common_error():
    # Every row of x shares c times the mean of y: variance of the mean 1/n + c^2/m, design effect 1 + c^2 n/m.
    n, m, c, replicates = 200, 400, 2.5, 200
    rng = np.random.default_rng(0)

    def judged(x, y):
        return x.x[:, 0] + c * y.x.mean()

    effects = []
    for _ in range(replicates):
        x, y = Points(rng.standard_normal((n, 1))), Points(rng.standard_normal((m, 1)))
        design = _groups.design(judged, x, y, at_least=2)
        assert design.groups == 10
        effects.append(design.effect)
    spread = math.sqrt(2 / (10 - 1) / replicates)  # of a variance from 10 groups, relative
    assert np.mean(effects) == pytest.approx(1 + c**2 * n / m, rel=4 * spread)


def test_independent_rows_have_wilsons_interval_at_the_quantile_of_t():
    x, y = (Points(f) for f in features()[:2])
    measure = _groups.share(lambda a, b: a.x[:, 0] > 0, x, y, 2, {})
    n, p, z = len(x), measure.value, 2.7764451051977987  # t with 4 degrees of freedom
    n /= measure.details["design_effect"]
    # Wilson's ends solve |p - q| = z sqrt(q (1 - q) / n).
    for q in measure.ci95:
        assert abs(p - q) == pytest.approx(z * math.sqrt(q * (1 - q) / n), rel=1e-12)


# Authenticity


def test_authenticity_by_hand():
    # Nearest others of 0, 1, 10: 1, 1, 9 away. Authentic are 2.5 (1.5 from 1) and 30 (20 from 10); not 0.4,
    # not 18 (8 from 10), and not 2, which is just as far from 1 as 0 is.
    measure = authenticity.compute(line(0.4, 2, 2.5, 18, 30), line(0, 1, 10))["authenticity"]
    assert measure.value == 40
    assert measure.stderr == pytest.approx(100 * math.sqrt(0.4 * 0.6 / 5), rel=1e-15)


def test_authenticity_is_that_of_all_distances():
    x, train, _ = features(d=3)
    to_train = cdist(x.astype(np.float64), train.astype(np.float64))
    j = to_train.argmin(1)
    expected = 100 * np.mean(own_distances(train.astype(np.float64))[j, 0] < to_train.min(1))
    assert authenticity.compute(x, train)["authenticity"].value == pytest.approx(expected, rel=1e-13)
    assert 0 < expected < 100


# Realism


def realism_by_definition(x, train, k):
    x, train = x.astype(np.float64), train.astype(np.float64)
    radii = own_distances(train)[:, k - 1]
    narrow = radii <= np.median(radii)
    with np.errstate(divide="ignore"):
        return (radii[narrow] / cdist(x, train[narrow])).max(1)


@pytest.mark.parametrize(("d", "k"), [(2, 3), (8, 1), (64, 5)])
def test_realism_is_that_of_all_distances(d, k):
    x, train, _ = features(d=d)
    expected = realism_by_definition(x, train, k)
    np.testing.assert_allclose(realism.scores(x, train, k), expected, rtol=1e-12)
    measure = realism.compute(x, train, k)["realism"]
    assert measure.value == pytest.approx(np.median(expected), rel=1e-12)
    assert measure.details["most_realistic"] == np.argsort(-expected)[:10].tolist()
    assert measure.details["least_realistic"] == np.argsort(expected)[:10].tolist()
    assert measure.details["share_at_least_1"] == np.mean(expected >= 1)


def test_realism_by_hand():
    # Nearest others of 0, 1, 3, 7: 1, 1, 2, 4 away; the median radius is 1.5, so 0 and 1 keep their balls.
    # 5 is nearest to them at 4 from 1; 0.5 lies halfway; 1 is a centre itself.
    assert realism.scores(line(5, 0.5, 1), line(0, 1, 3, 7), k=1).tolist() == [1 / 4, 2, math.inf]


def test_realism_keeps_its_digits_far_from_the_origin_and_beside_an_outlier():
    # In float32 the distances round to 1e5 in the first case and to 1e3 in the second.
    x, train, _ = (f.astype(np.float64) for f in features())
    expected = realism_by_definition(x, train, 3)
    np.testing.assert_allclose(realism.scores(x + 1e9, train + 1e9), expected, rtol=1e-5)  # the input's own rounding
    train[0] = 1e5
    np.testing.assert_allclose(realism.scores(x, train), realism_by_definition(x, train, 3), rtol=1e-12)


def test_realism_of_copies_is_infinite_and_of_what_lies_off_a_point_is_zero():
    one, other = np.full((5, 3), 0.1), np.full((5, 3), 0.2)
    assert realism.scores(one, one.copy()).tolist() == [math.inf] * 5
    assert realism.scores(other, one).tolist() == [0] * 5
    x = features()[1]
    measure = realism.compute(x, x.copy())["realism"]  # half of the balls are kept, and half of the copies lie in them
    assert measure.n_nonfinite == 100
    assert measure.value == math.inf
    assert measure.ci95 is None


def test_the_interval_of_a_median_is_that_of_order_statistics():
    # 1..100: P(at most 39 of 100 fair coins) = 0.0176, of 40: 0.0284; so ranks 40 and 61 (Conover 1999, 3.2).
    measure = realism.median(np.random.default_rng(0).permutation(100) + 1.0, {})
    assert measure.value == 50.5
    assert measure.ci95 == (40, 61)
    assert realism.median(np.arange(6.0), {}).ci95 == (0, 5)  # 1 - 2/64
    assert realism.median(np.arange(5.0), {}).ci95 is None  # 1 - 2/32 is less


# Near duplicates


def near_by_definition(x, train, test, neighbours, alpha):
    x, train, test = (a.astype(np.float64) for a in (x, train, test))
    scale = own_distances(train)[:, :neighbours].mean(1)

    def relative(a):
        d = cdist(a, train)
        return d.min(1) / scale[d.argmin(1)]

    threshold = min(alpha, np.sort(relative(test))[math.floor(0.01 * (len(test) - 1))])
    among = own_distances(x)[:, 0] / scale[cdist(x, train).argmin(1)]
    return np.mean(relative(x) <= threshold), np.mean(among <= threshold), threshold


@pytest.mark.parametrize("d", [2, 8])
def test_near_duplicates_are_those_of_all_distances(d):
    x, train, test = features(d=d, shift=0, scale=1)
    x[:30] = train[:30] + 1e-3
    x[40:60] = x[:20]
    near, among, threshold = near_by_definition(x, train, test, 20, 0.3)
    ours = near_duplicates.compute(x, train, test, neighbours=20, alpha=0.3)
    assert ours["near_duplicates"].value == near >= 50 / 150
    assert ours["self_duplicates"].value == among >= 40 / 150
    assert ours["near_duplicates"].details["threshold"] == pytest.approx(threshold, rel=1e-12)
    assert ours["self_duplicates"].details["exact"] == 40 / 150


def test_about_many_copies_only_exact_ones_are_near():
    # 6 copies of 0 have 5 neighbours at distance 0, and so no scale. What equals 0 is at ratio 0 and what
    # lies beside it is infinitely far; 100 is one of the others, with a scale of its own.
    train = line(*[0.0] * 6, *(100 + 3 * np.arange(8)))
    test = line(1e-3, *[1e5] * 99)
    found = near_duplicates.compute(line(0, 0, 1e-9, 100.5, 300), train, test, neighbours=5)
    assert found["near_duplicates"].details["threshold"] == 0.5
    assert found["near_duplicates"].value == 3 / 5
    assert found["near_duplicates"].details["exact"] == 2 / 5
    assert found["self_duplicates"].value == 2 / 5
    exact = near_duplicates.compute(line(0, 0.1, 300), train, line(*[0.0] * 3, *[1e5] * 97), neighbours=5)
    assert exact["near_duplicates"].details["threshold"] == 0  # the 1 % quantile of ratios
    assert exact["near_duplicates"].value == 1 / 3


def test_near_duplicates_do_not_depend_on_the_scale_of_the_features():
    x, train, test = features(shift=0, scale=1)
    x[:30] = train[:30] + 0.02
    a, b = near_duplicates.compute(x, train, test), near_duplicates.compute(*(1024 * f for f in (x, train, test)))
    assert [m.value for m in a.values()] == [m.value for m in b.values()]
    assert a["near_duplicates"].value >= 30 / 150


def test_fresh_data_has_no_more_near_duplicates_than_one_in_a_hundred():
    # In 2 dimensions half the distance to 50 neighbours would take in nearly everything. The threshold is
    # the 20th of 2,000 distances, so that a fresh sample passes with probability 20/2001, whatever the data.
    x, train, test = features((2000, 3000, 2000), d=2, shift=0, scale=1)
    value = near_duplicates.compute(x, train, test)["near_duplicates"].value
    assert value == pytest.approx(0.01, abs=4 * math.sqrt(0.01 / 2000 + 0.01 / 2000))  # of samples and of threshold


def test_near_duplicates_among_samples_are_counted_by_twos():
    _, train, test = features()
    x = np.random.default_rng(5).standard_normal((100, 8)) * 50  # so far apart that none is near another
    x[1], x[3] = x[0], x[2]
    x[5] = x[6] = x[4]
    measure = near_duplicates.compute(x, train, test)["self_duplicates"]
    assert measure.value == 7 / 100
    assert measure.details["in_pairs"] == pytest.approx(4 / 7)
    # Two pairs count 2 each and three rows 1 each: a variance of (2 * 2^2 + 3 * 1^2) / n^2 = 11/7 of 7 rows' own.
    assert measure.stderr == pytest.approx(math.sqrt(11 / 7 * 0.07 * 0.93 / 100), rel=1e-12)


def test_samples_that_are_all_the_same_are_all_near_duplicates_of_each_other():
    x, train, test = features()
    measure = near_duplicates.compute(np.repeat(x[:1], 50, 0), train, test)["self_duplicates"]
    assert measure.value == 1
    assert measure.ci95[0] > 0.9


# Data copying


def ct_of_the_authors(x, train, test, cells=3):
    """C_T in the steps of its authors' code, by sklearn and scipy."""
    x, train, test = (a.astype(np.float64) for a in (x, train, test))
    if train.shape[1] > 64:
        pca = PCA(64, svd_solver="full").fit(train)
        x, train, test = (pca.transform(a) for a in (x, train, test))
    kmeans = KMeans(cells, n_init=10, random_state=1).fit(train)
    total = weight = 0
    for c in range(cells):
        g, t, real = (a[kmeans.predict(a) == c] for a in (x, train, test))
        if len(g) / len(x) <= 20 / len(x) or len(real) == 0:
            continue
        index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(t)
        u = mannwhitneyu(index.kneighbors(g)[0][:, 0], index.kneighbors(real)[0][:, 0]).statistic
        n, m = len(g), len(real)
        total += m * (u - (n * m / 2 - 0.5)) / math.sqrt(n * m * (n + m + 1) / 12)
        weight += m
    return total / weight


def blobs(sizes, d, seed=0):
    """Three kinds of examples so far apart that any start of k-means finds them, in unequal numbers."""
    rng = np.random.default_rng(seed)
    centres = 10 * rng.standard_normal((3, d))
    return [centres[rng.choice(3, n, p=[0.5, 0.3, 0.2])] + rng.standard_normal((n, d)) for n in sizes]


@pytest.mark.parametrize(("d", "cells"), [(8, 3), (100, 3), (8, 1)])
def test_data_copying_is_that_of_its_authors(d, cells):
    x, train, test = blobs((150, 200, 120), d)
    ours = data_copying.compute(x, train, test, cells=cells)["data_copying"]
    assert ours.value == pytest.approx(ct_of_the_authors(x, train, test, cells), rel=1e-9)
    assert len(ours.details["cells"]) == cells


def test_principal_axes_are_the_leading_ones_and_no_more_than_the_rank():
    rng = np.random.default_rng(0)
    train = Points(rng.standard_normal((40, 6)) * [1, 9, 2, 7, 3, 5] + 4)
    axes = data_copying.principal_axes(train, 3)
    peer = PCA(3, svd_solver="full").fit(train.x).components_
    np.testing.assert_allclose(np.abs(axes[:, ::-1].T @ peer.T), np.eye(3), atol=1e-9)
    assert data_copying.principal_axes(Points(train.x[:4]), 5).shape == (6, 3)


@pytest.mark.parametrize("d", [64, 65])
def test_wider_features_go_to_their_components_on_the_training_set(d):
    x, train, test = blobs((150, 200, 120), d, seed=3)
    pca = PCA(64, svd_solver="full").fit(train)
    whole = [pca.transform(a) for a in (x, train, test)] if d > 64 else [x, train, test]
    ours = data_copying.compute(x, train, test)["data_copying"]
    assert ours.value == pytest.approx(data_copying.compute(*whole)["data_copying"].value, rel=1e-9)


def test_a_cell_with_few_samples_is_left_out():
    x, train, test = blobs((150, 200, 120), 8)
    cell = KMeans(3, n_init=10, random_state=0).fit(train).predict(x)
    x = np.concatenate([x[cell == 0][:20], x[cell != 0]])
    ours = data_copying.compute(x, train, test)["data_copying"]
    assert ours.details["samples_left_out"] == 20
    assert len(ours.details["cells"]) == 2
    assert ours.value == pytest.approx(ct_of_the_authors(x, train, test), rel=1e-9)


def test_data_copying_of_one_cell_by_hand():
    # All 50 samples lie on training examples and none of the 30 test examples: U = 0. Far off, U = 50 * 30.
    x, train, test = features((50, 50, 30))
    measure = data_copying.compute(train, train.copy(), test, cells=1)["data_copying"]
    assert measure.value == pytest.approx((0.5 - 50 * 30 / 2) / math.sqrt(50 * 30 * 81 / 12), rel=1e-12)
    assert measure.details["null_sd"] == 1
    far = data_copying.compute(x + 100, train, test, cells=1)["data_copying"]
    assert far.value == pytest.approx((50 * 30 - 50 * 30 / 2 + 0.5) / math.sqrt(50 * 30 * 81 / 12), rel=1e-12)


def test_placements_sum_to_scipys_statistic_with_ties():
    rng = np.random.default_rng(0)
    a, b = (np.sort(rng.integers(0, 12, n).astype(float)) for n in (40, 55))
    expected = mannwhitneyu(a, b).statistic
    assert data_copying.placements(a, b).sum() == expected
    assert data_copying.placements(b, a, above=False).sum() == expected


def test_the_jackknife_leaves_out_each_row_in_turn():
    rng = np.random.default_rng(0)
    samples = [np.sort(rng.random(n)) for n in (25, 30, 40)]
    tests = [np.sort(rng.random(n)) for n in (20, 1, 35)]

    def ct(samples, tests):
        z, m = [], [len(b) for b in tests]
        for a, b in zip(samples, tests, strict=True):
            u = (a[:, None] > b).sum()
            z.append((u - len(a) * len(b) / 2 + 0.5) / math.sqrt(len(a) * len(b) * (len(a) + len(b) + 1) / 12))
        return np.dot(m, z) / sum(m)

    def left_out(parts):
        for c, part in enumerate(parts):
            for i in range(len(part)):
                rest = [np.delete(p, i) if q == c else p for q, p in enumerate(parts)]
                keep = [q for q, p in enumerate(rest) if len(p)]
                yield rest, keep

    def pick(parts, keep):
        return [parts[q] for q in keep]

    n, m = 100, 60  # five samples and four test examples lie in cells that are not kept
    here = ct(samples, tests)
    by_sample = [ct(pick(rest, keep), pick(tests, keep)) for rest, keep in left_out(samples)] + [here] * 5
    by_test = [ct(pick(samples, keep), pick(rest, keep)) for rest, keep in left_out(tests)] + [here] * 4
    U = [data_copying.placements(a, b) for a, b in zip(samples, tests, strict=True)]
    V = [data_copying.placements(b, a, above=False) for a, b in zip(samples, tests, strict=True)]
    expected = (n - 1) * np.var(by_sample) + (m - 1) * np.var(by_test)
    assert data_copying.jackknife(U, V, n, m) == pytest.approx(expected, rel=1e-9)


def test_data_copying_of_fresh_data_has_the_spread_of_its_null():
    replicates = 60
    found = [
        data_copying.compute(*blobs((150, 200, 120), 3, seed), cells=1)["data_copying"] for seed in range(replicates)
    ]
    spread = np.std([m.value for m in found], ddof=1)
    error = 4 / math.sqrt(2 * replicates)
    assert spread == pytest.approx(1, rel=error)
    assert np.mean([m.stderr for m in found]) == pytest.approx(spread, rel=error)


def test_too_few_samples_for_any_cell_is_an_error():
    x, train, test = blobs((30, 200, 120), 8)
    with pytest.raises(GenbenchError, match="no cell has more than 20 samples"):
        data_copying.compute(x[:20], train, test)


# What all of them have in common


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_planted_copies_far_from_the_origin_are_found_at_distance_zero(dtype):
    rng = np.random.default_rng(0)
    train = (rng.standard_normal((300, 64)) + 5).astype(dtype)
    test = (rng.standard_normal((100, 64)) + 5).astype(dtype)
    x = (rng.standard_normal((200, 64)) + 5).astype(dtype)
    x[:80] = train[100:180]
    assert authenticity.compute(x, train)["authenticity"].details["at_distance_0"] == 80 / 200
    near = near_duplicates.compute(x, train, test)["near_duplicates"]
    assert near.details["exact"] == near.value == 80 / 200
    for cell in data_copying.compute(x[:80], train, test)["data_copying"].details["cells"]:
        n, m = cell["n_samples"], cell["n_test"]
        assert cell["z"] == pytest.approx((0.5 - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12), rel=1e-12)
    assert authenticity.compute(x[:80], train)["authenticity"].value == 0
    narrow = own_distances(train.astype(np.float64))[:, 2]
    kept = narrow <= np.median(narrow)
    assert np.isinf(realism.scores(x, train)).nonzero()[0].tolist() == np.flatnonzero(kept[100:180]).tolist()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("d", [2, 100])
def test_neither_the_order_of_rows_nor_the_tiles_change_anything(metric, d):
    arrays = blobs((150, 200, 120), d)
    rng = np.random.default_rng(1)
    once = compute(metric, *arrays)
    shuffled = compute(metric, *(a[rng.permutation(len(a))] for a in arrays))
    tiled = compute(metric, *(Points(a, tile=(16, 9)) for a in arrays))
    for other in (shuffled, tiled):
        for name, measure in once.items():
            assert other[name].value == pytest.approx(measure.value, rel=1e-10)
            assert other[name].stderr == pytest.approx(measure.stderr, rel=1e-10)
            assert other[name].ci95 == pytest.approx(measure.ci95, rel=1e-10)


@pytest.mark.parametrize("metric", METRICS)
def test_inputs_that_give_no_number_are_errors(metric):
    good = features((70, 70, 70))
    for which in range(len(metric.NEEDS)):

        def spoilt(by, which=which):
            return compute(metric, *(by(a) if i == which else a for i, a in enumerate(good)))

        def with_nan(a):
            a = a.copy()
            a[3, 2] = np.nan
            return a

        with pytest.raises(ModelError, match="1 values are NaN"):
            spoilt(with_nan)
        for wrong in (lambda a: a[0], lambda a: a[:, :3], lambda a: a[:, None], lambda a: a[:, :0], lambda a: a > 0):
            with pytest.raises(ValueError, match=r"expected numbers|different widths"):
                spoilt(wrong)
        with pytest.raises(GenbenchError, match="at least"):
            spoilt(lambda a: a[:0])


@pytest.mark.parametrize("metric", [data_copying, density_coverage, near_duplicates, realism])
def test_two_rows_are_an_error_that_says_what_to_do(metric):
    with pytest.raises(GenbenchError, match="samples") as error:
        compute(metric, *features((2, 2, 2)))
    assert "--samples" in error.value.remedy


def test_two_rows_have_an_authenticity():
    # The two training examples are 1 apart; the samples are 0.5 and 2 from the nearer one.
    assert authenticity.compute(line(0.5, 3), line(0, 1))["authenticity"].value == 50


@pytest.mark.parametrize("metric", METRICS)
def test_inputs_are_not_changed(metric):
    arrays = features((100, 120, 80), d=80)
    before = [a.copy() for a in arrays]
    compute(metric, *arrays)
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("metric", METRICS)
def test_identical_and_constant_features_give_documented_values(metric):
    x = np.full((70, 80), 0.1)
    measures = compute(metric, x, x.copy(), x.copy())
    expected = {
        "density": 0,
        "coverage": 0,
        "authenticity": 0,  # every distance is 0, and none below another
        "realism": math.inf,
        "near_duplicates": 1,
        "self_duplicates": 1,
        "data_copying": 0.5 / math.sqrt(70 * 70 * 141 / 12),  # all tied: U is n m / 2, but for continuity
    }
    for name, measure in measures.items():
        assert measure.value == pytest.approx(expected[name], rel=1e-12)


def test_the_cells_of_data_copying_part_the_training_set():
    x = np.concatenate([np.random.default_rng(c).standard_normal((25, 2)) + 40 * c for c in range(4)])
    cells = data_copying.part(Points(x), cells=4, components=5, seed=0)
    found = sorted((float(cell.x.mean() // 20), len(cell)) for cell in cells.train)
    assert [n for _, n in found] == [25, 25, 25, 25]
    for centre, cell in zip(cells.centres, cells.train, strict=True):
        np.testing.assert_allclose(cell.x.mean(0), centre, atol=1e-4)
