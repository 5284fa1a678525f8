"""Every interval against its standard error: each way to make one has a law that ties both ends to it.

The measures are those of the calibration cases, which every output that has an interval must have (`test_calibration`).
A law computes no end the way that the metric does: it solves for what the ends have in common, or puts them
into the equation that defines them.
"""

import functools
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, skew, t

from genbench import catalog
from genbench.metrics import (
    Measure,
    _groups,
    clipped_density_coverage,
    cmmd,
    density_coverage,
    fd,
    kd,
    mean,
    normal,
    normal_of_log,
    per_class,
    precision_recall,
    rfd,
    sliced_wasserstein,
    throughput,
    vendi,
)
from genbench.metrics._halves import corrected, of_square
from genbench.models.timing import Timings
from genbench.numerics.points import Points
from genbench.studies.calibration import distances, likelihoods, neighbours, shares
from pointsets import METRICS, SETS, measured

Z = float(norm.ppf(0.975))

# The ways to make an interval, on data of which all is known


@pytest.mark.parametrize("n", [2, 3, 30, 1000])
@pytest.mark.parametrize("draw", ["lognormal", "its mirror image", "normal"])
def test_the_interval_of_a_mean_is_halls(n, draw):
    rng = np.random.default_rng(n)
    x = rng.normal(size=n) if draw == "normal" else rng.lognormal(size=n)
    x = -x if draw == "its mirror image" else x
    m = mean(x)
    sd = x.std(ddof=1)
    assert m.value == pytest.approx(x.mean(), rel=1e-14)
    assert m.stderr == pytest.approx(sd / math.sqrt(n), rel=1e-14)
    c = skew(x) * ((n - 1) / n) ** 1.5  # with the sd of ddof 1
    reach = t.ppf(0.975, n - 1) / math.sqrt(n)

    def g(u):
        return u + c * u**2 / 3 + c**2 * u**3 / 27 + c / (6 * n)

    for end, tail in zip(m.ci95, (reach, -reach), strict=True):
        assert g((m.value - end) / sd) == pytest.approx(tail, rel=1e-9)


def test_the_interval_of_a_mean_without_skewness_is_that_of_t():
    x = np.array([-3.0, -1, 1, 3])
    half = t.ppf(0.975, 3) * math.sqrt(20 / 3 / 4)
    assert mean(x).ci95 == pytest.approx((-half, half), rel=1e-12)
    assert mean(x + 1e-9 * x**2).ci95 == pytest.approx((-half, half), rel=1e-6)  # no jump where the formula is 0/0
    flat = mean(np.full(5, 0.1))
    assert (flat.stderr, flat.ci95) == (0, (0.1, 0.1))


def test_a_mean_of_one_value_or_of_what_is_not_finite_has_no_interval():
    one = mean(np.array([2.0]), warnings=("kept",))
    assert (one.value, one.stderr, one.ci95, one.n_nonfinite, one.warnings) == (2, None, None, 0, ("kept",))
    bad = mean(np.array([1.0, np.inf, np.nan, 2.0]), kind="upper_bound")
    assert (bad.stderr, bad.ci95, bad.n_nonfinite, bad.kind) == (None, None, 2, "upper_bound")
    assert bad.ci_method == "none: 2 of 4 values are not finite"
    assert math.isnan(bad.value)
    assert mean(np.array([1.0, np.inf])).value == math.inf


def test_a_normal_interval_is_cut_where_the_value_cannot_be():
    half = 0.1959963984540054
    assert normal(0.05, 0.1).ci95 == pytest.approx((0.05 - half, 0.05 + half), rel=1e-15)
    assert normal(0.05, 0.1, least=0.0).ci95 == pytest.approx((0, 0.05 + half), rel=1e-15)
    assert normal(0.05, 0.1, least=-1.0, most=0.2).ci95 == pytest.approx((0.05 - half, 0.2), rel=1e-15)
    assert normal_of_log(2.0, 0.1, "").ci95 == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)), rel=1e-15)
    assert normal_of_log(2.0, 0.1, "").stderr == 0.2


