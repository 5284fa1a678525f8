"""Sample metrics, against the peers on the same features, closed forms, hand arithmetic and simulation."""

import contextlib
import functools
import io
import math
import warnings

import numpy as np
import prdc
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.stats import chi2

from genbench import datasets
from genbench.errors import GenbenchError, ModelError
from genbench.features import _torchvision
from genbench.metrics import classes, copies, fd, inception_score, kd, memorisation, modes, precision_recall
from genbench.metrics._histogram import kl_of_counts
from genbench.metrics._inputs import are_examples
from genbench.numerics.kernels import Cubic
from genbench.numerics.points import Points

FEATURE_METRICS = {"fd": fd, "kd": kd, "precision_recall": precision_recall}


@functools.cache
def fidelity(module: str):
    """A module of torch-fidelity, imported beside whatever torch is here."""
    _torchvision.make_importable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer's, not ours
        return __import__(f"torch_fidelity.{module}", fromlist=["_"])


def features(n, m, d, seed=0, shift=0.3, scale=1.2):
    """A full-rank pair with unlike spectra and means."""
    rng = np.random.default_rng(seed)
    sd = np.linspace(0.2, 2, d)
    x = rng.standard_normal((n, d)) * sd * scale + shift
    return x.astype(np.float32), (rng.standard_normal((m, d)) * sd).astype(np.float32)


# The shim


def test_torch_fidelity_computes_beside_this_torch():
    metric_fid = fidelity("metric_fid")
    # Two Gaussians in one dimension, means 0 and 2, variances 1 and 4: 2^2 + (1 - 2)^2 = 5.
    a = {"mu": np.array([0.0]), "sigma": np.array([[1.0]])}
    b = {"mu": np.array([2.0]), "sigma": np.array([[4.0]])}
    assert metric_fid.fid_statistics_to_metric(a, b, False)["frechet_inception_distance"] == pytest.approx(5, rel=1e-12)


def test_operators_are_defined_only_where_they_are_missing():
    _torchvision.make_importable()
    assert _torchvision.make_importable.__wrapped__() is False  # they are there by now
    assert hasattr(torch.ops.torchvision, "nms")


# Fréchet distance


def test_fd_is_torch_fidelitys_and_scipys():
    x, y = (f.astype(np.float64) for f in features(200, 300, 40))
    f = fidelity("metric_fid")
    stats = [f.fid_features_to_statistics(torch.from_numpy(a)) for a in (x, y)]
    peer = f.fid_statistics_to_metric(*stats, False)["frechet_inception_distance"]
    S1, S2 = np.cov(x.T), np.cov(y.T)
    scipys = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(S1 + S2 - 2 * sqrtm(S1 @ S2).real)
    ours = fd.compute(x, y)["fd"].value
    assert ours == pytest.approx(peer, rel=1e-8)
    assert ours == pytest.approx(scipys, rel=1e-8)


def test_fd_of_commuting_covariances_in_closed_form():
    # x and y = c + x diag(s) have S2 = diag(s) S1 diag(s); with S1 diagonal both commute and
    # FD = |c|^2 + sum_i (sd_i - s_i sd_i)^2. Rows +-e_i make the covariance diagonal exactly.
    d = 6
    x = np.concatenate([np.eye(d), -np.eye(d)]) * np.arange(1, d + 1)
    s, c = np.linspace(0.5, 3, d), np.linspace(-1, 1, d)
    sd = np.sqrt(2 * np.arange(1, d + 1) ** 2 / (2 * d - 1))
    expected = (c**2).sum() + ((sd - s * sd) ** 2).sum()
    assert fd.compute(x * s + c, x)["fd"].value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "d"), [(200, 20), (20, 200), (21, 20), (2, 5)])
def test_fd_of_a_set_with_itself_is_zero(n, d):
    x = np.random.default_rng(1).standard_normal((n, d))
    x[:, 1] = x[:, 0]  # a repeated and a constant feature: singular at any n
    x[:, 2] = 0.1
    assert abs(fd.compute(x, x.copy())["fd"].value) < 1e-9
    assert abs(fd.compute(x, x[::-1].copy())["fd"].value) < 1e-9


