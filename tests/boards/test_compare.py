"""Comparisons: pairs where the examples are the same, intervals of known size, gates that trip when they should."""

import json
import math
import operator
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from genbench.boards.compare import (
    DECIDES,
    Comparison,
    Difference,
    Gate,
    Missing,
    as_dicts,
    compare,
    judge,
    lettered,
    of_intervals,
    table,
    together,
    tripped,
)
from genbench.boards.ranks import PER_EXAMPLE
from genbench.errors import GenbenchError
from genbench.metrics import KINDS, mean
from genbench.run.records import Record, Run, content_key
from genbench.space import Space

SPACE = Space((4,), 2)
SIDE = stats.norm.ppf(0.975)


def put(run: Run, model: str, nats: np.ndarray, seed: int = 0, metric: str = "nll", **changes) -> None:
    """A record of an NLL whose log-likelihoods are kept, as evaluate writes it."""
    bits = SPACE.bits_per_dim(1.0) * nats
    run.put_arrays(content_key(model), {"values": -nats})
    run.put(
        Record(
            cell_id=model,
            run_id="run",
            status="ok",
            model={"name": model, "family": "flow", "parameters": 1},
            dataset={"name": "d", "split": "test", "sha256": "f", "n": len(nats), "space": SPACE.to_dict()},
            metric={"name": metric, "version": 1, "direction": "lower", "unit": "bits/dim", "params": {}},
            protocol={"seed": seed},
            kind="exact",
            stderr=float(bits.std(ddof=1) / np.sqrt(len(bits))),
            arrays={PER_EXAMPLE[metric]: content_key(model)},
            **{"value": float(bits.mean()), **changes},
        )
    )


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run")


# --- Intervals


def test_pairs_see_what_independent_intervals_cannot(run):
    """Two models that differ by 0.1 on examples whose own spread is 50 times that."""
    rng = np.random.RandomState(0)
    hard, noise = 5 * rng.standard_normal(400), 0.05 * rng.standard_normal(400)
    put(run, "a", 20 + hard)
    put(run, "b", 20 + hard - 0.1 + noise)
    found = compare(f"{run.folder}:a", f"{run.folder}:b").differences[0]
    expected = SPACE.bits_per_dim(1.0) * (noise - 0.1)
    assert found.verdict == "better"
    assert found.method == "paired over examples"
    assert found.difference == pytest.approx(expected.mean(), rel=1e-9)
    assert found.ci95 == pytest.approx(mean(expected).ci95)


@pytest.mark.parametrize(("gap", "verdict"), [(0.4, "worse"), (-0.4, "better"), (0.0, "no difference")])
def test_the_interval_of_pairs_is_that_of_the_paired_t_test(run, gap, verdict):
    """Differences without skewness, which needs no correction: against scipy, in bits per dimension."""
    rng = np.random.default_rng(0)
    hard, noise = 30 + 9 * rng.standard_normal(60), rng.standard_normal(30)
    base, new = hard, hard + gap + np.concatenate([noise, -noise])
    put(run, "a", base)
    put(run, "b", new)
    found = compare(f"{run.folder}:a", f"{run.folder}:b").differences[0]
    bits = 1 / (4 * math.log(2))
    expected = stats.ttest_rel(bits * new, bits * base).confidence_interval(0.95)
    assert found.ci95 == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.difference == pytest.approx(bits * gap, rel=1e-9, abs=1e-12)
    assert (found.base, found.new) == pytest.approx((bits * base.mean(), bits * new.mean()))
    assert (found.unit, found.verdict) == ("bits/dim", verdict)


def test_pieces_of_one_sequence_are_compared_over_batches(run):
    """Differences that last for scenes of 20 pieces: the interval is the t test's of ten means, not of 200 pieces."""
    scenes = np.random.default_rng(4).standard_normal(10)
    for model, nats in (("a", np.zeros(200)), ("b", np.repeat(scenes - scenes.mean() + 0.3, 20))):
        put(run, model, nats, details={"batches": 10})
    (found,) = compare(f"{run.folder}:a", f"{run.folder}:b").differences
    test = stats.ttest_1samp(SPACE.bits_per_dim(1.0) * (scenes - scenes.mean() + 0.3), 0)
    assert found.ci95 == pytest.approx(tuple(test.confidence_interval(0.95)))
    assert (found.p, found.freedom) == (pytest.approx(test.pvalue), 9)
    assert (found.method, found.verdict) == ("paired over batches of examples", "no difference")


@pytest.mark.parametrize("lost", [["a"], ["b"], ["a", "b"]])
def test_without_both_arrays_two_estimates_are_independent(run, lost):
    for model, shift in (("a", 0.0), ("b", 0.1)):
        put(run, model, shift + np.random.RandomState(1).standard_normal(100))
    for model in lost:
        (run.arrays / f"{content_key(model)}.npz").unlink()
    found = compare(f"{run.folder}:a", f"{run.folder}:b").differences[0]
    assert found.method == "normal, independent"
    assert found.verdict == "no difference"


def estimates(run, record, base, new, metric="fd", direction="lower", **changes):
    """The differences of two records without arrays, each (value, standard error)."""
    for model, (value, stderr) in (("a", base), ("b", new)):
        ends = stderr if stderr is None else (value - SIDE * stderr, value + SIDE * stderr)
        run.put(record(model, metric, value, card={"direction": direction}, stderr=stderr, **{"ci95": ends, **changes}))
    return compare(f"{run.folder}:a", f"{run.folder}:b").differences


@pytest.mark.parametrize(("base", "new"), [(3.0, 4.0), (4.0, 3.0), (5.0, 12.0), (0.0, 2.0)])
def test_the_variances_of_independent_estimates_add_up(run, record, base, new):
    """3 and 4 make 5; a standard error of 0 is one."""
    (found,) = estimates(run, record, (100.0, base), (110.0, new))
    half = SIDE * math.sqrt(base * base + new * new)
    assert found.ci95 == pytest.approx((10 - half, 10 + half), rel=1e-12)
    assert (found.base, found.new, found.difference) == (100.0, 110.0, 10.0)
    assert found.method == "normal, independent"


