"""Laws of every measure: what contradicts itself, or its card, is an error where it enters, and no record is `ok`."""

import contextlib
import io
import math
import re
from dataclasses import replace

import numpy as np
import prdc
import pytest

from genbench import catalog, datasets
from genbench.errors import GenbenchError, Unavailable
from genbench.likelihood.result import LogLikelihood
from genbench.metrics import (
    Measure,
    check_outputs,
    class_agreement,
    classes,
    copies,
    density_coverage,
    fd,
    holding,
    inception_score,
    mean,
    nll,
    normal,
    normal_of_log,
    path_length,
    per_class,
    precision_recall,
    reconstruction,
    share,
)
from genbench.metrics._inputs import reference
from genbench.models.adapters import parse
from genbench.numerics.points import Points
from genbench.run.evaluate import evaluate
from genbench.run.plan import jobs, plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run
from genbench.space import Space
from pointsets import AS, SETS, measured

FINE = Measure(0.5, "estimate", 0.1, (0.3, 0.7), "by hand")
CARDS = {"m": {"unit": "share", "direction": "lower", "range": (0, 1), "title": "m", "group": "modes", "place": 1}}


# What a measure says of itself


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "guess"}, {"kind": None},
        {"value": "0.5"}, {"value": None}, {"value": True}, {"value": np.ones(1)}, {"value": 1j},
        {"stderr": -1e-9}, {"stderr": math.nan}, {"stderr": math.inf}, {"stderr": "0"}, {"stderr": False},
        {"ci95": (0.7, 0.3)}, {"ci95": (0.6, 0.7)}, {"ci95": (0.3, 0.4)}, {"ci95": (0.3, math.inf)},
        {"ci95": (-math.inf, 0.7)}, {"ci95": (math.nan, 0.7)}, {"ci95": (0.3, math.nan)}, {"ci95": (None, 0.7)},
        {"ci95": (0.3, 0.5, 0.7)}, {"ci95": (0.3, math.nextafter(0.5, 0))}, {"value": math.nan}, {"value": math.inf},
        {"ci_method": None}, {"n_nonfinite": -1}, {"n_nonfinite": 0.5},
        {"details": [1]}, {"details": {"a": np.ones(3)}}, {"details": {"a": {1, 2}}}, {"warnings": (1,)},
    ],
)  # fmt: skip
def test_a_measure_that_contradicts_itself_is_an_error(wrong):
    with pytest.raises((ValueError, TypeError)):
        replace(FINE, **wrong)


@pytest.mark.parametrize(
    "right",
    [
        {"ci95": (0.5, 0.5), "stderr": 0}, {"ci95": None}, {"stderr": None}, {"value": math.nan, "ci95": None},
        {"value": -math.inf, "ci95": None, "stderr": None, "n_nonfinite": np.int64(3)}, {"value": np.float32(0.5)},
        {"details": {"a": [np.float64(1), {"b": None}], "c": math.nan, "d": np.bool_(True)}}, {"kind": "exact"},
    ],
)  # fmt: skip
def test_a_measure_that_says_all_it_can_is_taken_as_it_is(right):
    assert replace(FINE, **right).value is right.get("value", 0.5)


@pytest.mark.parametrize(
    ("found", "problem"),
    [
        ({}, "declares m, and did not give it"),
        ({"m": FINE, "n": FINE}, "gave n, which it does not declare"),
        ({"m": 0.5}, "m: a metric gives a Measure, not a float"),
        ([FINE], "not a list"),
        (None, "not a NoneType"),
        ({"m": replace(FINE, value=1.5, ci95=None)}, "outside the range"),
        ({"m": replace(FINE, value=-1e-6, ci95=None)}, "outside the range"),
        ({"m": replace(FINE, ci95=(0.2, 1.01))}, "1.01 is outside the range"),
        ({"m": replace(FINE, ci95=(-0.01, 0.7))}, "-0.01 is outside the range"),
        ({"m": replace(FINE, value=math.inf, ci95=None)}, "outside the range"),
    ],
)
def test_what_a_metric_gives_is_what_its_card_says(found, problem):
    with pytest.raises(ValueError, match=problem):
        check_outputs(CARDS, found)


def test_a_range_is_kept_up_to_rounding_and_a_card_without_one_has_none():
    check_outputs(CARDS, {"m": replace(FINE, value=1 + 1e-12, ci95=None)})
    check_outputs({"m": {"unit": "share"}}, {"m": replace(FINE, value=7.0, ci95=None)})