@pytest.mark.usefixtures("parted_by_place")
def test_fd_with_fewer_rows_than_features_is_that_of_an_isometric_copy():
    # Zero features added and the axes rotated change no distance, but move from n > d to n <= d.
    x, y = (f.astype(np.float64) for f in features(30, 40, 10))
    Q = np.linalg.qr(np.random.default_rng(2).standard_normal((80, 80)))[0]
    wide = [np.pad(f, ((0, 0), (0, 70))) @ Q for f in (x, y)]
    a, b = fd.compute(x, y)["fd"], fd.compute(*wide)["fd"]
    assert b.value == pytest.approx(a.value, rel=1e-10)
    assert b.stderr == pytest.approx(a.stderr, rel=1e-6)  # halves of 15 rows go by another of the three ways


@pytest.mark.parametrize(
    ("n", "m", "d", "shift", "scale"), [(300, 300, 8, 0.3, 1.2), (200, 200, 48, 0.1, 1.1), (60, 60, 90, 0.1, 1.1)]
)
def test_fd_standard_error_is_within_a_quarter_of_the_true_spread(n, m, d, shift, scale):
    # 60 replicates know their own spread to 1/sqrt(2 60) = 9 %; the mean stderr is known better.
    results = [fd.compute(*features(n, m, d, seed, shift, scale))["fd"] for seed in range(60)]
    spread = np.std([r.value for r in results], ddof=1)
    assert np.mean([r.stderr for r in results]) == pytest.approx(spread, rel=0.25)


def test_fd_of_very_few_rows_says_why_it_has_no_interval():
    measure = fd.compute(np.eye(3), np.eye(3)[:2])["fd"]
    assert measure.stderr is None
    assert measure.ci_method.startswith("none: ")


# Kernel distance


def test_kd_of_subsets_is_torch_fidelitys():
    x, y = features(200, 150, 16)
    f = fidelity("metric_kid")
    peer = f.kid_features_to_metric(
        torch.from_numpy(x), torch.from_numpy(y), kid_subsets=10, kid_subset_size=50, rng_seed=2020, verbose=False,
        kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1,
    )  # fmt: skip
    ours = kd.compute(x, y, subsets=10, subset_size=50)["kd"]
    assert ours.value == pytest.approx(peer["kernel_inception_distance_mean"], rel=1e-6)
    assert ours.details["subset_std"] == pytest.approx(peer["kernel_inception_distance_std"], rel=1e-6)


def test_kd_is_the_u_statistic_by_its_definition():
    x, y = (f.astype(np.float64) for f in features(6, 5, 3))

    def k(a, b):
        return (a @ b / 3 + 1) ** 3

    xx = np.mean([k(x[i], x[j]) for i in range(6) for j in range(6) if i != j])
    yy = np.mean([k(y[i], y[j]) for i in range(5) for j in range(5) if i != j])
    xy = np.mean([k(a, b) for a in x for b in y])
    assert kd.compute(x, y)["kd"].value == pytest.approx(xx + yy - 2 * xy, rel=1e-12)


def test_the_first_order_variance_of_kd_is_the_delete_one_jackknife():
    x, y = features(12, 9, 4)
    without_x = [kd.compute(np.delete(x, i, 0), y)["kd"].value for i in range(12)]
    without_y = [kd.compute(x, np.delete(y, i, 0))["kd"].value for i in range(9)]
    X, Y = Points(x), Points(y)
    assert kd.jackknife(X, Y, Cubic()) == pytest.approx(11 * np.var(without_x), rel=1e-9)
    assert kd.jackknife(Y, X, Cubic()) == pytest.approx(8 * np.var(without_y), rel=1e-9)


def test_kd_standard_error_is_within_a_quarter_of_the_true_spread():
    results = [kd.compute(*features(150, 150, 8, seed))["kd"] for seed in range(100)]
    spread = np.std([r.value for r in results], ddof=1)
    assert np.mean([r.stderr for r in results]) == pytest.approx(spread, rel=0.25)


# Inception score


def test_inception_score_is_torch_fidelitys():
    logits = (np.random.default_rng(0).standard_normal((1003, 10)) * 3).astype(np.float32)
    peer = fidelity("metric_isc").isc_features_to_metric(torch.from_numpy(logits))
    ours = inception_score.compute(logits)["is"]
    assert ours.value == pytest.approx(peer["inception_score_mean"], rel=1e-9)
    assert ours.details["std_ddof0"] == pytest.approx(peer["inception_score_std"], rel=1e-9)
    assert ours.stderr == pytest.approx(peer["inception_score_std"] / math.sqrt(9), rel=1e-9)  # ddof 0 -> 1


