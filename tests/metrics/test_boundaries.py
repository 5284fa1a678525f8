"""Where metrics begin and end: the fewest rows, as many neighbours as there are, blank rows, constants, one class."""

import math

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from genbench import catalog
from genbench.errors import GenbenchError
from genbench.metrics import (
    class_agreement,
    classes,
    cmmd,
    density_coverage,
    fd,
    inception_score,
    kd,
    mifid,
    near_duplicates,
    path_length,
    per_class,
    precision_recall,
    realism,
    rfd,
    sliced_wasserstein,
    vendi,
)
from pointsets import AS, METRICS, SETS, gaussians, measured, needs, values

# The fewest rows


def fewest_samples(name: str) -> int:
    return catalog.find("metrics", name).constants.get("MIN_SAMPLES", 1)


def blobs(n: int) -> np.ndarray:
    """n rows, as evenly as can be about three places far apart."""
    rng = np.random.default_rng(0)
    return (100 * np.eye(3, 6)[np.arange(n) % 3] + rng.standard_normal((n, 6))).astype(np.float32)


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_can_do_with_as_few_samples_as_its_card_says_and_not_with_one_fewer(name):
    least = fewest_samples(name)
    sets = {need: blobs(150) for need in SETS} if name == "data-copying" else gaussians(150)
    samples = blobs(least) if name == "data-copying" else sets["sample_features"][:least]
    found = measured(name, {**sets, "sample_features": samples})
    assert all(math.isfinite(m.value) for m in found.values())
    with pytest.raises(GenbenchError, match=r"at least|no cell has more than") as error:
        measured(name, {**sets, "sample_features": samples[:-1]})
    assert "--samples" in error.value.remedy


# Of the other sets, the least that the definition can do with: k + 1 for k neighbours, two halves of two, one a bin.
FEWEST_OTHERS = {
    "authenticity": (2,), "bins": (100,), "c2st": (20,), "clipped-density-coverage": (6,), "cmmd": (4,),
    "data-copying": (2, 2), "density-coverage": (6,), "fd": (2,),
    "fd-infinity": (4,), "fld": (4, 2), "kd": (3,), "memorisation": (10, 10), "mifid": (4,),
    "near-duplicates": (51, 3), "precision-recall": (4,), "realism": (4,), "sliced-wasserstein": (4,), "vendi": (),
}  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
def test_a_metric_can_do_with_so_few_other_examples_and_not_with_one_fewer(name):
    asked = catalog.find("metrics", name).constants["NEEDS"][1:]
    for need, called, least in zip(needs(name)[1:], asked, FEWEST_OTHERS[name], strict=True):
        sets = gaussians(150)
        found = measured(name, {**sets, need: sets[need][:least]})
        assert all(math.isfinite(m.value) for m in found.values()), need
        with pytest.raises(GenbenchError, match=f"{called}.* at least {least} rows, got {least - 1}"):
            measured(name, {**sets, need: sets[need][: least - 1]})


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize(
    ("module", "parameter", "of_samples"),
    [
        (precision_recall, "k", True),
        (density_coverage, "k", True),
        (realism, "k", False),
        (near_duplicates, "neighbours", False),
    ],
)
def test_neighbours_need_one_row_more_than_there_are_of_them(module, parameter, of_samples, k):
    given = dict(zip(SETS, gaussians(150).values(), strict=True))
    least = max(k + 1, 3 if module is near_duplicates else 1)  # which looks for two neighbours among the samples
    for need in SETS[not of_samples : 2]:
        for n in (least, least - 1):
            sets = [given[a][:n] if a == need else given[a] for a in (AS[asked] for asked in module.NEEDS)]
            if n == least:
                assert all(math.isfinite(m.value) for m in module.compute(*sets, **{parameter: k}).values())
            else:
                with pytest.raises(GenbenchError, match=f"at least {least} rows, got {n}"):
                    module.compute(*sets, **{parameter: k})