def test_the_independent_interval_tells_two_apart_where_it_should(run, record):
    """With standard errors 3 and 4 from a gap of 1.96 times 5 on: not from 1.96 times 4, nor only from 1.96 times 7."""
    for gap, verdict in ((SIDE * 5 * 0.99, "no difference"), (SIDE * 5 * 1.01, "worse"), (-SIDE * 5 * 1.01, "better")):
        assert estimates(run, record, (0.0, 3.0), (gap, 4.0))[0].verdict == verdict


@pytest.mark.parametrize(("sign", "verdict"), [(1, "worse"), (-1, "no difference")])
def test_samples_have_the_covariance_of_the_training_examples_that_they_share(run, record, sign, verdict):
    """With deviations e and +-e the difference has the variance of what is left, or twice that of independent ones."""
    e = np.random.default_rng(0).standard_normal(50)
    size = float(np.linalg.norm(e))
    for model, value, scale in (("a", 10.0, 1), ("b", 10.0 + size, sign)):
        run.put_arrays(content_key([model, "shared"]), {"values": scale * e})
        arrays = {"shared": content_key([model, "shared"])}
        run.put(record(model, "fd", value, stderr=1.01 * size, arrays=arrays))
    (d,) = compare(f"{run.folder}:a", f"{run.folder}:b").differences
    own, moved = (1.01**2 - 1) * size**2, (4 * size**2 if sign < 0 else 0.0)
    freedom = (2 * own + moved) ** 2 / (moved**2 / 49) if moved else math.inf
    half = stats.t.ppf(0.975, freedom) * math.sqrt(2 * own + moved)
    assert d.ci95[1] - d.difference == pytest.approx(half, rel=1e-6)
    how = "normal, with the training examples that they share"
    assert d.method == (how.replace("normal", "t") + " (Satterthwaite 1946)" if moved else how)
    assert d.verdict == verdict
    (run.arrays / f"{content_key(['b', 'shared'])}.npz").unlink()
    assert compare(f"{run.folder}:a", f"{run.folder}:b").differences[0].method == "normal, independent"


@pytest.mark.parametrize(("base", "new"), [(None, 4.0), (3.0, None), (None, None)])
@pytest.mark.parametrize("ci95", [None, (None, 3.0)])
def test_without_a_standard_error_and_an_interval_there_is_none(run, record, base, new, ci95):
    (found,) = estimates(run, record, (1.0, base), (2.0, new), ci95=ci95)
    assert (found.ci95, found.verdict) == (None, "unknown")
    assert found.method == "none: one of the two has neither a standard error nor an interval"
    assert estimates(run, record, (2.0, base), (2.0, new), ci95=ci95)[0].verdict == "no difference"


def test_intervals_stand_in_for_standard_errors(run, record):
    """A throughput has an interval by order statistics and no standard error: lopsided, as its repeats were."""
    card = {"direction": "higher"}
    run.put(record("a", "throughput", 100.0, card=card, ci95=(70.0, 104.0)))
    run.put(record("b", "throughput", 80.0, card=card, ci95=(77.0, 110.0)))
    (found,) = compare(f"{run.folder}:a", f"{run.folder}:b").differences
    assert found.ci95 == pytest.approx((-20 - math.hypot(3, 4), -20 + math.hypot(30, 30)))
    assert (found.method, found.verdict) == ("from both intervals, independent", "no difference")
    assert tripped(Comparison((run, run), [found], []), Gate.read("throughput:-5%")) == [], "load alone trips nothing"


@pytest.mark.parametrize(("base", "new"), [(3.0, 4.0), (0.0, 2.0), (5.0, 12.0)])
def test_intervals_that_are_normal_say_what_standard_errors_say(base, new):
    low_high = [(v - SIDE * e, v + SIDE * e) for v, e in ((100.0, base), (110.0, new))]
    half = SIDE * math.hypot(base, new)
    assert of_intervals(100.0, low_high[0], 110.0, low_high[1]) == pytest.approx((10 - half, 10 + half), rel=1e-12)


def test_the_interval_from_two_lopsided_ones_holds_the_difference_as_often_as_it_says():
    """Medians of exponential repeats, as of timings on a machine under load: their intervals are far from normal.

    2000 pairs: a share of .95 has a standard error of .005. The parts hold more than 95 % (1 - 2^-7, at eight
    repeats), so the whole holds at least that, and not less than .93, four standard errors below.
    """
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        x, y = rng.exponential(size=8), 3 * rng.exponential(size=8)
        a, b = float(np.median(x)), float(np.median(y))
        low, high = of_intervals(a, (x.min(), x.max()), b, (y.min(), y.max()))
        held += low <= 2 * math.log(2) <= high  # the medians are log 2 and 3 log 2
    assert held / 2000 > 0.93


def test_one_standard_error_and_one_interval_are_enough(run, record):
    run.put(record("a", "fd", 10.0, stderr=1.0, ci95=None))
    run.put(record("b", "fd", 20.0, ci95=(18.0, 23.0)))
    (found,) = compare(f"{run.folder}:a", f"{run.folder}:b").differences
    assert found.ci95 == pytest.approx((10 - math.hypot(2, SIDE), 10 + math.hypot(3, SIDE)))


@pytest.mark.parametrize("metric", PER_EXAMPLE)
def test_every_mean_over_test_examples_is_compared_by_pairs(run, metric):
    hard = 30 + 9 * np.random.default_rng(0).standard_normal(60)
    put(run, "a", hard, metric=metric)
    put(run, "b", hard + 0.4 + 0.01 * np.arange(60), metric=metric)
    (found,) = compare(f"{run.folder}:a", f"{run.folder}:b").differences
    assert (found.method, found.verdict) == ("paired over examples", "worse")


def test_a_value_that_is_no_mean_of_what_is_kept_is_not_compared_by_pairs(run):
    hard = 30 + 9 * np.random.default_rng(0).standard_normal(60)
    put(run, "a", hard)
    put(run, "b", hard + 0.4, value=11.5)
    (found,) = compare(f"{run.folder}:a", f"{run.folder}:b").differences
    assert "independent" in found.method


def test_only_the_likelihood_itself_is_compared_by_pairs(run, record):
    """Another metric made from the same arrays is not their mean."""
    run.put_arrays(content_key("kept"), {"values": np.arange(5.0)})
    (found,) = estimates(run, record, (1.0, 0.1), (2.0, 0.1), "nll-ode", arrays={"log_likelihood": content_key("kept")})
    assert found.method == "normal, independent"