def test_inception_score_of_certain_and_of_ignorant_classifiers():
    certain = np.tile(1000.0 * np.eye(5), (20, 1))  # one part: all five classes alike often -> 5
    assert inception_score.compute(certain, splits=1)["is"].value == pytest.approx(5, rel=1e-12)
    assert inception_score.compute(np.ones((40, 5)))["is"].value == pytest.approx(1, rel=1e-12)
    assert inception_score.compute(certain, splits=1)["is"].ci95 is None


# Precision and recall


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_are_the_peers_exactly(k):
    x, y = (f.astype(np.float64) for f in features(150, 150, 6))
    ours = precision_recall.compute(x, y, k=k)
    f = fidelity("metric_prc")
    # No ties in random data, so prdc's `<` and torch-fidelity's `<=` agree.
    assert (ours["precision"].value, ours["recall"].value) == pytest.approx(
        f.calculate_precision_recall_full(torch.from_numpy(x), torch.from_numpy(y), k),
        rel=1e-6,  # a float32 mean
    )
    with contextlib.redirect_stdout(io.StringIO()):
        peer = prdc.compute_prdc(y, x, k)
    assert ours["precision"].value == peer["precision"]
    assert ours["recall"].value == peer["recall"]
    assert 0 < ours["precision"].value < 1


def test_precision_of_planted_faults():
    x = np.random.default_rng(0).standard_normal((100, 4)) + 5
    assert {m.value for m in precision_recall.compute(x, x.copy()).values()} == {1.0}
    half_off = np.concatenate([x[:50], x[:50] + 1000])
    assert precision_recall.compute(half_off, x)["precision"].value == 0.5


def test_coinciding_points_have_balls_that_hold_exactly_their_copies():
    one, other = np.full((5, 3), 0.1), np.full((5, 3), 0.2)
    assert precision_recall.compute(one, one.copy())["precision"].value == 1
    assert precision_recall.compute(other, one)["precision"].value == 0


# What all of them have in common


@pytest.mark.parametrize("name", FEATURE_METRICS)
@pytest.mark.parametrize(("n", "d"), [(60, 8), (20, 40)])
def test_the_order_of_rows_changes_nothing(name, n, d):
    x, y = features(n, n + 5, d)
    rng = np.random.default_rng(0)
    a = FEATURE_METRICS[name].compute(x, y)
    b = FEATURE_METRICS[name].compute(x[rng.permutation(n)], y[rng.permutation(n + 5)])
    for output in a:
        assert b[output].value == pytest.approx(a[output].value, rel=1e-10)


@pytest.mark.parametrize("metric", [*FEATURE_METRICS.values(), memorisation])
def test_inputs_that_give_no_number_are_errors(metric):
    good = np.random.default_rng(0).standard_normal((30, 4))
    rest = [good] * (len(metric.NEEDS) - 1)
    bad = good.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ModelError, match="1 values are NaN"):
        metric.compute(bad, *rest)
    for wrong in (good[0], good[:, :3], good[:, None], good[:, :0]):
        with pytest.raises(ValueError, match=r"expected numbers|different widths"):
            metric.compute(wrong, *rest)
    with pytest.raises(GenbenchError, match="at least"):
        metric.compute(good[:1], *rest)


def test_inputs_are_not_changed():
    x, y = features(30, 40, 4)
    before = x.copy(), y.copy()
    for metric in FEATURE_METRICS.values():
        metric.compute(x, y)
    memorisation.compute(x, y, x)
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("metric", [fd, kd])
def test_identical_points_are_at_distance_zero(metric):
    for n, d in ((8, 3), (3, 8)):
        x = np.full((n, d), 0.1)
        (measure,) = metric.compute(x, x.copy()).values()
        assert measure.value == pytest.approx(0, abs=1e-12)
        assert measure.stderr is None or measure.stderr == pytest.approx(0, abs=1e-12)


# Copies


def test_copies_counts_rows_that_are_equal_in_every_value():
    train = np.arange(24, dtype=np.float32).reshape(6, 1, 2, 2)
    samples = np.concatenate([train[:2], -train[:1], train[2:4] + np.float32(1e-4), train[:1]])
    # 0: equal; 1: equal; 2: (0, -1, -2, -3) differs; 3, 4: near only; 5: equal. 3 of 6; 5 distinct rows.
    measure = copies.compute(samples, train, test=-train)["copies"]
    assert measure.value == 3 / 6
    assert measure.details["share_of_test"] == 1 / 6
    assert measure.details["distinct"] == 5 / 6
    assert copies.compute(-np.zeros((1, 2)), np.zeros((1, 2)), np.ones((1, 2)))["copies"].value == 1  # -0.0 is 0.0


