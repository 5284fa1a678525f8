"""FD-infinity, CMMD, Vendi score, sliced Wasserstein and MiFID, against peers, closed forms and hand arithmetic."""

import functools
import math
import warnings

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.special import gammaln

from genbench.errors import GenbenchError, ModelError
from genbench.features import _torchvision
from genbench.metrics import _halves, cmmd, fd, fd_infinity, mifid, sliced_wasserstein, vendi
from genbench.metrics._halves import variance
from genbench.numerics.points import Points

DISTANCES = {"fd_infinity": fd_infinity, "cmmd": cmmd, "sliced_wasserstein": sliced_wasserstein, "mifid": mifid}
METRICS = {**DISTANCES, "vendi": vendi}


def features(n, m, d, seed=0, shift=0.3, scale=1.2):
    """A full-rank pair with unlike spectra and means, float64."""
    rng = np.random.default_rng(seed)
    sd = np.linspace(0.2, 2, d)
    return rng.standard_normal((n, d)) * sd * scale + shift, rng.standard_normal((m, d)) * sd


def rectified(*arguments, **keywords):
    """The same, as a rectifier leaves them."""
    return tuple(np.maximum(x + 1, 0) for x in features(*arguments, **keywords))


def assert_stderr_is_the_spread(results):
    """Within a quarter: r replicates know their own spread to 1/sqrt(2 r), 7 % at 100; their mean stderr better."""
    spread = np.std([r.value for r in results], ddof=1)
    assert np.mean([r.stderr for r in results]) == pytest.approx(spread, rel=0.25)


# FD-infinity


def frechet(x, y):
    """By the definition and SciPy's root."""
    S1, S2 = np.cov(x.T), np.cov(y.T)
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(S1 + S2 - 2 * sqrtm(S1 @ S2).real)


def intercept(sizes, distances):
    return np.polyfit(1 / np.asarray(sizes), distances, 1)[1]


def test_fd_infinity_is_the_intercept_of_a_line_through_subsets():
    x, y = features(103, 90, 6)  # parts of 21, 21, 21, 20 and 20 rows
    parts = np.array_split(Points(x).shuffled(0), 5)
    subsets = [np.concatenate(parts[:i] + parts[i + 1 :]) for i in range(5)]
    size = 1 / np.mean([1 / len(rows) for rows in subsets])
    expected = intercept([103, size], [frechet(x, y), np.mean([frechet(x[rows], y) for rows in subsets])])
    assert fd_infinity.compute(x, y)["fd_infinity"].value == pytest.approx(expected, rel=1e-8)


@pytest.mark.usefixtures("parted_by_place")
@pytest.mark.parametrize("n", [45, 50, 200])  # subsets of 36, 40 and 160 rows, of 40 features
def test_fd_infinity_is_the_same_in_an_isometric_copy(n):
    # Zero features added and the axes rotated change no distance, but move from n > d to n <= d.
    x, y = features(n, 60, 40)
    Q = np.linalg.qr(np.random.default_rng(2).standard_normal((250, 250)))[0]
    wide = [np.pad(f, ((0, 0), (0, 210))) @ Q for f in (x, y)]
    a, b = fd_infinity.compute(x, y)["fd_infinity"], fd_infinity.compute(*wide)["fd_infinity"]
    assert b.value == pytest.approx(a.value, rel=1e-9)  # differences of FD, a tenth of it: a digit is lost
    assert b.stderr == pytest.approx(a.stderr, rel=1e-6)


def test_fd_infinity_is_what_the_published_procedure_comes_to():
    # 15 subsets of n/10 to n, drawn at random: the mean of 60 such intercepts, on the same features. Ours
    # has the noise of one division into parts, V2 / (parts - 1).
    x, y = features(1500, 400, 4)
    rng = np.random.default_rng(0)
    sizes = np.linspace(150, 1500, 15).astype(int)
    published = [intercept(sizes, [frechet(x[rng.permutation(1500)[:size]], y) for size in sizes]) for _ in range(60)]
    once, twice = (
        how(Points(x), Points(y)) for how in (functools.partial(variance, fd.linear_variance), fd.linear_variance)
    )
    error = math.sqrt(np.var(published) / 60 + max(twice - once, 0) / 4)
    assert abs(fd_infinity.compute(x, y)["fd_infinity"].value - np.mean(published)) < 4 * error