def test_metrics_of_logits_and_of_paths_can_do_with_as_few_as_their_cards_say():
    logits = np.random.default_rng(0).standard_normal((20, 3))
    assert inception_score.MIN_SAMPLES == 20
    assert inception_score.compute(logits)["is"].ci95 is not None
    with pytest.raises(GenbenchError, match="at least 20 rows, got 19"):
        inception_score.compute(logits[:19])
    assert inception_score.compute(logits[:2], splits=1)["is"].value > 1
    with pytest.raises(GenbenchError, match="at least 2 rows, got 1"):
        inception_score.compute(logits[:1], splits=1)
    with pytest.raises(GenbenchError, match="splits is 0"):
        inception_score.compute(logits, splits=0)
    assert path_length.MIN_SAMPLES == 2
    assert path_length.compute(np.array([1.0, 2]))["ppl"].value == 1.5


@pytest.mark.parametrize(
    ("compute", "sets", "least"),
    [(fd.compute, 2, 4), (rfd.compute, 2, 4), (kd.compute, 2, 6), (vendi.compute, 1, 4), (cmmd.compute, 2, 4)],
)
def test_an_interval_begins_where_halves_of_the_rows_can_be_measured(compute, sets, least):
    x, y, _ = (a[:least] for a in gaussians().values())
    (with_one,) = compute(*(x, y)[:sets]).values()
    assert with_one.ci95 is not None
    if compute is not cmmd.compute:
        (without,) = compute(*(x[:-1], y[:-1])[:sets]).values()
        assert (without.stderr, without.ci95) == (None, None)
        assert math.isfinite(without.value)
        assert without.ci_method.startswith("none: halves of fewer than")


# As many neighbours as there are: every row but the row itself


def far(x):
    """The distance to the farthest other row: the radius for k = n - 1."""
    return cdist(x, x).max(1)


def test_balls_that_reach_to_the_last_row_are_those_of_all_distances():
    x, y = (a.astype(np.float64)[:n] for a, n in zip(gaussians().values(), (12, 12), strict=False))
    x += 1.5
    d = cdist(x, y)
    found = precision_recall.compute(x, y, k=11)
    assert found["precision"].value == (d <= far(y)).any(1).mean()
    assert found["recall"].value == (d <= far(x)[:, None]).any(0).mean()
    found = density_coverage.compute(x, y, k=11)
    assert found["density"].value == pytest.approx((d < far(y)).sum(1).mean() / 11, rel=1e-12)
    assert found["coverage"].value == (d.min(0) < far(y)).mean()
    narrow = far(y) <= np.median(far(y))
    expected = (far(y)[narrow] / d[:, narrow]).max(1)
    np.testing.assert_allclose(realism.scores(x, y, k=11), expected, rtol=1e-12)


def test_the_scale_of_near_duplicates_is_a_mean_over_all_other_rows():
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((8, 3)), rng.standard_normal((5, 3))
    scale = cdist(train, train).sum(1) / 7
    j = 2
    for share, near in ((0.199, True), (0.201, False)):  # of the scale of the row next to it
        step = share * scale[j] * np.array([1.0, 0, 0])
        x = np.stack([train[j] + step, *(50 + 100 * rng.standard_normal((2, 3)))])
        assert cdist(x[:1], train).argmin() == j
        at = np.concatenate([test + 1e3, test + 1e4])  # far from anything, so that alpha is the threshold
        found = near_duplicates.compute(x, train, at, neighbours=7, alpha=0.2)["near_duplicates"]
        assert found.value == (1 / 3 if near else 0)


# Blank rows


def with_blanks(n, m, d=5, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((m, d)) + 0.5
    x[::4], y[::5] = 0, 0
    return x, y


def blank_mmd(x, y, sigma):
    """By the definition: the square of directions is 2 - 2 cos, 0 between blank rows and 2 from one to the rest."""

    def kernel(a, b):
        lengths = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)
        d2 = 2 - 2 * np.divide(a @ b.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)
        d2[np.ix_(~a.any(1), ~b.any(1))] = 0
        return np.exp(-d2 / (2 * sigma**2)).mean()

    return 1000 * (kernel(x, x) + kernel(y, y) - 2 * kernel(x, y))