def test_copies_of_another_space_are_an_error():
    x = np.zeros((3, 4), dtype=np.uint8)
    with pytest.raises(ValueError, match="different spaces"):
        copies.compute(x, x.astype(np.float32), x)
    with pytest.raises(GenbenchError, match="at least 1"):
        copies.compute(x, x[:0], x)


# Memorisation


@pytest.fixture(scope="module")
def digits():
    data = datasets.load("digits")
    return [data.split(split).reshape(-1, 64).astype(np.float32) for split in ("train", "validation", "test")]


def memorised(samples, digits):
    train, _, test = digits
    return memorisation.compute(samples.astype(np.float32), train, test)["memorisation"]


def test_real_data_are_at_zero_within_their_interval(digits):
    for real in digits[1:]:
        measure = memorised(real, digits)
        assert measure.ci95[0] < 0 < measure.ci95[1]
        assert not measure.details["flagged"]
    assert memorised(digits[2] * (1 + 1e-7), digits).details["samples_are_test"]


def test_rows_are_examples_up_to_the_rounding_of_features():
    # The data's spread is sqrt d, of which 1e-5 is let pass.
    data = np.random.default_rng(0).standard_normal((50, 9))
    spread = math.sqrt(data.var(0).sum())
    for step, expected in ((0, True), (0.9e-5, True), (1.1e-5, False)):
        moved = data[:20].copy()
        moved[7, 3] += step * spread  # one is enough
        assert are_examples(Points(moved), Points(data)) is expected
    assert not are_examples(Points(data), Points(data[1:]))


def test_a_resampler_is_at_one_with_and_without_noise(digits):
    rng = np.random.default_rng(0)
    resampled = digits[0][rng.integers(len(digits[0]), size=500)]
    for noise in (0, 1, 2):
        measure = memorised(resampled + noise * rng.standard_normal(resampled.shape), digits)
        assert measure.value > 0.97
        assert measure.details["flagged"]


def test_a_third_of_copies_is_flagged_and_measured(digits):
    rng = np.random.default_rng(0)
    samples = digits[1].copy()  # 200 fresh digits
    copied = rng.random(200) < 1 / 3
    samples[copied] = digits[0][rng.integers(len(digits[0]), size=copied.sum())]
    measure = memorised(samples, digits)
    assert measure.ci95[0] < copied.mean() < measure.ci95[1]
    assert measure.details["flagged"]


def test_blur_low_variance_and_independent_pixels_are_not_flagged(digits):
    train, fresh, _ = digits
    rng = np.random.default_rng(0)
    mean = train.mean(0)
    for samples in (
        mean + 0.5 * (fresh - mean),  # halfway to the mean: nearer to everything
        mean + 0.5 * rng.standard_normal((500, 64)),
        np.stack([rng.permutation(pixel)[:500] for pixel in train.T], 1),
        np.repeat(mean[None], 500, 0),
    ):
        assert not memorised(samples, digits).details["flagged"]


def test_memorisation_covers_zero_for_real_data_whatever_the_dataset():
    # Three data distributions, from ties everywhere to a heavy tail; 95 % of 90 intervals: 85.5 +- 2.1.
    covered = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        for draw in (
            lambda n, rng=rng: rng.integers(0, 2, (n, 4)),  # 16 states
            lambda n, rng=rng: rng.standard_t(2, (n, 5)),
            lambda n, rng=rng: rng.standard_normal((n, 20)),
        ):
            measure = memorisation.compute(draw(100), draw(150), draw(60))["memorisation"]
            covered += measure.ci95[0] <= 0 <= measure.ci95[1]
    assert covered >= 80


def on_a_line(*values):
    return np.array(values, dtype=np.float64)[:, None]