def test_fd_infinity_leaves_no_bias_of_the_samples():
    # In one dimension FD = (mean - mean)^2 + (sd - sd)^2, and E sd = c4 sigma: for N(0, 1) both, infinitely
    # many samples are 1/m + 2 (1 - c4(m)) from m training examples. FD itself has 1/n + 2 (1 - c4) more, some
    # 0.07, of which a line leaves the 1/n^2 term of c4, 1/16 n^2 at most 0.0002.
    n, m = 20, 30
    c4 = math.sqrt(2 / (m - 1)) * math.exp(gammaln(m / 2) - gammaln((m - 1) / 2))
    draws = [np.random.default_rng(seed).standard_normal((n + m, 1)) for seed in range(1000)]
    results = [fd_infinity.compute(z[:n], z[n:])["fd_infinity"] for z in draws]
    error = np.std([r.value for r in results]) / math.sqrt(1000)
    assert abs(np.mean([r.value for r in results]) - (1 / m + 2 * (1 - c4))) < 4 * error
    assert np.mean([r.details["fd"][0] for r in results]) - (1 / m + 2 * (1 - c4)) > 10 * error


@pytest.mark.parametrize(("n", "m", "shift", "scale"), [(200, 200, 0.3, 1.2), (200, 600, 0, 1), (100, 100, 0, 1)])
def test_fd_infinity_standard_error_is_the_spread(n, m, shift, scale):
    draws = [features(n, m, 8, seed, shift, scale) for seed in range(200)]
    assert_stderr_is_the_spread([fd_infinity.compute(*draw)["fd_infinity"] for draw in draws])


@pytest.mark.parametrize("parts", [2, 5])
@pytest.mark.parametrize("seed", [0, 1])
def test_fd_infinity_has_the_variance_of_fd_and_of_the_division_into_parts(parts, seed):
    x, y = (Points(a) for a in features(60, 50, 6, seed, shift=0, scale=1))
    both, once = fd.linear_variance(x, y), variance(fd.linear_variance, x, y)  # V1 + 2 V2, and V1 + V2
    assert both > once
    found = fd_infinity.compute(x, y, parts=parts)["fd_infinity"]
    assert found.stderr == pytest.approx(math.sqrt(once + (both - once) / (parts - 1)), rel=1e-9)


@pytest.mark.usefixtures("parted_by_place")
def test_fd_infinity_depends_on_the_division_into_parts_by_less_than_its_error():
    x, y = features(200, 150, 8)
    rng = np.random.default_rng(0)
    a = fd_infinity.compute(x, y)["fd_infinity"]
    assert fd_infinity.compute(x, y[rng.permutation(150)])["fd_infinity"].value == pytest.approx(a.value, rel=1e-10)
    for _ in range(5):
        assert abs(fd_infinity.compute(x[rng.permutation(200)], y)["fd_infinity"].value - a.value) < a.stderr


def test_fd_infinity_of_too_few_rows_is_an_error():
    x, y = features(20, 20, 3)
    with pytest.raises(GenbenchError, match="parts=8: this metric needs at least 16 rows"):
        fd_infinity.compute(x[:15], y, parts=8)
    with pytest.raises(GenbenchError, match="parts is 1"):
        fd_infinity.compute(x, y, parts=1)


def test_fd_infinity_of_few_samples_for_its_features_warns():
    x, y = features(40, 20, 10)
    assert fd_infinity.compute(x, y)["fd_infinity"].warnings == ()
    assert "too low" in fd_infinity.compute(x[:39], y)["fd_infinity"].warnings[0]


# CMMD


def mmd(x, y, sigma=10.0):
    """The reference code's formula: dense, with the diagonals."""

    def mean_kernel(a, b):
        return np.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / (2 * sigma**2)).mean()

    return 1000 * (mean_kernel(x, x) + mean_kernel(y, y) - 2 * mean_kernel(x, y))


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_cmmd_is_the_reference_codes():
    # Relative to the kernel means themselves, 1000 each, which is what rounds.
    x, y = features(60, 50, 12)
    assert cmmd.compute(x, y)["cmmd"].value == pytest.approx(mmd(unit(x), unit(y)), abs=1e-10)
    assert cmmd.compute(unit(x), unit(y))["cmmd"].value == pytest.approx(mmd(unit(x), unit(y)), abs=1e-10)
    raw = cmmd.compute(x, y, sigma=3.0, normalise=False)["cmmd"].value
    assert raw == pytest.approx(mmd(x, y, 3.0), rel=1e-12)


def test_cmmd_of_two_points_by_hand():
    # All x at one corner, all y at another, at a right angle: |x - y|^2 = 2, so 1000 (1 + 1 - 2 exp(-2/200)).
    x, y = np.tile([3.0, 0], (5, 1)), np.tile([0, 0.5], (7, 1))
    assert cmmd.compute(x, y)["cmmd"].value == pytest.approx(2000 * (1 - math.exp(-0.01)), rel=1e-12)