@pytest.mark.parametrize(("value", "stderr"), [(4.0, 0.4), (0.01, 0.02), (0.0, 0.0), (-1e-17, 1e-9)])
def test_a_squared_distance_has_the_interval_of_its_root(value, stderr):
    # d(root) = d(square) / 2 root: 2 +- 1.96 * 0.1; 0.1 - 0.196 is cut at 0; a square of 0, or below, is 0 alone.
    low, high = of_square(value, stderr, "", {}).ci95
    if value > 0:
        root, half = math.sqrt(value), Z * stderr / 2 / math.sqrt(value)
        assert (low, high) == pytest.approx((max(0, root - half) ** 2, (root + half) ** 2), rel=1e-12)
    else:
        assert (low, high) == (0, 0)


@pytest.mark.parametrize(("whole", "parts", "expected"), [(1.0, [2.0, 2.4], 0.95), (1.0, [5.0], 0.5), (0.0, [0.0], 0)])
def test_the_quadratic_part_is_taken_off_by_halves(whole, parts, expected):
    # 3/2 J(n) - 1/4 J(n/2) = 1.5 - 0.55; 1.5 - 1.25 is below J/2.
    assert corrected(whole, parts) == pytest.approx(expected, rel=1e-15)


def jackknife(statistic, *sets):
    """sum over the sets of (n - 1)/n sum_i (T_(i) - mean)^2, by leaving out every row in turn."""
    total = 0.0
    for x in sets:
        left_out = [statistic(*(np.delete(a, i, 0) if a is x else a for a in sets)) for i in range(len(x))]
        total += (len(x) - 1) * np.var(left_out)
    return total


def paired_jackknife(statistic, x, y):
    return (len(x) - 1) * np.var([statistic(np.delete(x, i, 0), np.delete(y, i, 0)) for i in range(len(x))])


def of(module, output, **parameters):
    return lambda *sets: module.compute(*sets, **parameters)[output].value


def log_vendi(x):
    return math.log(vendi.compute(x)["vendi"].value)


# Statistic, numbers of rows and of features, and how nearly the error is that of the jackknife: KD and CMMD have the
# jackknife itself; an influence function is its first order, whose square differs by a few of 1/n.
JACKKNIFED = {
    "fd": (fd, of(fd, "fd"), (70, 60), 3, 0.1),
    "kd": (kd, of(kd, "kd"), (25, 20), 3, 1e-9),
    "cmmd": (cmmd, of(cmmd, "cmmd"), (25, 20), 3, 1e-9),
    "mind": (sliced_wasserstein, of(sliced_wasserstein, "mind", directions=12), (100, 80), 3, 0.1),
    "vendi": (vendi, log_vendi, (120,), 4, 0.1),
    "rfd": (rfd, of(fd, "fd"), (60, 60), 3, 0.1),
}


@pytest.mark.parametrize("name", JACKKNIFED)
def test_an_error_is_that_of_the_jackknife_corrected_from_halves(name):
    module, statistic, sizes, d, rel = JACKKNIFED[name]
    rng = np.random.default_rng(1)
    sets = [rng.standard_normal((n, d)) * np.linspace(0.5, 1.5, d) + 0.4 * i for i, n in enumerate(sizes)]
    if name == "rfd":
        sets[0] = sets[1] + 0.6 * sets[0]
        halves = [(sets[0][places], half.x) for places, half in Points(sets[1]).halves]
        J = paired_jackknife
    else:
        halves = [[Points(x).halves[i][1].x for x in sets] for i in (0, 1)]
        J = jackknife
    whole, parts = J(statistic, *sets), [J(statistic, *part) for part in halves]
    expected = max(1.5 * whole - 0.25 * sum(parts) / 2, whole / 2)
    measure = next(iter(module.compute(*sets, **({"directions": 12} if name == "mind" else {})).values()))
    variance = measure.stderr**2
    if name == "vendi":
        variance /= measure.value**2
    if name == "mind":
        X, Y = (x @ sliced_wasserstein.unit_vectors(12, d, 2020).numpy().T for x in sets)
        squares = [wasserstein_squared(a, b) for a, b in zip(X.T, Y.T, strict=True)]
        expected += (3 * d) ** 2 * np.var(squares, ddof=1) / 12
    assert variance == pytest.approx(expected, rel=rel)