def test_memorisation_by_hand():
    # Of 12 samples 6 are nearest to the training example 0, 3 to 10, 1 to the test example 1000; two at 545 are as far
    # from 90 as from 1000: each counts 1/2, and both crowd about 90. So 9 + 1/2 + 1/2 of 12 lean on training data, of
    # which there are 10 in 22 examples.
    train = on_a_line(*range(0, 100, 10))
    test = on_a_line(*range(1000, 1120, 10))
    x = on_a_line(0.1, 0.2, 0.3, -0.1, -0.2, -0.3, 10.1, 10.2, 10.3, 1002, 545, 545)
    measure = memorisation.compute(x, train, test)["memorisation"]
    p, q, n_eff = 10 / 12, 10 / 22, 12**2 / (6**2 + 3**2 + 1 + 2**2)
    assert measure.details["n_eff"] == pytest.approx(n_eff, rel=1e-15)
    assert measure.details["share_nearest_train"] == pytest.approx(p, rel=1e-15)
    assert measure.details["expected_share"] == pytest.approx(q, rel=1e-15)
    assert measure.value == pytest.approx((p - q) / (1 - q), rel=1e-14)
    assert measure.stderr == pytest.approx(math.sqrt(p * (1 - p) / n_eff) / (1 - q), rel=1e-14)
    for end in measure.ci95:
        s = q + (1 - q) * end
        assert abs(p - s) == pytest.approx(1.959963984540054 * math.sqrt(s * (1 - s) / n_eff), rel=1e-12)
    # Test examples are 910, 920, ..., 1020 from 90; 1 % of the way up the 12 squares is 911.1^2, and 1002 is 912 away.
    assert measure.details["close"] == 11 / 12
    assert measure.details["median_distance_test_to_train"] == math.sqrt((960**2 + 970**2) / 2)


def test_memorisation_counts_equally_near_examples_by_their_parts():
    # 5 is as far from 0, 10 and 10 of the training set as from 0 of the test set: 3/4 of it leans on training data.
    train, test = on_a_line(0, 10, 10, *range(100, 170, 10)), on_a_line(0, *range(1000, 1090, 10))
    measure = memorisation.compute(on_a_line(*[5] * 10), train, test)["memorisation"]
    assert measure.details["share_nearest_train"] == 3 / 4
    assert measure.details["n_eff"] == 1  # all agree
    # Every test example is its own copy, and no neighbour of itself: the other at 0 and two of the training set.
    test = on_a_line(0, 0, *range(1000, 1080, 10))
    train = on_a_line(0, 0, *range(2000, 2080, 10))
    measure = memorisation.compute(test, train, test)["memorisation"]
    assert measure.details["samples_are_test"]
    assert measure.details["share_nearest_train"] == pytest.approx(2 * (2 / 3) / 10, rel=1e-15)
    assert measure.details["expected_share"] == 10 / 19


@pytest.mark.parametrize(
    ("leaning", "close", "flagged"),
    [(0.51, 0, True), (0.5, 0, False), (0.11, 0.06, True), (0.1, 1, False), (0.4, 0.05, False)],
)
def test_a_flag_is_raised_by_the_lower_ends_of_two_intervals(leaning, close, flagged):
    assert memorisation._flagged(leaning, close) is flagged


def test_intervals_of_memorisation_know_that_samples_crowd():
    # Samples of 20 places, 10 of each, all leaning on the example next to them: the spread of the value is that of 20
    # independent ones and not of 200. 100 replicates know it to 1/sqrt(200) = 7 %.
    found = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        train, test = (10 * rng.standard_normal((60, 8)) for _ in range(2))
        x = np.repeat(10 * rng.standard_normal((20, 8)), 10, 0) + 1e-3 * rng.standard_normal((200, 8))
        found.append(memorisation.compute(x, train, test)["memorisation"])
    spread = np.std([m.value for m in found], ddof=1)
    assert np.mean([m.stderr for m in found]) == pytest.approx(spread, rel=0.28)


# Classes and modes


def test_classes_by_hand():
    # 4 samples of class 0, 1 of class 1, 0 of class 2; training 1:1:2.
    # KL = 4/5 log(4/5 / 1/4) + 1/5 log(1/5 / 1/4) = 0.8 log 3.2 + 0.2 log 0.8
    logits = np.eye(3)[[0, 0, 1, 0, 0]]
    result = classes.compute(logits, np.array([0, 1, 2, 2]))
    assert (result["classes"].value, result["classes"].details["of"]) == (2, 3)
    assert result["classes_kl"].value == pytest.approx(0.8 * math.log(3.2) + 0.2 * math.log(0.8), rel=1e-12)
    assert result["classes_kl"].details["counts"] == [4, 1, 0]
    assert result["classes_kl"].details["bias"] == 1 / 10  # (2 classes seen - 1) / (2 * 5)