# --- What is compared with what


def test_what_was_measured_differently_is_not_compared(run):
    put(run, "a", np.arange(9.0))
    put(run, "b", np.arange(9.0), seed=1)
    assert compare(f"{run.folder}:a", f"{run.folder}:b").differences == []


def test_each_metric_is_compared_with_itself(run, record):
    for model, shift in (("a", 0.0), ("b", 100.0)):
        for i, metric in enumerate(("fd", "kd", "is")):
            run.put(record(model, metric, shift + i, stderr=1.0, card={"direction": "higher" if i == 2 else "lower"}))
    found = {d.metric: d for d in compare(f"{run.folder}:a", f"{run.folder}:b").differences}
    assert {m: (d.base, d.new, d.verdict) for m, d in found.items()} == {
        "fd": (0.0, 100.0, "worse"),
        "kd": (1.0, 101.0, "worse"),
        "is": (2.0, 102.0, "better"),
    }


OK = ("ok", 1.0)
NONE, NA, BAD, INF = None, ("skipped", None), ("error", None), ("ok", None)
LATE, CRASHED = ("timeout", None), ("crashed", None)


def of_states(record, tmp_path, base, new, more=True):
    """The comparison of two runs whose cell of fd is in these states, beside a metric that both have."""
    runs = [Run(tmp_path / name) for name in ("base", "new")]
    for run, state in zip(runs, (base, new), strict=True):
        if more:
            run.put(record("m", "kd", 1.0, stderr=1.0))
        if state is not None:
            status, number = state
            error = None if status == "ok" else {"type": "ValueError", "message": "boom\nand more"}
            run.put(record("m", "fd[pixels]", number, stderr=1.0, status=status, error=error))
    return compare(str(runs[0].folder), str(runs[1].folder))


@pytest.mark.parametrize(
    ("base", "new", "lacking", "why"),
    [
        (OK, NONE, "new", "not measured in "),
        (OK, NA, "new", "not applicable in "),
        (OK, BAD, "new", "error in "),
        (BAD, NONE, "new", "not measured in "),
        (BAD, NA, "new", "not applicable in "),
        (BAD, BAD, "new", "error in "),
        (NA, BAD, "new", "error in "),
        (NONE, BAD, "new", "error in "),
        (INF, NONE, "new", "not measured in "),
        (INF, NA, "new", "not applicable in "),
        (INF, BAD, "new", "error in "),
        (OK, LATE, "new", "timeout in "),
        (OK, CRASHED, "new", "crashed in "),
        (CRASHED, CRASHED, "new", "crashed in "),
        (NA, LATE, "new", "timeout in "),
        (LATE, OK, "base", "timeout in "),
        (CRASHED, INF, "base", "crashed in "),
        (NONE, OK, "base", "not measured in "),
        (NA, OK, "base", "not applicable in "),
        (BAD, OK, "base", "error in "),
        (NONE, INF, "base", "not measured in "),
        (NA, INF, "base", "not applicable in "),
        (BAD, INF, "base", "error in "),
        (NA, NA, "both", "not applicable in "),
        (NA, NONE, "both", "not measured in "),
        (NONE, NA, "both", "not applicable in "),
    ],
)  # fmt: skip
def test_what_a_side_lacks_is_named_and_trips_a_gate_if_new_lacks_it(record, tmp_path, base, new, lacking, why):
    """All pairs of states in which there is nothing to compare: not there, not applicable, failed, not finite, ok."""
    found = of_states(record, tmp_path, base, new)
    assert [d.metric for d in found.differences] == ["kd"]
    (missing,) = found.missing
    where = tmp_path / ("base" if lacking == "base" else "new")
    assert (missing.model, missing.metric, missing.lacking) == ("m", "fd[pixels]", lacking)
    assert missing.why.startswith(f"{why}{where}")
    assert ("boom" in missing.why) == ("measured" not in why)
    assert "\n" not in missing.why
    assert found.left_out() == ([] if lacking == "both" else [f"m: fd[pixels]: {missing.why}"])
    assert tripped(found, Gate.read("kd:+2%")) == []
    # Of a metric that was compared nowhere, whoever lacks it, a gate does not pass.
    assert tripped(found, Gate.read("fd:+2%")) == [missing]
    assert tripped(found, Gate.read("fd:-2%")) == [missing]
    elsewhere = replace(found.differences[0], metric="fd[pixels]", model="other", difference=0.0)
    beside = replace(found, differences=[elsewhere])
    assert tripped(beside, Gate.read("fd:+2%")) == ([missing] if lacking == "new" else [])


@pytest.mark.parametrize(
    ("base", "new", "verdict", "trips"),
    [
        (OK, INF, "worse", True),
        (INF, OK, "better", False),
        (INF, INF, "unknown", True),
        (OK, OK, "no difference", False),
    ],
)
@pytest.mark.parametrize("direction", ["lower", "higher", "none"])
def test_a_value_that_is_not_finite_is_worse_than_any_that_is(record, tmp_path, base, new, verdict, trips, direction):
    runs = [Run(tmp_path / name) for name in ("base", "new")]
    for run, (_, number) in zip(runs, (base, new), strict=True):
        run.put(record("m", "fd", number, stderr=1.0, card={"direction": direction}))
    found = compare(str(runs[0].folder), str(runs[1].folder))
    (d,) = found.differences
    assert d.verdict == ("changed" if direction == "none" and verdict in ("worse", "better") else verdict)
    for gate in ("fd:+2%", "fd:-2%", "fd:+5", "fd:+0"):
        assert bool(tripped(found, Gate.read(gate))) is trips, gate
    assert ("not finite" in table([d])) == (INF in (base, new))
    assert json.loads(json.dumps(as_dicts(found), allow_nan=False))[0]["verdict"] == d.verdict