def test_cmmd_of_gaussians_in_closed_form():
    # E k(a, b) for a - b ~ N(delta, S): prod (1 + S/sigma^2)^(-1/2) exp(-delta^2 / 2 (sigma^2 + S)); the
    # diagonals add 1/n (1 - E k) and 1/m (1 - E k).
    n, m, d, sigma = 40, 60, 6, 2.0

    def kernel(S, delta):
        return np.prod((1 + S / sigma**2) ** -0.5 * np.exp(-(delta**2) / (2 * (sigma**2 + S))))

    S2 = np.linspace(0.2, 2, d) ** 2
    S1 = S2 * 1.2**2
    xx, yy, xy = kernel(2 * S1, 0), kernel(2 * S2, 0), kernel(S1 + S2, 0.3)
    expected = 1000 * (xx + (1 - xx) / n + yy + (1 - yy) / m - 2 * xy)
    draws = [features(n, m, d, seed) for seed in range(200)]
    values = [cmmd.compute(*draw, sigma=sigma, normalise=False)["cmmd"].value for draw in draws]
    assert abs(np.mean(values) - expected) < 4 * np.std(values) / math.sqrt(200)


def test_cmmd_jackknife_leaves_out_one_row_at_a_time():
    x, y = features(12, 9, 4)
    kernel = cmmd.Gaussian(2.0)
    without = [mmd(np.delete(x, i, 0), y, 2.0) / 1000 for i in range(12)]
    expected = 11 / 12 * ((np.array(without) - np.mean(without)) ** 2).sum()
    assert cmmd._jackknife(Points(x), Points(y), kernel) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("shift", "scale"), [(0.3, 1.2), (0, 1)])
def test_cmmd_standard_error_is_the_spread(shift, scale):
    draws = [features(100, 100, 8, seed, shift, scale) for seed in range(200)]
    assert_stderr_is_the_spread([cmmd.compute(*draw)["cmmd"] for draw in draws])


def test_cmmd_needs_a_width():
    x, y = features(10, 10, 3)
    for sigma in (0, -1, math.nan):
        with pytest.raises(GenbenchError, match="sigma is"):
            cmmd.compute(x, y, sigma=sigma)


# Vendi score


@functools.cache
def vendi_score():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the peer's, not ours
        from vendi_score import vendi as peer
    return peer


@pytest.mark.parametrize(("n", "d"), [(200, 10), (30, 80)])
def test_vendi_is_the_packages(n, d):
    x, _ = features(n, 5, d)
    value = vendi.compute(x)["vendi"].value
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert value == pytest.approx(vendi_score().score_X(x), rel=1e-9)
    assert value == pytest.approx(vendi_score().score_dual(x), rel=1e-9)
    for q in (0.5, 2, "inf"):
        assert vendi.compute(x, q)["vendi"].value == pytest.approx(vendi_score().score_dual(x, q), rel=1e-6)


@pytest.mark.parametrize("d", [3, 40])
def test_vendi_of_groups_at_right_angles_is_that_of_their_shares(d):
    # 5, 3 and 2 copies along three axes: eigenvalues 0.5, 0.3, 0.2, whatever the lengths.
    x = np.eye(d)[[0] * 5 + [1] * 3 + [2] * 2] * np.arange(1, 11)[:, None]
    p = np.array([0.5, 0.3, 0.2])
    shannon = math.exp(-(p * np.log(p)).sum())
    for q, expected in ((1, shannon), (2, 1 / (p**2).sum()), (0.5, np.sqrt(p).sum() ** 2), (math.inf, 1 / 0.5)):
        assert vendi.compute(x, q)["vendi"].value == pytest.approx(expected, rel=1e-12)


def test_vendi_of_copies_is_one_and_of_orthogonal_rows_is_n():
    for q in (0.5, 1, 2):
        copies = vendi.compute(np.full((6, 3), 0.1), q)["vendi"]
        assert copies.value == pytest.approx(1, rel=1e-12)
        assert copies.stderr is None or copies.stderr == pytest.approx(0, abs=1e-7)  # the root of a rounding
        assert vendi.compute(np.eye(6), q)["vendi"].value == pytest.approx(6, rel=1e-12)


def test_vendi_counts_rows_of_zeros_as_one_kind():
    # 2 of 8 rows are blank, the others alike: shares 1/4 and 3/4.
    x = np.full((8, 3), 7.0)
    x[2:4] = 0
    expected = math.exp(-(0.25 * math.log(0.25) + 0.75 * math.log(0.75)))
    assert vendi.compute(x)["vendi"].value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("q", [0.5, 1.0, 3.0])
@pytest.mark.parametrize(("n", "d"), [(15, 4), (6, 9)])
def test_vendi_influence_is_the_derivative_of_the_entropy_by_a_rows_weight(n, d, q):
    x = unit(features(n, 5, d)[0])
    _, phi = vendi._entropy(Points(x), q)

    def entropy(weights):
        w = np.linalg.eigvalsh((x * weights[:, None]).T @ x)
        return vendi._renyi(w[w > 1e-12], q)[0]

    step = 1e-5  # a central difference errs by step^2 and by rounding over step, 1e-10
    for i in range(n):
        towards = np.eye(n)[i] - 1 / n
        difference = (entropy(1 / n + step * towards) - entropy(1 / n - step * towards)) / (2 * step)
        assert phi[i] == pytest.approx(difference, abs=1e-7)
    assert phi.mean() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(("n", "d"), [(12, 30), (30, 5), (8, 8)])