def wasserstein_squared(a, b):
    """Of points on a line, by the quantile functions at the middles of 1 / (n m)."""
    at = (np.arange(len(a) * len(b)) + 0.5) / (len(a) * len(b))
    return np.mean((np.sort(a)[(at * len(a)).astype(int)] - np.sort(b)[(at * len(b)).astype(int)]) ** 2)


def test_the_first_order_error_of_fd_is_the_jackknife_s_with_fewer_rows_than_features_too():
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((n, 60)) * np.linspace(0.5, 1.5, 60) + shift for n, shift in ((40, 0), (36, 0.4)))
    expected = jackknife(of(fd, "fd"), x, y)
    assert fd.linear_variance(Points(x), Points(y)) == pytest.approx(expected, rel=0.1)  # a few of 1/n


def test_a_range_of_repeats_is_an_interval_of_their_median_from_six_on():
    found = throughput.median(np.array([5.0, 1, 2, 8, 3, 4]), {})
    assert (found.value, found.ci95, found.stderr) == (3.5, (1, 8), None)
    assert (found.details["q25"], found.details["q75"], found.details["repeats"]) == (2.25, 4.75, 6)
    five = throughput.median(np.array([5.0, 1, 2, 3, 4]), {})
    assert (five.value, five.ci95, five.ci_method) == (3, None, "none: fewer than 6 repeats")


def test_speed_and_latency_are_of_their_own_times():
    block, single = np.linspace(1, 2, 7), np.linspace(0.001, 0.003, 7)
    timings = Timings(block_s=block, single_s=single, block_size=30, device="cpu", threads=1)
    found = throughput.compute(timings)
    assert found["throughput"].value == pytest.approx(30 / 1.5, rel=1e-12)
    assert found["throughput"].ci95 == pytest.approx((15, 30), rel=1e-12)
    assert found["latency"].value == pytest.approx(2, rel=1e-12)
    assert found["latency"].ci95 == pytest.approx((1, 3), rel=1e-12)


def groups_of(x: Points, y: Points, count: int):
    """Pairs of parts, as documented: every set shuffled by a seed of its own, and dealt out."""
    orders = [z.shuffled(seed) for z, seed in ((x, 0), (y, 1))]
    return [[z.x[order[i::count]] for z, order in zip((x, y), orders, strict=True)] for i in range(count)]


@pytest.mark.parametrize(("n", "m", "count"), [(200, 201, 10), (199, 300, 5), (300, 199, 5), (25, 30, 5)])
def test_a_mean_of_judged_rows_has_halls_interval_stretched_by_the_design_effect(n, m, count):
    # The rows share what they are compared with: 3 times the mean of y.
    rng = np.random.default_rng(0)
    x, y = Points(rng.lognormal(size=(n, 1))), Points(rng.standard_normal((m, 1)))

    def judged(x: Points, y: Points) -> np.ndarray:
        return x.x[:, 0] + 3 * y.x.mean()

    found, plain = _groups.mean(judged, x, y, 5, {"k": 1}), mean(judged(x, y))
    rows = [a[:, 0] + 3 * b.mean() for a, b in groups_of(x, y, count)]
    between = np.var([part.mean() for part in rows], ddof=1)
    effect = max(1, between / np.mean([part.var(ddof=1) / len(part) for part in rows]))
    assert found.value == plain.value
    assert found.details == {"k": 1, "design_effect": pytest.approx(effect, rel=1e-12)}
    assert found.stderr == pytest.approx(math.sqrt(effect) * plain.stderr, rel=1e-12)
    stretch = math.sqrt(effect) * t.ppf(0.975, count - 1) / t.ppf(0.975, n - 1)
    expected = [plain.value + stretch * (end - plain.value) for end in plain.ci95]
    assert found.ci95 == pytest.approx(tuple(expected), rel=1e-12)
    assert effect > 1