def test_a_model_that_is_gone_is_named_and_trips_the_gates_of_its_metrics(record, tmp_path):
    base, new = Run(tmp_path / "base"), Run(tmp_path / "new")
    for run, models in ((base, ("stays", "gone")), (new, ("stays", "comes"))):
        for model in models:
            for metric in ("fd[pixels]", "kd"):
                run.put(record(model, metric, 1.0, stderr=1.0))
    run.put(record("comes", "is", 1.0))
    found = compare(str(base.folder), str(new.folder))
    assert [(d.model, d.metric) for d in found.differences] == [("stays", "fd[pixels]"), ("stays", "kd")]
    assert found.left_out() == [
        f"gone: fd[pixels], kd: no such model in {new.folder}",
        f"comes: fd[pixels], kd, is: no such model in {base.folder}",
    ]
    assert [m.said for m in tripped(found, Gate.read("fd:+2%"))] == [f"gone, fd[pixels]: no such model in {new.folder}"]
    assert [m.model for m in tripped(found, Gate.read("is:+2%"))] == ["comes"], "compared nowhere"
    one = compare(str(base.folder), f"{new.folder}:stays")
    assert one.missing == []
    only = compare(f"{base.folder}:gone", str(new.folder))
    assert only.differences == []
    assert [m.lacking for m in only.missing] == ["new", "new"]
    only = compare(str(base.folder), f"{new.folder}:comes")
    assert [m.lacking for m in only.missing] == ["base", "base", "base"]


def test_what_was_measured_differently_is_named_once_with_what_differs(record, tmp_path):
    base, new = Run(tmp_path / "base"), Run(tmp_path / "new")
    base.put(record("m", "fd", 1.0, protocol={"seed": 0, "n_samples": 500}))
    new.put(record("m", "fd", 1.0, protocol={"seed": 0, "n_samples": 1000}))
    found = compare(str(base.folder), str(new.folder))
    line = f"measured differently, n_samples=500 in {base.folder}, n_samples=1000 in {new.folder}"
    assert found.left_out() == [f"m: fd: {line}"]
    assert [m.said for m in tripped(found, Gate.read("fd:+2%"))] == [f"m, fd: {line}"]


def test_of_two_records_in_one_cell_the_later_is_compared(record, tmp_path):
    """A model trained anew has another cell and the same name, and file names say nothing of the order."""
    for early, late in (("0" * 16, "f" * 16), ("f" * 16, "0" * 16)):
        base, new = Run(tmp_path / f"base{early[0]}"), Run(tmp_path / f"new{early[0]}")
        for run, numbers in ((base, (1.0, 2.0)), (new, (10.0, 20.0))):
            for cell_id, number, ended in zip((early, late), numbers, ("2026-01-02", "2026-01-10"), strict=True):
                run.put(record("m", "fd", number, cell_id=cell_id, ended=ended))
        (found,) = compare(str(base.folder), str(new.folder)).differences
        assert (found.base, found.new) == (2.0, 20.0)


def test_a_run_whose_name_has_a_colon_is_a_run(record, tmp_path):
    for name in ("a", "a:b", "a:b:c"):
        for model in ("m", "b"):
            Run(tmp_path / name).put(record(model, value=float(len(name) + (model == "b"))))

    def number(text):
        return [d.base for d in compare(str(tmp_path / text), str(tmp_path / text)).differences]

    assert number("a:m") == [1.0]
    assert sorted(number("a:b")) == [3.0, 4.0], "the folder, not the model b of the folder a"
    assert number("a:b:m") == [3.0]
    assert number("a:b:c:b") == [6.0]
    with pytest.raises(GenbenchError, match=r"no run at .*none\n"):
        compare(str(tmp_path / "none:m"), str(tmp_path / "a"))


def test_models_of_one_name_are_compared_or_the_two_that_are_named(record, tmp_path):
    base, new = Run(tmp_path / "base"), Run(tmp_path / "new")
    for run, models in ((base, "abx"), (new, "yba")):
        for model in models:
            run.put(record(model, value=float(ord(model)) + (run is new), stderr=1.0))

    def names(one, other):
        return {d.model: (d.base - ord("a"), d.new - ord("a")) for d in compare(str(one), str(other)).differences}

    both = {"a": (0.0, 1.0), "b": (1.0, 2.0)}
    assert names(base.folder, new.folder) == both
    assert names(f"{base.folder}:a", new.folder) == {"a": both["a"]}
    assert names(base.folder, f"{new.folder}:b") == {"b": both["b"]}
    assert names(f"{base.folder}:b", f"{new.folder}:b") == {"b": both["b"]}
    assert names(f"{base.folder}:b", f"{new.folder}:y") == {"b -> y": (1.0, 25.0)}
    assert names(f"{base.folder}:x", new.folder) == {}
    with pytest.raises(GenbenchError, match=r"unknown model in .*new 'z'"):
        compare(str(base.folder), f"{new.folder}:z")


# --- Verdicts


@pytest.mark.parametrize(
    ("gap", "ci", "lower"),
    [
        (-1.0, (-2.0, -0.5), "better"),
        (1.0, (0.5, 2.0), "worse"),
        (-1.0, (-2.0, 0.5), "no difference"),
        (1.0, (-0.5, 2.0), "no difference"),
        (-1.0, (-2.0, 0.0), "no difference"),
        (1.0, (0.0, 2.0), "no difference"),
        (0.0, (0.0, 0.0), "no difference"),
        (-1.0, None, "unknown"),
        (1.0, None, "unknown"),
        (0.0, None, "no difference"),
    ],
)
def test_the_verdict_follows_the_direction_of_the_metric(gap, ci, lower):
    opposite = {"better": "worse", "worse": "better"}
    kinds = ("estimate", "estimate")
    assert judge(gap, ci, "lower", kinds) == lower
    assert judge(gap, ci, "higher", kinds) == opposite.get(lower, lower)
    assert judge(gap, ci, "none", kinds) == ("changed" if lower in opposite else lower)


VALUES = range(4)
PAIRS = list(product(KINDS, KINDS))


def possible(kind: str, number: int) -> set[int]:
    """The true values that a number of a kind leaves possible, of seven."""
    return {
        t for t in range(-1, 6) if {"exact": t == number, "upper_bound": t <= number, "lower_bound": t >= number}[kind]
    }


@pytest.mark.parametrize("pair", PAIRS)
def test_two_kinds_decide_what_holds_for_all_true_values_that_they_leave_possible(pair):
    """By enumeration: a sign is decided if, whenever the numbers have it, all possible true values have it."""
    if "estimate" in pair:
        both = {"exact", "estimate"}
        assert DECIDES[pair] == ("<>" if set(pair) <= both else "")
        return
    decided = ""
    for sign, holds in (("<", operator.lt), (">", operator.gt)):
        numbers = [(b, n) for b in VALUES for n in VALUES if holds(n, b)]
        truths = [(t, u) for b, n in numbers for t in possible(pair[0], b) for u in possible(pair[1], n)]
        decided += sign * all(holds(u, t) for t, u in truths)
    assert DECIDES[pair] == decided