@pytest.mark.parametrize("blank", ["both", "samples", "training data", "all samples", "everything"])
def test_cmmd_of_blank_rows_is_that_of_right_angles(blank):
    # Relative to the kernel means themselves, 1000 each, which is what rounds.
    x, y = with_blanks(20, 30)
    full, _ = np.random.default_rng(1).standard_normal((2, 30, 5))
    x, y = {
        "both": (x, y),
        "samples": (x, full),
        "training data": (full[:20], y),
        "all samples": (0 * x, y),
        "everything": (0 * x, 0 * y),
    }[blank]
    for sigma in (10.0, 0.7):
        found = cmmd.compute(x, y, sigma=sigma)["cmmd"]
        assert found.value == pytest.approx(blank_mmd(x, y, sigma), abs=1e-9)
        assert math.isfinite(found.stderr)
    # Blank rows are rows like others where lengths count.
    raw = cmmd.compute(x, y, sigma=2.0, normalise=False)["cmmd"].value
    k = [np.exp(-cdist(a, b, "sqeuclidean") / 8).mean() for a, b in ((x, x), (y, y), (x, y))]
    assert raw == pytest.approx(1000 * (k[0] + k[1] - 2 * k[2]), abs=1e-9)


# A constant feature changes no distance between rows, nor any moment


OF_DISTANCES = sorted(set(METRICS) - {"fld", "vendi", "cmmd", "mifid", "kd", "sliced-wasserstein", "bins"})


@pytest.mark.usefixtures("parted_by_place")
@pytest.mark.parametrize("name", OF_DISTANCES)
def test_a_constant_feature_changes_nothing(name):
    sets = gaussians(dtype=np.float64)
    padded = {need: np.pad(x, ((0, 0), (1, 1)), constant_values=0.5) for need, x in sets.items()}
    plain, wide = values(measured(name, sets)), values(measured(name, padded))
    for output, found in plain.items():
        assert wide[output] == pytest.approx(found, rel=1e-9), output


# Every row twice


@pytest.mark.parametrize("module", [cmmd, sliced_wasserstein, mifid])
def test_what_goes_by_shares_of_rows_does_not_see_that_each_comes_twice(module):
    # Of MiFID its distance: FD itself has covariances with ddof 1.
    x, y, _ = gaussians(40, dtype=np.float64).values()
    once, twice = module.compute(x, y), module.compute(np.repeat(x, 2, 0), np.repeat(y, 2, 0))
    for output, m in once.items():
        if output == "mifid":
            assert twice[output].details["cosine_distance"] == pytest.approx(m.details["cosine_distance"], rel=1e-12)
        else:
            assert twice[output].value == pytest.approx(m.value, rel=1e-9)
    alone, doubled = (vendi.compute(a)["vendi"].value for a in (x, np.repeat(x, 2, 0)))
    assert doubled == pytest.approx(alone, rel=1e-12)


# One class only


def test_one_class_only():
    x, y, _ = gaussians(dtype=np.float64).values()
    found = per_class.compute(x, np.zeros(len(x), int), y, np.zeros(len(y), int))
    for name, module in (("fd", fd), ("precision", precision_recall), ("coverage", density_coverage)):
        own, m = module.compute(x, y)[name], found[f"{name}_per_class"]
        assert [m.value, m.stderr, *m.ci95] == pytest.approx([own.value, own.stderr, *own.ci95], rel=1e-12)

    certain = np.tile([[9.0, 0, 0]], (30, 1))
    for parts in (1, 10):
        assert inception_score.compute(certain, splits=parts)["is"].value == pytest.approx(1, rel=1e-12)
    result = classes.compute(certain, np.array([0, 0, 1, 2]))
    assert (result["classes"].value, result["classes"].details["of"]) == (1, 3)
    assert result["classes_kl"].value == pytest.approx(math.log(2), rel=1e-12)
    assert result["classes_kl"].ci_method == "none: all fell in one class, whose estimated variance is 0"
    alone = classes.compute(certain[:, :1], np.zeros(4, int))
    assert (alone["classes"].value, alone["classes_kl"].value) == (1, 0)
    agreed = class_agreement.compute(certain, np.zeros(30, int))["class_agreement"]
    assert (agreed.value, agreed.stderr, agreed.ci95[1]) == (1, 0, 1)