def test_vendi_without_one_row_is_exact(n, d):
    x = features(n, 5, d)[0]
    x[3] = x[2]  # an eigenvalue of 0 where n <= d
    x = unit(x)
    expected = [math.log(vendi.compute(np.delete(x, i, 0))["vendi"].value) for i in range(n)]
    np.testing.assert_allclose(vendi.left_out(Points(x)), expected, rtol=1e-12)


@pytest.mark.usefixtures("parted_by_place")
def test_vendi_standard_error_of_few_rows_is_between_influence_and_jackknife():
    x = unit(features(20, 5, 30)[0])
    influence = variance(lambda part: vendi._entropy(part, 1.0)[1].var(ddof=1) / len(part), Points(x))
    without = [math.log(vendi.compute(np.delete(x, i, 0))["vendi"].value) for i in range(20)]
    measure = vendi.compute(x)["vendi"]
    expected = math.sqrt(influence * 19 * np.var(without))
    assert (measure.stderr / measure.value) ** 2 == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "d", "q"), [(150, 8, 1), (60, 60, 1), (40, 200, 1), (150, 8, 2)])
def test_vendi_standard_error_is_the_spread(n, d, q):
    assert_stderr_is_the_spread([vendi.compute(features(n, 4, d, seed)[0], q)["vendi"] for seed in range(200)])


def test_vendi_says_why_it_has_no_interval():
    x, _ = features(20, 4, 10)
    assert vendi.compute(x)["vendi"].ci95 is not None
    for measure in (vendi.compute(x, 2), vendi.compute(x, "inf"), vendi.compute(x[:3])):
        assert measure["vendi"].stderr is None
        assert measure["vendi"].ci_method.startswith("none: ")


# Sliced Wasserstein and MIND


def torch_fidelitys_mind(x, y, projections=1000):
    """metric_mind.py of torch-fidelity's repository, for equal counts: float32, generator of seed 2020."""
    generator = torch.Generator().manual_seed(2020)
    u = torch.randn(projections, x.shape[1], generator=generator)
    u = u / u.norm(dim=1, keepdim=True)
    a, b = ((torch.from_numpy(f).float() @ u.T).sort(dim=0).values for f in (x, y))
    return 3.0 * x.shape[1] * float(((a - b) ** 2).mean(0).mean())


def test_mind_is_torch_fidelitys():
    x, y = features(300, 300, 20)
    # float32 projections err by 6e-8 of their size, some 5, against differences of some 0.5: 1e-6, and less in a mean.
    ours = sliced_wasserstein.compute(x, y)
    assert ours["mind"].value == pytest.approx(torch_fidelitys_mind(x, y), rel=1e-6)
    assert ours["mind"].value == pytest.approx(60 * ours["sliced_wasserstein"].value ** 2, rel=1e-12)


def test_sliced_wasserstein_on_a_line_by_hand():
    # All of 0, 1, 2, 3 move to 0: (0 + 1 + 4 + 9)/4 = 3.5 in every direction, +1 or -1.
    result = sliced_wasserstein.compute(np.arange(4.0)[:, None], np.zeros((5, 1)))
    assert result["sliced_wasserstein"].value == pytest.approx(math.sqrt(3.5), rel=1e-12)
    # 0, 0, 6, 6 to 0, 0, 0, 6, 6, 6: the halves match.
    x, y = np.array([0.0, 6, 0, 6])[:, None], np.array([6.0, 0, 6, 0, 6, 0])[:, None]
    assert sliced_wasserstein.compute(x, y)["mind"].value == 0


def test_sliced_wasserstein_of_unequal_counts_is_that_of_repeated_rows():
    x, y = features(40, 60, 5)
    repeated = np.repeat(x, 3, 0), np.repeat(y, 2, 0)  # 120 rows each: order statistics pair up
    expected = torch_fidelitys_mind(*repeated)
    assert sliced_wasserstein.compute(x, y)["mind"].value == pytest.approx(expected, rel=1e-6)


def test_sliced_wasserstein_of_a_shift_is_the_shifts_length_in_every_direction():
    x, _ = features(50, 4, 6)
    c = np.array([1.0, -2, 0, 0.5, 3, 0])
    U = sliced_wasserstein.unit_vectors(100, 6, 2020)
    squares, _ = sliced_wasserstein.slices(Points(x), Points(x + c), U)
    np.testing.assert_allclose(squares, (U.numpy() @ c) ** 2, rtol=1e-12, atol=1e-24)
    # E (u.c)^2 = |c|^2 / d, with the error of 1000 directions
    measure = sliced_wasserstein.compute(x, x + c)["mind"]
    assert measure.ci95[0] < 3 * (c @ c) < measure.ci95[1]