def test_groups_that_agree_with_each_other_have_no_design_effect_below_one():
    x, y = (Points(np.random.default_rng(seed).standard_normal((200, 1))) for seed in (0, 1))
    balanced = x.shuffled(0).argsort() // 10 % 2  # as many rows in every group
    assert _groups.design(lambda a, b: balanced[np.isin(x.x, a.x)[:, 0]], x, y, 2).effect == 1
    assert _groups.design(lambda a, b: np.ones(len(a)), x, y, 2).effect == 1


@pytest.mark.parametrize("smaller", [24, 25])
def test_an_interval_of_judged_rows_needs_as_many_rows_as_it_says(smaller):
    rng = np.random.default_rng(0)
    for n, m in ((smaller, 60), (60, smaller)):
        x, y = Points(rng.standard_normal((n, 1))), Points(rng.standard_normal((m, 1)))
        for how, judged in ((_groups.share, x.x[:, 0] > 0), (_groups.mean, x.x[:, 0])):
            found = how(lambda a, b, judged=judged: judged[: len(a)], x, y, 5, {})
            assert found.value == judged.mean()
            assert (found.stderr is None) == (found.ci95 is None) == (smaller == 24)
            if smaller == 24:
                assert found.ci_method == "none: an interval needs 25 rows of either set, for 5 groups"


def test_the_interval_per_class_is_put_together_from_the_classes_own():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((330, 3)) * 0.9, rng.standard_normal((420, 3))
    asked, known = np.arange(330) % 3, np.arange(420) % 3
    x[asked == 1] += 0.5
    found = per_class.compute(x, asked, y, known)
    own = {}
    for c in range(3):
        for metric in (fd, precision_recall, density_coverage):
            for name, m in metric.compute(x[asked == c], y[known == c]).items():
                own.setdefault(name, []).append(m)
    for name in ("fd", "precision", "recall", "coverage"):
        m, value = found[f"{name}_per_class"], np.mean([part.value for part in own[name]])
        assert m.value == pytest.approx(value, rel=1e-12)
        assert m.stderr == pytest.approx(math.sqrt(sum(part.stderr**2 for part in own[name])) / 3, rel=1e-12)
        low = math.sqrt(sum((part.value - part.ci95[0]) ** 2 for part in own[name])) / 3
        high = math.sqrt(sum((part.ci95[1] - part.value) ** 2 for part in own[name])) / 3
        assert m.ci95 == pytest.approx((value - low, value + high), rel=1e-12)


# All outputs

ALL = [case for family in (likelihoods, distances, neighbours, shares) for case in family.cases()]
CASES = [case for order in (ALL, ALL[::-1]) for case in {case.outputs: case for case in order}.values()]  # two of each


@functools.cache
def drawn(i: int) -> dict[str, Measure]:
    return CASES[i].draw(np.random.default_rng(i))


def symmetric(m: Measure, n: int, least: float | None = None) -> None:
    """value -+ Z stderr, cut where the method says so, and where the range of the output ends."""
    least = 0 if re.search("cut at 0|for the root", m.ci_method) else -math.inf if least is None else least
    most = math.log(2) if "log 2" in m.ci_method else math.inf
    expected = np.clip([m.value - Z * m.stderr, m.value + Z * m.stderr], least, most)
    assert m.ci95 == pytest.approx(tuple(expected), rel=1e-10, abs=1e-14)


def of_the_root(m: Measure, n: int) -> None:
    """The roots of the ends are -+ Z times the root's error, stderr / (2 root), and not below 0."""
    root, half = math.sqrt(m.value), Z * m.stderr / (2 * math.sqrt(m.value))
    assert np.sqrt(m.ci95) == pytest.approx([max(root - half, 0), root + half], rel=1e-10, abs=1e-14)


def of_the_logarithm(m: Measure, n: int) -> None:
    low, high = np.log(m.ci95) - math.log(m.value)
    assert [-low, high] == pytest.approx([Z * m.stderr / m.value] * 2, rel=1e-10)