def test_every_pair_of_kinds_is_in_the_table():
    assert set(DECIDES) == set(PAIRS)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("direction", ["lower", "higher", "none"])
@pytest.mark.parametrize(
    ("sign", "gap", "ci"),
    [("<", -1.0, (-2.0, -0.5)), (">", 1.0, (0.5, 2.0)), ("", -1.0, (-2.0, 0.5)), ("", 1.0, None), ("", 0.0, None),
     ("<", -math.inf, (-math.inf, -math.inf)), (">", math.inf, (math.inf, math.inf))],
)  # fmt: skip
def test_no_verdict_goes_beyond_what_the_kinds_allow(pair, direction, sign, gap, ci):
    found = judge(gap, ci, direction, pair)
    if DECIDES[pair] == "<>" or (sign and sign in DECIDES[pair]):
        assert found == judge(gap, ci, direction, ("exact", "exact"))
        assert not found.startswith("not decided")
    else:
        bounds = [kind for kind in pair if kind.endswith("_bound")]
        rest = "an estimate" if "estimate" in pair else "an exact value"
        why = "two bounds" if len(bounds) == 2 else f"a bound and {rest}"
        said, _, change = found.partition("; ")
        assert said == f"not decided: {why}"
        alike = sign and sign in NUMBERS[direction].get(pair, "")
        up = {"lower": "certified worse", "higher": "certified better"}.get(direction, "the bound is higher")
        down = {"lower": "certified better", "higher": "certified worse"}.get(direction, "the bound is lower")
        if (direction, pair[0]) in {("lower", "lower_bound"), ("higher", "upper_bound")}:
            up, down = "the bound is higher", "the bound is lower"
        assert change == ({"<": down, ">": up}[sign] if alike else "")


# Which changes of two numbers are judged although they leave the true values open, by hand. Where a smaller value is
# better, exact values and upper bounds certify, so one may follow the other; two bounds of one kind are alike anyway.
SAME_KIND = {(kind, kind): "<>" for kind in ("upper_bound", "lower_bound")}
NUMBERS = {
    "none": SAME_KIND,
    "lower": {**SAME_KIND, ("exact", "upper_bound"): ">", ("upper_bound", "exact"): "<"},
    "higher": {**SAME_KIND, ("exact", "lower_bound"): "<", ("lower_bound", "exact"): ">"},
}


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("direction", ["lower", "higher", "none"])
@pytest.mark.parametrize("sign", ["<", ">"])
def test_a_gate_trips_on_what_is_decided_and_on_numbers_that_are_alike(run, record, pair, direction, sign):
    """Every pair of kinds, in both directions: clearly changed, hardly changed, and not beyond chance."""
    judged = sign in DECIDES[pair] + NUMBERS[direction].get(pair, "")
    forbids, allows = ("+", "-") if sign == ">" else ("-", "+")
    for change, stderr, trips in ((0.5, 0.01, judged), (0.015, 1e-4, False), (0.5, 1.0, False)):
        new = 1.0 + (change if sign == ">" else -change)
        for model, value, kind in zip("ab", (1.0, new), pair, strict=True):
            run.put(record(model, "m", value, kind=kind, stderr=stderr, card={"direction": direction}))
        found = compare(f"{run.folder}:a", f"{run.folder}:b")
        for amount in ("2%", "0.02"):
            assert bool(tripped(found, Gate.read(f"m:{forbids}{amount}"))) is trips, (change, stderr, amount)
            assert tripped(found, Gate.read(f"m:{allows}{amount}")) == []
        unsaid = found.differences[0].verdict.startswith("not decided") and pair not in NUMBERS[direction]
        assert bool(Gate.read("m:+2%").undecided(found.differences)) is unsaid


def test_a_bound_that_got_worse_is_judged_by_pairs(run):
    """A nightly gate on a bound: the change is seen example by example, and the table says what it is not."""
    rng = np.random.default_rng(0)
    hard, noise = 5 * rng.standard_normal(400), 0.05 * rng.standard_normal(400)
    put(run, "a", 20 + hard)
    put(run, "b", 20 + hard + 0.5 + noise)
    for model in "ab":
        run.put(replace(run.get(model), kind="upper_bound"))
    found = compare(f"{run.folder}:a", f"{run.folder}:b")
    (d,) = found.differences
    assert (d.verdict, d.method) == ("not decided: two bounds; certified worse", "paired over examples")
    assert tripped(found, Gate.read("nll:+2%")) == [d]
    assert "two bounds; certified worse" in d.said
    assert tripped(found, Gate.read("nll:+3%")) == []


def test_an_upper_bound_below_an_exact_value_is_better_by_at_least_so_much_and_above_it_says_nothing(run, record):
    """With standard errors 0.03 and 0.04 the difference is known up to 0.05 times 1.96, rounded down to two digits."""
    least = 1 - SIDE * 0.05
    undecided = "not decided: a bound and an exact value"
    for new, verdict in (
        (1.0, f"at least {math.floor(100 * least) / 100} better"),
        (2.0, undecided),
        (3.0, f"{undecided}; certified worse"),
    ):
        run.put(record("a", "nll", 2.0, kind="exact", stderr=0.03))
        run.put(record("b", "nll", new, kind="upper_bound", stderr=0.04))
        found = compare(f"{run.folder}:a", f"{run.folder}:b")
        (d,) = found.differences
        assert d.verdict == verdict
        assert tripped(found, Gate.read("nll:+2%")) == ([d] if new == 3.0 else []), "2.0 is certified no more"
        assert Gate.read("nll:+2%").undecided(found.differences) == []
        assert d.decided or undecided in d.said
        assert "| = 2 | ≤" in re.sub(" +", " ", table([d]))
    back = compare(f"{run.folder}:b", f"{run.folder}:a").differences[0]
    assert back.verdict == f"{undecided}; certified better"
    run.put(record("b", "nll", 1.0, kind="upper_bound", stderr=0.04))
    back = compare(f"{run.folder}:b", f"{run.folder}:a")
    assert back.differences[0].verdict == f"at least {math.floor(100 * least) / 100} worse"
    assert tripped(back, Gate.read("nll:+2%")) == back.differences