@pytest.mark.parametrize(("n", "m"), [(7, 5), (6, 6), (4, 8)])
def test_potential_is_the_derivative_of_the_distance_by_a_points_weight(n, m):
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.standard_normal(n)), np.sort(rng.standard_normal(m) + 0.5)

    def distance(weights):
        """W^2 of points with weights, by inverting both distribution functions."""
        a, b = np.cumsum(weights), np.arange(1, m + 1) / m
        ends = np.union1d(a[:-1], b)
        starts = np.concatenate([[0], ends[:-1]])
        middle = (starts + ends) / 2
        squares = (x[np.searchsorted(a[:-1], middle)] - y[np.searchsorted(b, middle)]) ** 2
        return (ends - starts) @ squares

    phi = sliced_wasserstein.potential(torch.from_numpy(x)[None], torch.from_numpy(y)[None])[0].numpy()
    step = 1e-6  # the distance is linear in the weights between steps: rounding over the step remains, 1e-9
    for i in range(n):
        towards = np.eye(n)[i] - 1 / n
        difference = (distance(1 / n + step * towards) - distance(1 / n - step * towards)) / (2 * step)
        assert phi[i] - phi.mean() == pytest.approx(difference, abs=1e-8)


def test_sliced_wasserstein_does_not_depend_on_the_block(monkeypatch):
    x, y = features(40, 33, 6)
    a = sliced_wasserstein.compute(x, y)
    monkeypatch.setattr(sliced_wasserstein, "BLOCK", 1000)
    b = sliced_wasserstein.compute(x, y)
    for output in a:
        assert b[output].value == pytest.approx(a[output].value, rel=1e-12)
        assert b[output].stderr == pytest.approx(a[output].stderr, rel=1e-9)


# Of 5 directions most of the variance is theirs, of 50 it is the rows'.
@pytest.mark.parametrize(
    ("n", "m", "shift", "scale", "count"), [(100, 100, 0.3, 1.2, 5), (100, 100, 0, 1, 50), (60, 240, 0.1, 1.1, 50)]
)
def test_sliced_wasserstein_standard_error_is_the_spread_over_rows_and_directions(n, m, shift, scale, count):
    results = [
        sliced_wasserstein.compute(*features(n, m, 8, seed, shift, scale), directions=count, seed=seed)
        for seed in range(200)
    ]
    for output in sliced_wasserstein.OUTPUTS:
        assert_stderr_is_the_spread([r[output] for r in results])


# MiFID


def torchmetrics_mifid(real, fake, tau):
    """On features themselves, through its custom extractor."""
    _torchvision.make_importable()
    from torchmetrics.image.mifid import MemorizationInformedFrechetInceptionDistance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = MemorizationInformedFrechetInceptionDistance(torch.nn.Identity(), cosine_distance_eps=tau)
        metric.update(torch.from_numpy(real), real=True)
        metric.update(torch.from_numpy(fake), real=False)
        return float(metric.compute())


@pytest.mark.parametrize("draw", [features, rectified])
@pytest.mark.parametrize("tau", [0.01, 1.0])
def test_mifid_is_torchmetrics_with_its_two_sets_exchanged(draw, tau):
    x, y = draw(80, 60, 6)
    measure = mifid.compute(x, y, tau=tau)["mifid"]
    assert measure.details["penalised"] == (tau == 1)
    assert measure.value == pytest.approx(torchmetrics_mifid(real=x, fake=y, tau=tau), rel=1e-8)


def test_mifid_by_hand():
    # Training along the axes; samples at 45 degrees to one (cos = sqrt 1/2), along the other, and against
    # the first, which counts as along it: s = (1 - sqrt 1/2 + 0 + 0 + 0)/4 = 0.0732 < 0.1.
    y = np.array([[1.0, 0], [0, 2], [3, 0], [0, 1]])
    x = np.array([[1.0, 1], [0, 5], [-2, 0], [0, 1]])
    measure = mifid.compute(x, y)["mifid"]
    s = (1 - math.sqrt(0.5)) / 4
    assert measure.details["cosine_distance"] == pytest.approx(s, rel=1e-12)
    assert measure.value == pytest.approx(frechet(x, y) / s, rel=1e-8)


def test_mifid_of_training_examples_is_divided_by_epsilon():
    _, y = features(4, 60, 6)
    copies = np.repeat(y[:20], 2, 0)
    measure = mifid.compute(copies, y)["mifid"]
    assert measure.details["cosine_distance"] == 0
    assert measure.value == pytest.approx(frechet(copies, y) / 1e-14, rel=1e-8)
    assert measure.ci_method.startswith("none: the distance to training is within its error of 0")