def test_a_class_that_training_lacks_is_infinitely_far():
    result = classes.compute(np.eye(3)[[0, 2]], np.array([0, 1]))
    assert result["classes"].value == 1
    assert result["classes_kl"].value == math.inf
    assert result["classes_kl"].ci95 is None


def test_labels_beyond_the_classifier_are_an_error():
    with pytest.raises(ValueError, match=r"integers 0\.\.2"):
        classes.compute(np.eye(3), np.array([0, 3]))


def test_modes_by_hand():
    # Modes at 0 and 10 on a line in the plane, sd 1: high quality within 3. Samples at 0, 3 (the edge
    # counts), 3.1 (too far), 9; and 100, nearest to the mode at 10. So 2 + 1 of high quality.
    # KL(2/3, 1/3 || 1/2, 1/2) = log 2 - H(1/3); of all samples 3:2.
    centres = np.array([[0.0, 0], [10, 0], [0, 50]])
    x = np.array([[0.0, 0], [3, 0], [3.1, 0], [9, 0], [100, 0]])
    result = modes.compute(x, (centres, 1.0))
    assert result["modes"].value == 2
    assert result["high_quality"].value == 3 / 5
    assert result["high_quality"].details["of_the_mixture"] == pytest.approx(1 - math.exp(-4.5))
    expected = 2 / 3 * math.log(2) + 1 / 3 * math.log(1)
    assert result["modes_kl"].value == pytest.approx(expected, rel=1e-12)
    everything = 3 / 5 * math.log(9 / 5) + 2 / 5 * math.log(6 / 5)
    assert result["modes_kl"].details["kl_of_all_samples"] == pytest.approx(everything, rel=1e-12)


def test_no_sample_near_a_mode_is_not_a_number():
    result = modes.compute(np.full((4, 2), 99.0), (np.zeros((1, 2)), 1.0))
    assert (result["modes"].value, result["high_quality"].value) == (0, 0)
    assert math.isnan(result["modes_kl"].value)
    assert result["modes_kl"].ci_method == "none: nothing was counted"


def test_the_mixture_itself_reaches_every_mode():
    ring = datasets.load("ring8")
    result = modes.compute(ring.test, ring.modes)
    assert result["modes"].value == 8
    quality = result["high_quality"]
    assert abs(quality.value - chi2.cdf(9, 2)) < 4 * quality.stderr
    # 2 n KL is chi-squared with 7 degrees of freedom: below its 99.9 % quantile.
    assert 2 * 2500 * result["modes_kl"].value < chi2.ppf(0.999, 7)


@pytest.mark.parametrize("counts", [[50, 30, 20, 0], [1, 99, 0, 0], [25, 30, 20, 25]])
def test_kl_has_the_variance_of_its_log_ratios_less_its_quadratic_part(counts):
    # Away from q the linear part rules; near it, in the last case, the quadratic one, r/(2 n^2), is all there is.
    q = np.array([0.25, 0.3, 0.2, 0.25])
    n, r = sum(counts), sum(c > 0 for c in counts) - 1
    p = np.array(counts) / n
    log_ratios = np.repeat(np.log(p, out=np.zeros(4), where=p > 0) - np.log(q), counts)  # of every row
    quadratic = r / (2 * n**2)
    measure = kl_of_counts(np.array(counts), q)
    assert measure.value == pytest.approx(log_ratios.mean(), rel=1e-12)
    assert measure.stderr == pytest.approx(math.sqrt(max(log_ratios.var() / n - quadratic, quadratic)), rel=1e-12)
    assert measure.details["bias"] == r / (2 * n)


@pytest.mark.parametrize("p", [np.full(20, 1 / 20), np.arange(1, 21) / 210])
def test_kl_standard_error_is_within_a_quarter_of_the_true_spread(p):
    # At p = q the linear variance V1 is 0 and the quadratic V2 rules; away from it V1 does. The floor
    # at V2 errs upwards: there by E max(Z, 0) = 0.4 sd of the estimate of V1, sd = 2 V2 sqrt(2/19).
    # So 1 + 0.4 * 0.65 = 1.26 in variance, 12 % in the standard error.
    rng = np.random.default_rng(0)
    centres = np.arange(20)[:, None] * 100.0
    results = [
        modes.compute(np.repeat(centres, rng.multinomial(400, p), axis=0), (centres, 1.0))["modes_kl"]
        for _ in range(400)
    ]
    spread = np.std([r.value for r in results], ddof=1)
    assert np.mean([r.stderr for r in results]) == pytest.approx(spread, rel=0.25)