@pytest.mark.parametrize("pair", [("estimate", "upper_bound"), ("lower_bound", "estimate")])
def test_an_estimate_and_a_bound_decide_nothing_and_trip_no_gate(run, record, pair):
    for model, value, kind in zip("ab", (1.0, 2.0), pair, strict=True):
        run.put(record(model, "nll", value, stderr=0.01, kind=kind))
    (d,) = found = compare(f"{run.folder}:a", f"{run.folder}:b").differences
    assert d.verdict == "not decided: a bound and an estimate"
    assert (d.p, d.p_holm, d.detectable) == (None, None, None), "nothing is tested"
    assert trip(found, "nll:+1%") == []
    assert Gate.read("nll:+1%").undecided(found) == [d]


def test_estimates_are_no_better_known_than_their_intervals(run, record):
    """Standard errors of few groups have intervals by Student's t, and one of 0 can have Wilson's."""
    (found,) = estimates(run, record, (0.0, 0.0), (0.03, 0.0), ci95=(-0.02, 0.06))
    half = 0.04 * math.sqrt(2)
    assert found.ci95 == pytest.approx((0.03 - half, 0.03 + half), rel=1e-12)
    few = float(stats.t.ppf(0.975, 4))
    (found,) = estimates(run, record, (0.0, 1.0), (9.0, 1.0), ci95=(-few, few))
    half = stats.t.ppf(0.975, 8) * math.sqrt(2)
    assert found.ci95 == pytest.approx((9.0 - half, 9.0 + half), rel=1e-5), "Welch: twice as many degrees of freedom"
    assert found.method == "t, independent (Satterthwaite 1946)"


def test_a_lower_bound_above_an_upper_bound_is_worse_by_at_least_their_difference(run, record):
    run.put(record("a", "nll", 1.0, kind="upper_bound", stderr=0.0, ci95=None))
    run.put(record("b", "nll", 1.5, kind="lower_bound", stderr=0.0, ci95=None))
    assert compare(f"{run.folder}:a", f"{run.folder}:b").differences[0].verdict == "at least 0.5 worse"


# --- Several tests at once


def several(run, record, gaps, kinds=("estimate", "estimate")):
    """Differences of so many standard errors in metrics of their own."""
    for i, gap in enumerate(gaps):
        for model, value, kind in zip("ab", (0.0, gap), kinds, strict=True):
            run.put(record(model, f"metric-{i}", value, stderr=math.sqrt(0.5), kind=kind, card={"unit": ""}))
    return compare(f"{run.folder}:a", f"{run.folder}:b").differences


def test_verdicts_are_adjusted_for_all_that_a_call_compares(run, record):
    """By hand: 3 tests, of which two-sided p of 0.04 would count alone, 0.02 is the second step, 0.01 the first."""
    gaps = [float(stats.norm.isf(p / 2)) for p in (0.04, 0.01, 0.02)]
    found = several(run, record, gaps)
    assert [d.p for d in found] == pytest.approx([0.04, 0.01, 0.02])
    assert [d.p_holm for d in found] == pytest.approx([0.04, 0.03, 0.04])
    assert [d.verdict for d in found] == ["worse"] * 3
    (other,) = several(Run(run.folder.parent / "one"), record, gaps[:1])
    assert other.p_holm == pytest.approx(0.04)
    gaps[1] = 0.0
    found = several(Run(run.folder.parent / "two"), record, gaps)
    assert [d.p_holm for d in found] == pytest.approx([0.08, 1.0, 0.06])
    assert [d.verdict for d in found] == ["no difference"] * 3
    assert found[0].ci95[0] > 0, "the interval of one metric alone"
    assert "verdict (Holm, 3 tests)" in table(found)
    assert trip(found, "metric-0:+0") == [], "a gate too holds for all that is compared"


def test_what_decides_nothing_is_no_test(run, record):
    """A bound and an estimate, and values without an interval, do not make the others harder to tell apart."""
    gap = float(stats.norm.isf(0.02))
    found = several(run, record, [gap])
    run.put(record("a", "nll", 1.0, kind="upper_bound", stderr=1.0))
    run.put(record("b", "nll", 2.0, kind="estimate", stderr=1.0))
    for model in "ab":
        run.put(record(model, "fd", 1.0 + (model == "b"), ci95=None))
    more = {d.metric: d for d in compare(f"{run.folder}:a", f"{run.folder}:b").differences}
    assert more["metric-0"] == found[0]
    assert more["fd"].verdict == "unknown"


def test_where_nothing_is_seen_it_says_what_could_have_been(run, record):
    """With a standard error of 1 that is seen 4 times in 5 from 1.96 + 0.84 on; of two tests, from 2.24 + 0.84 on."""
    (one,) = several(run, record, [1.0])
    assert one.detectable == pytest.approx(SIDE + stats.norm.ppf(0.8))
    assert "no difference (detectable: 2.8)" in table([one])
    found = several(Run(run.folder.parent / "two"), record, [1.0, 9.0])
    assert found[0].detectable == pytest.approx(stats.norm.isf(0.0125) + stats.norm.ppf(0.8))
    assert found[1].detectable is None


def test_at_least_is_said_of_all_differences_at_once(run, record):
    """An exact value and an upper bound, with intervals at 1 - 0.05 / 2 each; where they reach 0, no number."""
    gaps = [-9.0, -2.1]
    found = several(run, record, gaps, ("exact", "upper_bound"))
    least = 9 - stats.norm.isf(0.0125)
    assert found[0].verdict == f"at least {math.floor(10 * least) / 10} better"
    assert (found[1].verdict, found[1].p_holm) == ("better", pytest.approx(2 * stats.norm.sf(2.1)))


def test_the_verdicts_of_a_call_are_wrong_together_as_seldom_as_they_say():
    """20 tests of nothing, 600 times: 5 % with a standard error of 0.9 %; without Holm it would be 64 %."""
    rng = np.random.default_rng(0)
    wrong = 0
    for z in rng.standard_normal((600, 20)):
        ps = 2 * stats.norm.sf(np.abs(z))
        one = [
            replace(DIFFERENCE, difference=x, ci95=(x - SIDE, x + SIDE), p=p)
            for x, p in zip(z.tolist(), ps.tolist(), strict=True)
        ]
        wrong += any(d.verdict != "no difference" for d in together(one))
    assert wrong / 600 < 0.05 + 4 * 0.009