def test_mifid_of_the_training_set_is_zero_and_says_so():
    _, y = features(4, 60, 6)
    measure = mifid.compute(y.copy(), y)["mifid"]
    assert measure.value == 0
    assert measure.ci_method == "none: the samples have the mean and covariance of the training set"


@pytest.mark.parametrize("scale", [1e-12, 1e-6, 1e-3, 1e3, 1e6])
@pytest.mark.parametrize("tau", [1e-6, 1])
def test_mifid_of_scaled_features_is_scaled_twice(scale, tau):
    """Its distance to training is a cosine; an FD of small features is small and no rounding."""
    x, y = (a.astype(np.float64) for a in rectified(80, 60, 6))
    plain, scaled = (mifid.compute(c * x, c * y, tau=tau)["mifid"] for c in (1.0, scale))
    assert scaled.value == pytest.approx(scale**2 * plain.value, rel=1e-6)
    ends = [scale**2 * end for end in plain.ci95]  # of halves that contents draw
    assert scaled.ci95 == pytest.approx(ends, rel=0.3)
    same = mifid.compute(scale * y, scale * y, tau=tau)["mifid"]
    assert same.value == 0
    assert same.ci_method == "none: the samples have the mean and covariance of the training set"


def test_mifid_of_blank_rows():
    # A blank sample is a copy of a blank training row, and at distance 1 where there is none.
    y = np.concatenate([np.eye(5), np.zeros((1, 5))])
    x = np.concatenate([np.eye(5)[:3], np.zeros((1, 5))])
    np.testing.assert_array_equal(mifid.nearest_cosines(Points(x), Points(y))[0], [0, 0, 0, 0])
    np.testing.assert_array_equal(mifid.nearest_cosines(Points(x), Points(y[:5]))[0], [0, 0, 0, 1])


@pytest.mark.parametrize("draw", [features, rectified])
def test_mifid_training_part_is_what_is_lost_without_each_example(draw):
    x, y = draw(15, 8, 3)

    def s(training):
        return (1 - np.abs(unit(x) @ unit(training).T)).min(1).mean()

    _, of_train = mifid.nearest_cosines(Points(x), Points(y))
    expected = [7 * (s(y) - s(np.delete(y, j, 0))) for j in range(8)]
    np.testing.assert_allclose(of_train, expected, atol=1e-13)


def test_mifid_near_its_threshold_has_no_interval():
    x, y = rectified(80, 60, 6)
    s = mifid.compute(x, y)["mifid"].details["cosine_distance"]
    for tau in (s * 0.999, s * 1.001):
        assert mifid.compute(x, y, tau=tau)["mifid"].ci_method.startswith("none: the distance to training is within")


def test_mifid_that_is_not_penalised_is_fd():
    x, y = features(80, 60, 30)
    ours, plain = mifid.compute(x, y)["mifid"], fd.compute(x, y)["fd"]
    assert (ours.value, ours.stderr, ours.ci95) == (plain.value, plain.stderr, plain.ci95)


@pytest.mark.parametrize(
    ("n", "m", "shift", "scale"), [(100, 100, 0.3, 1.2), (100, 100, 0, 1), (60, 240, 0.3, 1.2), (240, 60, 0.3, 1.2)]
)
def test_mifid_standard_error_is_the_spread(n, m, shift, scale):
    draws = [rectified(n, m, 8, seed, shift, scale) for seed in range(200)]
    assert_stderr_is_the_spread([mifid.compute(*draw, tau=1.0)["mifid"] for draw in draws])


@pytest.mark.parametrize("shift", [0.3, 3.0])  # where the error of FD rules, and where that of the distance does
def test_mifid_standard_error_is_the_delete_one_jackknife_of_its_logarithm(shift):
    x, y = rectified(60, 50, 4, shift=shift)

    def log_mifid(a, b):
        return math.log(sum(fd.terms(Points(a), Points(b))) / mifid.nearest_cosines(Points(a), Points(b))[0].mean())

    without_x = [log_mifid(np.delete(x, i, 0), y) for i in range(60)]
    without_y = [log_mifid(x, np.delete(y, j, 0)) for j in range(50)]
    jackknife = 59 * np.var(without_x) + 49 * np.var(without_y)
    # The jackknife has the quadratic part of FD twice.
    a, b = Points(x), Points(y)
    excess = fd.linear_variance(a, b) - variance(fd.linear_variance, a, b)
    measure = mifid.compute(x, y, tau=1.0)["mifid"]
    expected = math.sqrt(jackknife - excess / measure.details["fd"] ** 2)
    # The influence function is the jackknife's first order: 1/n = 2 % in the variance, and a few of them.
    assert measure.stderr / measure.value == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize(("seed", "cut"), [(0, True), (1, False)])