def wilsons(m: Measure, n: int) -> None:
    """|p - s| = z sqrt(s (1 - s) / trials) at both ends s, and stderr = sqrt(p (1 - p) / trials)."""
    z, trials, scale, shift = Z, float(n), 1.0, 0.0
    if found := re.search(r"deff from (\d+) groups", m.ci_method):
        z, trials = t.ppf(0.975, int(found[1]) - 1), n / m.details["design_effect"]
        assert m.details["design_effect"] >= 1
    elif "n_eff" in m.ci_method:
        trials, q = m.details["n_eff"], m.details["expected_share"]
        scale, shift = 1 / (1 - q), -q / (1 - q)
    elif "pairs count twice" in m.ci_method:
        trials = n / (1 + m.details["in_pairs"])
    elif "given the training set" in m.ci_method:
        scale = 100.0
    elif "what folds share" in m.ci_method:  # rows of both sets; of an area, see `test_c2st`
        trials = m.details.get("trials", 2 * m.details["n_each"] / m.details["design_effect"])
    elif "powers" in m.ci_method:  # fewer trials than bins have no less variance: see `test_metrics_bins`
        trials = len(m.details["counts"])
        if m.stderr > 0:
            trials = max(m.value * (1 - m.value) / m.stderr**2, trials * (1 - 1e-12))
    p, *ends = ((x - shift) / scale for x in (m.value, *m.ci95))
    assert m.stderr / scale == pytest.approx(math.sqrt(p * (1 - p) / trials), rel=1e-10)
    for side, s in zip((-1, 1), ends, strict=True):
        assert side * (s - p) == pytest.approx(z * math.sqrt(s * (1 - s) / trials), rel=1e-9)


def halls(m: Measure, n: int) -> None:
    """g(u) = u + c u^2/3 + c^2 u^3/27 + c/(6n) of the ends, in standard deviations, is -+ t / sqrt n, for some c."""
    stretch = 1.0
    if found := re.search(r"sqrt\(deff\) from (\d+) groups", m.ci_method):
        stretch = t.ppf(0.975, int(found[1]) - 1) / t.ppf(0.975, n - 1)  # the standard error is stretched already
    u = np.array([(m.value - end) / (stretch * m.stderr * math.sqrt(n)) for end in m.ci95])
    # g(u_1) + g(u_2) = 0 is quadratic in the skewness c, which is the smaller root.
    roots = np.roots([(u**3).sum() / 27, (u**2).sum() / 3 + 2 / (6 * n), u.sum()])
    c = roots[np.abs(roots).argmin()].real
    g = u + c * u**2 / 3 + c**2 * u**3 / 27 + c / (6 * n)
    assert g == pytest.approx(np.array([1, -1]) * t.ppf(0.975, n - 1) / math.sqrt(n), rel=1e-6)


def of_splits(m: Measure, n: int) -> None:
    halls(m, m.details["splits"])


def of_batches(m: Measure, n: int) -> None:
    reach = float(t.ppf(0.975, m.details["batches"] - 1)) * m.stderr
    assert (m.value - m.ci95[0], m.ci95[1] - m.value) == pytest.approx((reach, reach), rel=1e-9)


def of_order(m: Measure, n: int) -> None:
    """A range has no standard error; a median's is the interval's, read as a normal one (see its own tests)."""
    if m.stderr is not None:
        assert m.ci95[1] - m.ci95[0] == pytest.approx(2 * Z * m.stderr, rel=1e-12)


def of_what_it_was(m: Measure, n: int) -> Measure:
    """The measure before its value and its ends were cut or calibrated, which obeys Hall's law."""
    was = m.details["before"]
    found = replace(m, value=was["value"], stderr=was["stderr"], ci95=was["ci95"], ci_method=m.ci_method.split(": ")[1])
    halls(found, n)
    return found


def cut_at_1(m: Measure, n: int) -> None:
    was = of_what_it_was(m, n)
    assert (m.value, *m.ci95) == tuple(min(x, 1) for x in (was.value, *was.ci95))
    assert m.stderr == was.stderr


def of_shares_of_good_samples(m: Measure, n: int) -> None:
    was = of_what_it_was(m, n)
    f = clipped_density_coverage.expected(*(m.details[name] for name in ("n_samples", "n_reference", "k")))
    for now, then in zip((m.value, *m.ci95), (was.value, *was.ci95), strict=True):
        assert now == (f < then).mean()
    low, high = ((f < was.value + side * was.stderr).mean() for side in (-1, 1))
    assert m.stderr == pytest.approx((high - low) / 2, rel=1e-12)