METRIC = """
from genbench.metrics import Measure
VERSION = 1
NEEDS = ("{need}",)
OUTPUTS = {{
    "law": {{"unit": "share", "direction": "lower", "range": (0, 1), "title": "law", "group": "modes", "place": 1}}
}}
REFERENCE = "nobody"
def compute({need}):
    return {gives}
"""


@pytest.fixture
def plugin(tmp_path):
    """Adds a metric called "law" for one test."""

    def add(gives, need="samples"):
        path = tmp_path / "law.py"
        path.write_text(METRIC.format(need=need, gives=gives))
        catalog.use_plugin(str(path))

    return add


@pytest.mark.parametrize(
    ("gives", "problem"),
    [
        ("{}", "did not give it"),
        ("{'law': Measure(1.5, 'estimate', None, None, 'none: a test')}", "outside the range"),
        ("{'law': Measure(0.5, 'guess', None, None, 'none: a test')}", "not 'guess'"),
        ("{'law': Measure(0.5, 'estimate', -1.0, None, 'none: a test')}", "standard error"),
        ("{'law': Measure(0.5, 'estimate', 0.1, (0.6, 0.7), 'a test')}", "holds its value"),
        ("{'law': Measure(0.5, 'estimate', None, None, 'none', details={'x': samples})}", "JSON"),
    ],
)
def test_a_metric_that_breaks_a_law_becomes_a_record_with_an_error(tmp_path, plugin, pixels_checkpoint, gives, problem):
    plugin(gives)
    digits = datasets.load("digits")
    suite = Suite("digits", ("law", "copies"), "pixels", protocol=Protocol(n_samples=4, block_size=4))
    run = Run(tmp_path / "run")
    evaluate(plan(suite, digits, [parse(str(pixels_checkpoint), digits)]), run, "cpu", pictures=False)
    records = {r.metric["name"]: r for r in run.records()}
    assert records["law"].status == "error"
    assert problem in records["law"].error["message"]
    assert records["law"].error["phase"] == "metric"
    assert records["copies"].status == "ok"


def test_a_metric_that_needs_what_nobody_makes_is_an_error_of_the_plan(plugin):
    with pytest.raises(GenbenchError, match="NEEDS names 'sample_feature', which is none of"):
        plugin("{}", need="sample_feature")
    assert jobs(("fd",), "pixels", {})


# An interval lies in the range of its value and holds it


def within(measure, least, most):
    return measure.ci95 is None or least <= measure.ci95[0] <= measure.value <= measure.ci95[1] <= most


def test_every_card_has_a_range():
    for name, entry in catalog.entries("metrics").items():
        for output, card in entry.constants["OUTPUTS"].items():
            least, most = card["range"]
            assert least is None or most is None or least < most, (name, output)
            if card["unit"] == "share" and output != "memorisation":  # an excess, which can be below 0
                assert (least, most) == ((-1, 1) if "gain" in output or output == "mig" else (0, 1)), (
                    output
                )  # a difference of two