def test_mifid_keeps_at_least_half_of_its_first_order_variance(seed, cut):
    x, y = (Points(a) for a in rectified(30, 30, 4, seed=seed, shift=0, scale=1))
    measure = mifid.compute(x, y, tau=1.0)["mifid"]
    distance, s = measure.details["fd"], measure.details["cosine_distance"]
    parts = [a / distance - b / s for a, b in zip(fd.influences(x, y), mifid.nearest_cosines(x, y), strict=True)]
    both = sum(part.var(ddof=1) / 30 for part in parts)
    excess = (fd.linear_variance(x, y) - variance(fd.linear_variance, x, y)) / distance**2
    assert (both - excess < both / 2) == cut
    assert measure.stderr / measure.value == pytest.approx(math.sqrt(max(both - excess, both / 2)), rel=1e-9)


def test_mifid_that_is_no_distance_or_at_the_threshold():
    # A threshold of s itself penalises nothing.
    x, y = rectified(40, 30, 4)
    s = mifid.compute(x, y)["mifid"].details["cosine_distance"]
    at = mifid.compute(x, y, tau=s)["mifid"]
    assert not at.details["penalised"]
    assert at.value == at.details["fd"]
    above = mifid.compute(x, y, tau=s * (1 + 1e-12))["mifid"]
    assert above.value == pytest.approx(at.value / s, rel=1e-12)
    large = mifid.compute(x, y, tau=1.0, epsilon=1.0)["mifid"]
    assert large.value == pytest.approx(at.value / (s + 1), rel=1e-12)
    tiny, still = (1e-5 * a for a in (x[:30], x[:30] + 2e-5))  # 4 (2e-10)^2, below 1e-8, counts as no distance
    assert 0 < mifid.compute(still, tiny)["mifid"].details["fd"] < 1e-8
    assert mifid.compute(still, tiny)["mifid"].value == 0


# Halves


def test_variance_is_that_of_a_linear_and_a_quadratic_part(monkeypatch):
    # J(n) = V1/n + 2 V2/n^2 at n = 100 and 50 gives V1/n + V2/n^2; and J/2 where V1 = 0, of which rounding is no part.
    for v1, v2, expected in ((3.0, 50.0, 0.03 + 0.005), (0.0, 50.0, 0.005), (3.0, 0.0, 0.03)):

        def first_order(x, y, v1=v1, v2=v2):
            return v1 / len(x) + 2 * v2 / len(y) ** 2

        sets = Points(np.zeros((100, 1))), Points(np.zeros((100, 2)))
        assert variance(first_order, *sets) == pytest.approx(expected, rel=1e-12)
        monkeypatch.setattr(_halves, "PLENTY", 100)
        assert variance(first_order, *sets) == pytest.approx(expected, rel=1e-12)
        monkeypatch.undo()