# --- Gates

KIND = ("estimate", "estimate")
DIFFERENCE = Difference(
    "m", "fd[pixels]", "", "lower", KIND, 100.0, 103.0, 3.0, (1.0, 5.0), "normal", "worse"
)  # fmt: skip


def trip(differences: list[Difference], gate: str) -> list:
    return tripped(Comparison((Run(Path()), Run(Path())), differences, []), Gate.read(gate))


def changed(base: float, gap: float, ci: tuple[float, float] | None) -> Difference:
    return replace(DIFFERENCE, base=base, new=base + gap, difference=gap, ci95=ci)


@pytest.mark.parametrize(
    ("base", "gap", "gate", "trips"),
    [
        (100.0, 3.0, "fd:+2%", True),
        (100.0, 3.0, "fd:+4%", False),
        (100.0, 3.0, "fd:-2%", False),
        (100.0, -3.0, "fd:-2%", True),
        (100.0, -3.0, "fd:-4%", False),
        (100.0, -3.0, "fd:+2%", False),
        (1.0, 0.05, "fd:+4%", True),  # percent are of the base, not of 1 or 100
        (1.0, 0.05, "fd:+6%", False),
        (1000.0, 3.0, "fd:+2%", False),
        (200.0, 1.5, "fd:+0.5%", True),
        (200.0, 0.9, "fd:+0.5%", False),
        # The limit itself is allowed.
        (100.0, 2.0, "fd:+2%", False),
        (100.0, 2.0 + 1e-9, "fd:+2%", True),
        (100.0, -2.0, "fd:-2%", False),
        (100.0, -2.0 - 1e-9, "fd:-2%", True),
        (100.0, 2.0, "fd:+2", False),
        (100.0, 2.0 + 1e-9, "fd:+2", True),
        # Of a negative base, percent are of its size.
        (-100.0, 3.0, "fd:+2%", True),
        (-100.0, 3.0, "fd:+4%", False),
        (-100.0, 1.0, "fd:+2%", False),
        (-100.0, -3.0, "fd:-2%", True),
        (-100.0, -1.0, "fd:-2%", False),
        (-100.0, -3.0, "fd:+2%", False),
        (-100.0, 2.0, "fd:+2%", False),
        # Of 0 there are no percent: any change is more.
        (0.0, 1e-9, "fd:+2%", True),
        (0.0, -1e-9, "fd:+2%", False),
        # Without a sign of percent, the amount is in the unit of the metric.
        (1.0, 3.0, "fd:+2", True),
        (1000.0, 3.0, "fd:+2", True),
        (1000.0, 3.0, "fd:+3.5", False),
        (-100.0, 3.0, "fd:+2", True),
        (100.0, -3.0, "fd:-2", True),
        (100.0, -3.0, "fd:-3.5", False),
        (100.0, 0.1, "fd:+0", True),
        (100.0, 0.0, "fd:+0", False),
    ],
)
@pytest.mark.parametrize("with_interval", [True, False])
def test_a_gate_trips_beyond_its_amount(base, gap, gate, trips, with_interval):
    low, high = sorted((gap / 2, gap * 2))
    assert bool(trip([changed(base, gap, (low, high) if with_interval else None)], gate)) is trips


@pytest.mark.parametrize(
    ("gap", "gate", "ci", "trips"),
    [
        (3.0, "fd:+2", (1e-9, 6.0), True),
        (3.0, "fd:+2", (0.0, 6.0), False),
        (3.0, "fd:+2", (-1.0, 7.0), False),
        (3.0, "fd:+2", (2.5, 3.5), True),
        (-3.0, "fd:-2", (-6.0, -1e-9), True),
        (-3.0, "fd:-2", (-6.0, 0.0), False),
        (-3.0, "fd:-2", (-7.0, 1.0), False),
    ],
)
def test_a_gate_needs_the_whole_interval_on_its_side(gap, gate, ci, trips):
    assert bool(trip([changed(100.0, gap, ci)], gate)) is trips


def test_a_gate_concerns_a_metric_in_every_extractor_and_model_or_the_one_that_is_named():
    names = [("a", "fd[pixels]"), ("b", "fd[pixels]"), ("a", "fd[zoo]"), ("a", "fd-infinity[pixels]"), ("a", "copies")]
    found = [replace(DIFFERENCE, model=model, metric=metric) for model, metric in names]
    found.append(replace(found[0], model="c", difference=0.0))
    for gate, which in {"fd:+2": [0, 1, 2], "fd[pixels]:+2%": [0, 1], "copies:+1": [4], "fd:-2": []}.items():
        assert trip(found, gate) == [found[i] for i in which], gate


@pytest.mark.parametrize(
    "gate",
    [
        *("fd>2", "fd:2%", "fd:+", "fd:+%", ":+2", "fd:+-2", "fd:+2.%", "fd:+2%%", "fd:+2 %", "x fd:+2 y"),
        *("fd:+1e", "fd:+e3", "fd:+1e999", "fd:+inf", "fd:+nan"),
    ],
)
def test_a_gate_that_cannot_be_read_is_refused(gate):
    with pytest.raises(GenbenchError, match="cannot be read"):
        trip([DIFFERENCE], gate)


@pytest.mark.parametrize(("amount", "trips"), [("5e-14", True), ("1e-13", False), ("1e-3", False), ("2e1%", True)])
def test_a_gate_is_written_as_pages_write_small_numbers(amount, trips):
    small = replace(DIFFERENCE, base=2e-13, new=2.8e-13, difference=8e-14, ci95=(6e-14, 1e-13))
    assert bool(trip([small], f"{small.metric}:+{amount}")) is trips


def test_a_gate_of_a_metric_that_was_not_compared_is_refused():
    with pytest.raises(GenbenchError, match="unknown metric of a gate"):
        trip([DIFFERENCE], "kd:+2%")