@pytest.mark.parametrize("trial", range(20))
def test_intervals_of_shares_and_means_are_cut_and_hold_their_value(trial):
    rng = np.random.default_rng(trial)
    n = int(rng.integers(1, 60))
    for s in {0, 1, n // 2, n - 1, n}:
        assert within(share(s, n), 0, 1)
    heavy = np.exp(3 * rng.standard_normal(n)) * 10.0 ** rng.integers(-120, 120)
    assert within(mean(heavy, least=0.0), 0, math.inf)
    bounded = (rng.random(n) < 0.02).astype(float)
    assert within(mean(bounded, least=0.0, most=1.0), 0, 1)
    assert within(mean(1 - bounded, least=0.0, most=1.0), 0, 1)
    value, stderr = rng.random(), 10.0 ** rng.uniform(-20, 3)
    assert within(normal(value, stderr, least=0.0, most=1.0), 0, 1)
    assert within(normal_of_log(1 + value, min(stderr, 50), "", least=1.0, most=2.0), 1, 2)


def test_an_interval_holds_its_value_where_rounding_puts_it_beside():
    assert holding(1.0, 1.1, 1.2) == (1.0, 1.2)
    assert holding(1.0, 0.8, 0.9) == (0.8, 1.0)
    assert holding(0.5, -1.0, 2.0, 0.0, 1.0) == (0.0, 1.0)
    assert holding(-1e-17, 0.0, 1.0, 0.0, 1.0) == (-1e-17, 1.0)


@pytest.mark.parametrize("scale", [1e-120, 1.0, 1e120])
def test_the_interval_of_a_mean_scales_with_its_values_at_any_size(scale):
    x = np.random.default_rng(0).lognormal(size=40)
    usual, found = mean(x), mean(x * scale)
    assert np.array(found.ci95) / scale == pytest.approx(usual.ci95, rel=1e-9)


def test_a_mean_whose_spread_overflows_says_so():
    found = mean(np.array([1e300, -1e300, 1e300]))
    assert found.ci95 is None
    assert "float64" in found.ci_method


OF_FEATURES = [
    name
    for name, entry in catalog.entries("metrics").items()
    if "sample_features" in entry.constants["NEEDS"] and set(entry.constants["NEEDS"]) <= set(AS)
]


@pytest.mark.parametrize("kind", ["the same", "few copies", "one point", "whole numbers"])
@pytest.mark.parametrize("name", sorted(set(OF_FEATURES) - {"fld"}))  # whose range is everything
def test_values_and_intervals_of_features_stay_in_the_range_of_their_cards(name, kind):
    rng = np.random.default_rng(len(kind))
    sets = [rng.standard_normal((n, 3)) for n in (70, 90, 66)]
    if kind == "the same":
        sets = [sets[1]] * 3
    elif kind == "few copies":
        sets[0][:60] = sets[1][:60]
    elif kind == "one point":
        sets[0][:] = sets[1][0]
    elif kind == "whole numbers":
        sets = [np.round(x) for x in sets]
    cards = catalog.find("metrics", name).constants["OUTPUTS"]
    try:
        found = measured(name, dict(zip(SETS, sets, strict=True)))
    except (GenbenchError, Unavailable):
        return
    for output, card in cards.items():
        least, most = card["range"]
        least, most = -math.inf if least is None else least, math.inf if most is None else most
        assert least <= found[output].value <= most, output
        assert within(found[output], least, most), output


def test_intervals_of_the_other_metrics_stay_in_their_ranges_too():
    rng = np.random.default_rng(0)
    for logits in (np.zeros((30, 3)), 50 * np.eye(3)[np.arange(30) % 3], rng.standard_normal((30, 3))):
        score = inception_score.compute(logits)["is"]
        assert 1 <= score.value <= 3
        assert within(score, 1, 3)
        assert within(class_agreement.compute(logits, np.arange(30) % 3)["class_agreement"], 0, 1)
        assert within(classes.compute(logits, np.arange(3))["classes_kl"], 0, math.inf)
    images = rng.integers(17, size=(5, 1, 8, 8))
    for back in (images + 0.0, images + 1e-3 * rng.standard_normal(images.shape), 16.0 - images):
        found = reconstruction.compute(back, images, Space((1, 8, 8), 17), None)
        assert within(found["mse"], 0, math.inf)
        assert within(found["ssim"], -1, 1)
        assert -1 <= found["ssim"].value <= 1
    for lengths in (np.full(9, 0.1), np.r_[np.zeros(40), 1e3], rng.lognormal(size=50)):
        assert within(path_length.compute(lengths)["ppl"], 0, math.inf)
    sure = LogLikelihood(np.r_[np.zeros(30), -9.0], "exact", "by hand")
    assert within(nll.compute(sure, Space((4,), 2), None)["nll"], 0, math.inf)
    assert nll.compute(sure, Space((4,)), None)["nll"].ci95[0] < 0 < nll.compute(sure, Space((4,)), None)["nll"].value
    x = rng.integers(2, size=(9, 2))
    assert within(copies.compute(x, x, x)["copies"], 0, 1)


def test_a_distance_is_not_below_0_and_neither_is_its_interval():
    rng = np.random.default_rng(1)
    for _ in range(10):
        x, y = rng.standard_normal((12, 2)), rng.standard_normal((12, 2))
        assert within(fd.compute(x, y)["fd"], 0, math.inf)
        assert fd.compute(x, x[::-1].copy())["fd"].value >= 0
        labels = np.arange(12) % 2
        found = per_class.compute(x, labels, y, labels)
        assert within(found["fd_per_class"], 0, math.inf)
        assert within(found["precision_per_class"], 0, 1)


# Equal counts


def brute_force(x, y, k):
    with contextlib.redirect_stdout(io.StringIO()):
        return prdc.compute_prdc(y, x, k)


BY_COUNTS = (precision_recall, density_coverage)


@pytest.mark.parametrize("module", BY_COUNTS)
def test_samples_meet_as_many_training_examples(module):
    rng = np.random.default_rng(0)
    x, train = Points(rng.standard_normal((80, 3))), Points(rng.standard_normal((400, 3)))
    found = module.compute(x, train, k=3)
    y = reference(x, train)
    assert len(y) == 80
    assert {row.tobytes() for row in y.x} <= {row.tobytes() for row in train.x}
    peer = brute_force(x.x, y.x, 3)
    for name, measure in found.items():
        assert measure.value == pytest.approx(peer[name], rel=1e-12)
        assert {"n_samples": 80, "n_train": 400, "n_reference": 80}.items() <= measure.details.items()
        assert measure.details["note"] == "against 80 of 400 training examples, as many as there are samples"


@pytest.mark.parametrize("module", BY_COUNTS)
def test_where_there_are_fewer_training_examples_all_are_taken_and_that_is_said(module):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((90, 3)), rng.standard_normal((40, 3))
    peer = brute_force(x, y, 3)
    for name, measure in module.compute(x, y, k=3).items():
        assert measure.value == pytest.approx(peer[name], rel=1e-12)
        assert measure.details["n_reference"] == 40
        assert measure.details["note"] == "against all 40 training examples: fewer than the 90 samples"
    for measure in module.compute(x[:40], y, k=3).values():
        assert "note" not in measure.details


@pytest.mark.parametrize("module", BY_COUNTS)
def test_real_data_have_the_values_of_equal_counts_however_much_training_data_there_is(module):
    """Coverage of 1,000 real images among 60,000 was 0.089, a number that nobody could read."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 4))
    small, large = (module.compute(x, rng.standard_normal((n, 4))) for n in (200, 6000))
    for name, measure in small.items():
        assert large[name].value == pytest.approx(measure.value, abs=4 * math.hypot(measure.stderr, large[name].stderr))
    if module is density_coverage:
        assert large["coverage"].value > 0.9


@pytest.mark.parametrize("module", BY_COUNTS)
def test_the_reference_is_chosen_by_contents_and_not_by_order(module):
    rng = np.random.default_rng(0)
    x, train = rng.standard_normal((60, 3)), rng.standard_normal((300, 3))
    train[:150] += 4  # sorted by class, as data sets come
    one = module.compute(x, train)
    for order in (np.arange(300)[::-1], rng.permutation(300)):
        other = module.compute(x, train[order])
        assert {n: (m.value, m.ci95) for n, m in other.items()} == {n: (m.value, m.ci95) for n, m in one.items()}
    y = reference(Points(x), Points(train)).x
    assert abs((y[:, 0] > 2).sum() - 30) < 4 * math.sqrt(60 * 0.25)


def test_of_equal_rows_each_has_a_chance_of_its_own():
    """By a hash of the rows alone, a row that makes up one half of them would come wholly or not at all."""
    rows = np.repeat(np.arange(5.0), [500, 250, 125, 100, 25])[:, None]
    seen = np.array(
        [np.bincount(rows[Points(rows).sampled(200, seed), 0].astype(int), minlength=5) for seed in range(40)]
    )
    n, p = 200, np.array([0.5, 0.25, 0.125, 0.1, 0.025])
    sd = np.sqrt(n * p * (1 - p) * (1000 - n) / 999)  # hypergeometric
    assert (np.abs(seen.mean(0) - n * p) < 4 * sd / math.sqrt(40)).all()
    assert (np.abs(seen - n * p) < 5 * sd).all()
    assert len(set(Points(rows).sampled(200, 0))) == 200


def test_the_reference_is_made_once_for_all_models_and_metrics():
    rng = np.random.default_rng(0)
    train = Points(rng.standard_normal((200, 3)))
    made = [reference(Points(rng.standard_normal((50, 3))), train) for _ in range(2)]
    assert made[0] is made[1]
    assert reference(Points(rng.standard_normal((200, 3))), train) is train


PEERS = ("torch-fidelity", "torchmetrics", "prdc", "vendi-score", "dgm-eval", "authors' code", "reference code")


@pytest.mark.parametrize("name", catalog.entries("metrics"))
def test_what_is_said_of_other_peoples_code_is_said_of_one_version(name):
    """What holds of one commit need not hold of the next: a release or a commit stands in the same docstring."""
    text = catalog.find("metrics", name).constants["__doc__"]
    for peer in PEERS:
        said = rf"{peer} \d+\.\d+" if "-" in peer or peer in ("torchmetrics", "prdc") else r"held against no release"
        if peer in text:
            assert re.search(said, text) or re.search(r"commits? [0-9a-f]{7}\b", text), peer