def of_classes(m: Measure, n: int) -> None:
    """From measures that it does not hold: see `test_the_interval_per_class_is_put_together_from_the_classes_own`."""
    assert m.ci95[0] < m.value < m.ci95[1]


LAWS = {
    r"normal for the root": of_the_root,
    r"normal for the (entropy|logarithm)": of_the_logarithm,
    r"normal\b": symmetric,
    r"Wilson": wilsons,
    r"t over examples": halls,
    r"t over splits": of_splits,
    r"t over the means": of_batches,
    r"order statistics": of_order,
    r"cut at 1: t over examples": cut_at_1,
    r"calibrated: t over examples": of_shares_of_good_samples,
    r"from the intervals of the classes": of_classes,
}
LEAST = {
    output: card["range"][0]
    for entry in catalog.entries("metrics").values()
    for output, card in entry.constants["OUTPUTS"].items()
}
SYMMETRIC = {"sliced_wasserstein"}  # itself the root
OF_TRAINING_ROWS = {"recall", "coverage", "clipped_coverage"}


@pytest.mark.parametrize(("i", "output"), [(i, output) for i, case in enumerate(CASES) for output in case.outputs])
def test_both_ends_of_an_interval_belong_to_its_standard_error(i, output):
    m = drawn(i)[output]
    law = next((law for method, law in LAWS.items() if re.match(method, m.ci_method)), None)
    assert law, f"a new way to make an interval needs a law in this file: {m.ci_method}"
    assert m.ci95[0] <= m.value <= m.ci95[1]
    judged = int(CASES[i].n.split(", ")[output in OF_TRAINING_ROWS].split()[0])
    if output in OF_TRAINING_ROWS:
        judged = m.details["n_reference"]  # of which as many are taken as there are samples
    if law is symmetric or output in SYMMETRIC:
        symmetric(m, judged, LEAST.get(output))
    else:
        law(m, judged)


def test_every_law_is_seen():
    methods = [m.ci_method for i, case in enumerate(CASES) for m in (drawn(i)[output] for output in case.outputs)]
    for method in LAWS:
        assert any(re.match(method, found) for found in methods), method


# How the standard error itself falls with the number of rows

# A z statistic has one size at any n, and tests of a few bins disagree among themselves. The rest fall as 1 / sqrt n
# where the sets are unlike, or are judged row by row; of MiFID, whose distance changes with n, the relative error.
CONSTANT, RELATIVE = {"data_copying", "ndb"}, {"mifid"}
SMALL = {"bins": {"bins": 25}, "sliced-wasserstein": {"directions": 100}, "mifid": {"tau": 1.0}}


@functools.cache
def mean_errors(name: str, n: int) -> dict[str, float]:
    """The root of the mean variance of every output, over a few draws of n samples and as many other examples."""
    variances: dict[str, list[float]] = {}
    for seed in range(4 if name in ("fld", "c2st") else 8):
        rng = np.random.default_rng(seed)
        sets = {need: rng.standard_normal((n, 3)) + shift for need, shift in zip(SETS, (0.5, 0, 0), strict=True)}
        for output, m in measured(name, sets, **SMALL.get(name, {})).items():
            variances.setdefault(output, []).append((m.stderr / (m.value if name in RELATIVE else 1)) ** 2)
    return {output: math.sqrt(np.mean(found)) for output, found in variances.items()}


@pytest.mark.parametrize("name", METRICS)
def test_a_standard_error_falls_with_the_root_of_the_number_of_rows(name, monkeypatch):
    monkeypatch.setattr(_groups, "moving", lambda *_: ())  # what models share decides no standard error
    few, many = mean_errors(name, 130), mean_errors(name, 520)
    for output in few:
        # A variance from 5 and 10 groups is known to 1 / sqrt(2 * 8 * 4) and less in 8 draws, 12 %: the ratio to 20 %.
        assert few[output] / many[output] == pytest.approx(1 if output in CONSTANT else 2, rel=0.4), output