@pytest.mark.parametrize(("sizes", "used"), [((99, 400), 2), ((400, 99), 2), ((100, 400), 1), ((100, 100), 1)])
def test_one_half_is_enough_where_either_set_has_plenty_of_rows(monkeypatch, sizes, used):
    monkeypatch.setattr(_halves, "PLENTY", 100)
    asked = []
    variance(lambda *sets: asked.append([len(x) for x in sets]) or 1.0, *(Points(np.zeros((n, 1))) for n in sizes))
    assert asked == [list(sizes), [(n + 1) // 2 for n in sizes], [n // 2 for n in sizes]][: 1 + used]


def test_halves_are_all_rows_once():
    x = np.arange(11.0)[:, None]
    one, other = (half for _, half in Points(x).halves)
    assert (len(one), len(other)) == (6, 5)
    assert sorted([*one.x[:, 0], *other.x[:, 0]]) == list(range(11))


# What all of them have in common


@pytest.mark.parametrize("name", sorted(METRICS.keys() - {"fd_infinity"}))
@pytest.mark.parametrize(("n", "d"), [(60, 8), (20, 40)])
def test_the_order_of_rows_changes_nothing(name, n, d):
    x, y = features(n, n + 5, d)
    rng = np.random.default_rng(0)
    shuffled = x[rng.permutation(n)], y[rng.permutation(n + 5)]
    sets = len(METRICS[name].NEEDS)
    a, b = METRICS[name].compute(*(x, y)[:sets]), METRICS[name].compute(*shuffled[:sets])
    for output in a:
        assert b[output].value == pytest.approx(a[output].value, rel=1e-10)


@pytest.mark.usefixtures("parted_by_place")
@pytest.mark.parametrize("name", METRICS)
def test_float32_features_and_sets_that_remember_give_the_same(name):
    x, y = (f.astype(np.float32) for f in features(60, 50, 6))
    sets = len(METRICS[name].NEEDS)
    points = [Points(x), Points(y)][:sets]
    plain = METRICS[name].compute(*(x, y)[:sets])
    wide = METRICS[name].compute(*(f.astype(np.float64) for f in (x, y)[:sets]))
    for again in (METRICS[name].compute(*points), METRICS[name].compute(*points)):
        assert again == plain
    for output in plain:
        assert plain[output].value == pytest.approx(wide[output].value, rel=1e-5)  # unit rows are kept as float32


@pytest.mark.parametrize("name", METRICS)
def test_inputs_that_give_no_number_are_errors(name):
    good = np.random.default_rng(0).standard_normal((30, 4))
    rest = [good] * (len(METRICS[name].NEEDS) - 1)
    bad = good.copy()
    bad[3, 2] = np.nan
    with pytest.raises(ModelError, match="1 values are NaN"):
        METRICS[name].compute(bad, *rest)
    for wrong in (good[0], good[:, None], good[:, :0], good.astype(str)):
        with pytest.raises(ValueError, match="expected numbers"):
            METRICS[name].compute(wrong, *rest)
    with pytest.raises(GenbenchError, match="at least"):
        METRICS[name].compute(good[:1], *rest)
    if rest:
        with pytest.raises(ValueError, match="different widths"):
            METRICS[name].compute(good[:, :3], *rest)


@pytest.mark.parametrize("name", METRICS)
def test_inputs_are_not_changed(name):
    x, y = features(30, 40, 4)
    before = x.copy(), y.copy()
    METRICS[name].compute(*(x, y)[: len(METRICS[name].NEEDS)])
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize(("n", "d"), [(12, 3), (12, 20)])
def test_identical_points_are_at_distance_zero(name, n, d):
    x = np.full((n, d), 0.1)
    for measure in DISTANCES[name].compute(x, x.copy()).values():
        assert measure.value == pytest.approx(0, abs=1e-9)
        assert measure.stderr is None or measure.stderr == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", sorted(DISTANCES.keys() - {"fd_infinity"}))
def test_a_set_is_at_distance_zero_from_itself(name):
    x, _ = features(40, 4, 6)
    for measure in DISTANCES[name].compute(x, x[::-1].copy()).values():
        assert measure.value == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n", "d"), [(40, 3), (30, 20)])
def test_the_interval_of_the_sliced_distance_is_that_of_its_square(n, d):
    rng = np.random.default_rng(d)
    found = sliced_wasserstein.compute(rng.standard_normal((n, d)), rng.standard_normal((n, d)) + 1)
    mind, distance = found["mind"], found["sliced_wasserstein"]
    assert mind.value == pytest.approx(3 * d * distance.value**2)
    assert mind.ci95[0] > 0
    np.testing.assert_allclose(mind.ci95, 3 * d * np.square(distance.ci95))
    assert mind.stderr == pytest.approx(3 * d * 2 * distance.value * distance.stderr)  # the delta method


@pytest.mark.parametrize("q", [0.5, 1, 2, 7.3, math.inf])
def test_the_gradient_of_an_entropy_is_its_derivative(q):
    p, h = np.array([0.4, 0.1, 0.3, 0.2]), 1e-6
    steps = np.eye(4) * h
    slope = [(vendi._renyi(p + e, q)[0] - vendi._renyi(p - e, q)[0]) / (2 * h) for e in steps]
    np.testing.assert_allclose(vendi._renyi(p, q)[1], slope, atol=1e-6)


def test_vendi_says_that_it_leaves_out_rows_where_they_are_fewer_than_three_for_each_feature():
    x = np.random.default_rng(0).standard_normal((30, 10))
    few, many = (vendi.compute(rows)["vendi"].ci_method for rows in (x[:29], x))
    assert "delete-one jackknife" in few
    assert "jackknife" not in many


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("sigma", [1e-100, 1e-3, 1e6, 1e9, 1e100])
def test_a_kernel_that_tells_nothing_apart_gives_no_number(sigma, normalise):
    """It would be 0 of every model, or 1000 (1/n + 1/m), with hardly any spread."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 8)), rng.normal(size=(50, 8)) + 1
    with pytest.raises(GenbenchError, match="says nothing of them"):
        cmmd.compute(x, y, sigma=sigma, normalise=normalise)


def test_neither_do_features_that_are_nearer_than_its_width_can_see():
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(n, 8)) for n in (40, 50))
    with pytest.raises(GenbenchError, match="of width 10 is 1 for all pairs"):
        cmmd.compute(1e-6 * x, 1e-6 * y + 1e-6, normalise=False)
    alike = np.ones((40, 8))
    assert cmmd.compute(alike, alike[:30])["cmmd"].value == 0  # as they are