@pytest.mark.parametrize(
    ("direction", "gate", "better"),
    [("lower", "fd:-2%", True), ("lower", "fd:+2%", False), ("higher", "fd:+2", True), ("higher", "fd:-2", False),
     ("none", "fd:+2%", False), ("none", "fd:-2%", False), ("lower", "kd:-2%", False)],
)  # fmt: skip
def test_a_gate_that_forbids_an_improvement_is_told_from_one_that_does_not(direction, gate, better):
    found = [replace(DIFFERENCE, direction=direction), replace(DIFFERENCE, metric="fd-infinity", direction="none")]
    assert Gate.read(gate).forbids_better(found) is better


# --- What is printed


def test_the_table_has_a_row_for_each_difference():
    without = replace(DIFFERENCE, metric="modes", base=8.0, new=7.5, difference=-0.5, ci95=None, verdict="unknown")
    without = replace(without, method="none: no interval")
    lines = table([DIFFERENCE, without]).splitlines()
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert rows[:2] == [["m:"], [""]]
    assert rows[2] == ["metric", "base", "new", "difference (95 %)", "how", "verdict"]
    assert [c[0] + c[-1] for c in rows[3]] == [":-", "-:", "-:", "-:", ":-", ":-"]
    assert rows[4] == ["fd[pixels]", "~ 100", "~ 103", "+3 [+1, +5]", "a", "worse"]
    assert rows[5] == ["modes", "~ 8", "~ 7.5", "-0.5", "b", "unknown"]
    assert lines[-2:] == ["- a: normal", "- b: none: no interval"]
    lines = table([DIFFERENCE, replace(without, model="n")]).splitlines()
    assert [[c.strip() for c in line.strip("|").split("|")][:2] for line in lines[:4:2]] == [
        ["model", "metric"], ["m", "fd[pixels]"],
    ]  # fmt: skip
    assert lettered(0) + lettered(25) + lettered(26) == "aza1"


def test_a_metric_that_one_side_measured_twice_is_named_with_what_sets_it_apart(run, record):
    for model in "ab":
        run.put(record(model, "nll", 1.0, stderr=0.1, protocol={"k": 1000, "seed": 0}, cell_id=f"{model}0"))
    run.put(record("b", "nll", 0.9, stderr=0.1, protocol={"k": 5000, "seed": 0}, cell_id="b1"))
    found = compare(f"{run.folder}:a", f"{run.folder}:b")
    assert [d.metric for d in found.differences] == ["nll"]
    assert [m.why for m in found.missing] == [f"with k=5000 not measured in {run.folder}:a"]


def test_json_holds_every_field_and_what_is_missing(run):
    absent = Missing("m", "kd", "new", "not measured in new")
    found, lost = json.loads(json.dumps(as_dicts(Comparison((run, run), [DIFFERENCE], [absent]))))
    assert Difference(**{**found, "ci95": tuple(found["ci95"]), "kinds": tuple(found["kinds"])}) == DIFFERENCE
    assert lost.keys() == found.keys()
    said = {k: v for k, v in lost.items() if v is not None}
    assert said == {"model": "m", "metric": "kd", "method": "not measured in new", "verdict": "missing"}


def test_the_command_line_has_an_exit_code_for_each_outcome(cli, tmp_path):
    run = Run(tmp_path / "run")
    put(run, "a", np.linspace(1, 2, 50))
    put(run, "b", np.linspace(1, 2, 50) + 1)
    a, b = f"{run.folder}:a", f"{run.folder}:b"
    code, out, _ = cli("compare", a, b)
    assert code == 0
    assert "worse" in out
    assert cli("compare", a, b, "--fail-if", "nll:+1%")[0] == 3
    assert json.loads(cli("compare", a, b, "--json")[1])[0]["verdict"] == "worse"
    assert cli("compare", a, f"{run.folder}:c")[0] == 2
    other = Run(tmp_path / "other")
    put(other, "z", np.arange(5.0))
    assert cli("compare", run.folder, other.folder)[0] == 4


def test_the_command_names_what_it_did_not_compare_and_trips_on_it(cli, record, tmp_path):
    base, new = Run(tmp_path / "base"), Run(tmp_path / "new")
    for run in (base, new):
        run.put(record("m", "fd", 1.0, stderr=0.1))
        run.put(record("m", "throughput", 1.0, stderr=0.1, card={"direction": "higher"}))
    base.put(record("m", "kd", 1.0, stderr=0.1))
    code, out, err = cli("compare", base.folder, new.folder)
    assert (code, err) == (0, f"not compared: m: kd: not measured in {new.folder}\n")
    assert "kd" not in out
    assert cli("compare", base.folder, new.folder, "--fail-if", "fd:+2%")[0] == 0
    code, out, err = cli("compare", base.folder, new.folder, "--fail-if", "kd:+2%")
    assert code == 3
    assert f"gate: m, kd: not measured in {new.folder}\n" in err
    assert out, "and what can be compared is shown"
    code, _, err = cli("compare", base.folder, new.folder, "--fail-if", "throughput:+5%")
    assert code == 0
    assert "warning: gate throughput:+5% forbids that throughput becomes better" in err
    assert cli("compare", base.folder, new.folder, "--fail-if", "zd:+5%")[0] == 2
    empty = Run(tmp_path / "empty")
    empty.put(record("other", "fd", 1.0))
    assert cli("compare", base.folder, empty.folder)[0] == 4
    code, out, err = cli("compare", base.folder, empty.folder, "--fail-if", "fd:+5%")
    assert (code, out) == (3, "")
    assert "no such model" in err


@pytest.mark.parametrize("damage", ["{", '{"schema_version": 99}', ""])
@pytest.mark.parametrize("which", ["base", "new"])
def test_a_record_that_cannot_be_read_is_named_and_the_rest_compared(cli, record, tmp_path, damage, which):
    runs = {name: Run(tmp_path / name) for name in ("base", "new")}
    for run in runs.values():
        run.put(record("m", "fd", 1.0, stderr=0.1))
        run.put(record("m", "kd", 1.0, stderr=0.1, cell_id="e" * 16))
    (runs[which].cells / f"{'e' * 16}.json").write_text(damage)
    code, out, err = cli("compare", runs["base"].folder, runs["new"].folder)
    assert code == 1
    assert "| fd " in out
    assert f"{'e' * 16}.json" in err
    assert f"not compared: m: kd: not measured in {runs[which].folder}" in err
    assert cli("compare", runs["base"].folder, runs["new"].folder, "--fail-if", "kd:+2%")[0] == 3
