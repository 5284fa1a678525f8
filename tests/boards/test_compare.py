"""Comparisons: pairs where the examples are the same, intervals of known size, gates that trip when they should."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from genbench.boards.compare import Difference, as_dicts, compare, judge, table, tripped
from genbench.errors import GenbenchError
from genbench.metrics import mean
from genbench.run.records import Record, Run, content_key
from genbench.space import Space

SPACE = Space((4,), 2)
SIDE = stats.norm.ppf(0.975)


def put(run: Run, model: str, nats: np.ndarray, seed: int = 0) -> None:
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
            metric={"name": "nll", "version": 1, "direction": "lower", "unit": "bits/dim", "params": {}},
            protocol={"seed": seed},
            value=float(bits.mean()),
            kind="exact",
            stderr=float(bits.std(ddof=1) / np.sqrt(len(bits))),
            arrays={"log_likelihood": content_key(model)},
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
    found = compare(f"{run.folder}:a", f"{run.folder}:b")[0]
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
    found = compare(f"{run.folder}:a", f"{run.folder}:b")[0]
    bits = 1 / (4 * math.log(2))
    expected = stats.ttest_rel(bits * new, bits * base).confidence_interval(0.95)
    assert found.ci95 == pytest.approx((expected.low, expected.high), rel=1e-9)
    assert found.difference == pytest.approx(bits * gap, rel=1e-9, abs=1e-12)
    assert (found.base, found.new) == pytest.approx((bits * base.mean(), bits * new.mean()))
    assert (found.unit, found.verdict) == ("bits/dim", verdict)


@pytest.mark.parametrize("lost", [["a"], ["b"], ["a", "b"]])
def test_without_both_arrays_two_estimates_are_independent(run, lost):
    for model, shift in (("a", 0.0), ("b", 0.1)):
        put(run, model, shift + np.random.RandomState(1).standard_normal(100))
    for model in lost:
        (run.arrays / f"{content_key(model)}.npz").unlink()
    found = compare(f"{run.folder}:a", f"{run.folder}:b")[0]
    assert found.method == "normal, independent"
    assert found.verdict == "no difference"


def estimates(run, record, base, new, metric="fd", direction="lower", **changes):
    """The differences of two records without arrays, each (value, standard error)."""
    for model, (value, stderr) in (("a", base), ("b", new)):
        run.put(record(model, metric, value, card={"direction": direction}, stderr=stderr, **changes))
    return compare(f"{run.folder}:a", f"{run.folder}:b")


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


@pytest.mark.parametrize(("base", "new"), [(None, 4.0), (3.0, None), (None, None)])
def test_without_a_standard_error_there_is_no_interval(run, record, base, new):
    (found,) = estimates(run, record, (1.0, base), (2.0, new))
    assert (found.ci95, found.verdict) == (None, "unknown")
    assert found.method == "none: one of the two has no standard error"
    assert estimates(run, record, (2.0, base), (2.0, new))[0].verdict == "no difference"


def test_only_the_likelihood_itself_is_compared_by_pairs(run, record):
    """Another metric made from the same arrays is not their mean."""
    run.put_arrays(content_key("kept"), {"values": np.arange(5.0)})
    (found,) = estimates(run, record, (1.0, 0.1), (2.0, 0.1), "nll-ode", arrays={"log_likelihood": content_key("kept")})
    assert found.method == "normal, independent"


# --- What is compared with what


def test_what_was_measured_differently_is_not_compared(run):
    put(run, "a", np.arange(9.0))
    put(run, "b", np.arange(9.0), seed=1)
    assert compare(f"{run.folder}:a", f"{run.folder}:b") == []


def test_each_metric_is_compared_with_itself(run, record):
    for model, shift in (("a", 0.0), ("b", 100.0)):
        for i, metric in enumerate(("fd", "kd", "is")):
            run.put(record(model, metric, shift + i, stderr=1.0, card={"direction": "higher" if i == 2 else "lower"}))
    found = {d.metric: d for d in compare(f"{run.folder}:a", f"{run.folder}:b")}
    assert {m: (d.base, d.new, d.verdict) for m, d in found.items()} == {
        "fd": (0.0, 100.0, "worse"),
        "kd": (1.0, 101.0, "worse"),
        "is": (2.0, 102.0, "better"),
    }


@pytest.mark.parametrize("side", ["a", "b"])
def test_cells_without_a_value_are_not_compared(run, record, missing, side):
    other = "b" if side == "a" else "a"
    run.put(record(side, "nll", None, card={}))  # not finite
    run.put(missing(side, "fd"))
    run.put(missing(side, "kd", "error"))
    for metric in ("nll", "fd", "kd"):
        run.put(record(other, metric, 1.0))
    assert compare(f"{run.folder}:a", f"{run.folder}:b") == []


def test_models_of_one_name_are_compared_or_the_two_that_are_named(record, tmp_path):
    base, new = Run(tmp_path / "base"), Run(tmp_path / "new")
    for run, models in ((base, "abx"), (new, "yba")):
        for model in models:
            run.put(record(model, value=float(ord(model)) + (run is new), stderr=1.0))

    def names(one, other):
        return {d.model: (d.base - ord("a"), d.new - ord("a")) for d in compare(str(one), str(other))}

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
    assert judge(gap, ci, "lower") == lower
    assert judge(gap, ci, "higher") == opposite.get(lower, lower)
    assert judge(gap, ci, "none") == ("no difference" if lower in opposite else lower)


# --- Gates

DIFFERENCE = Difference("m", "fd[pixels]", "", 100.0, 103.0, 3.0, (1.0, 5.0), "normal", "worse")


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
    assert bool(tripped([changed(base, gap, (low, high) if with_interval else None)], gate)) is trips


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
    assert bool(tripped([changed(100.0, gap, ci)], gate)) is trips


def test_a_gate_concerns_a_metric_in_every_extractor_and_model_or_the_one_that_is_named():
    names = [("a", "fd[pixels]"), ("b", "fd[pixels]"), ("a", "fd[zoo]"), ("a", "fd-infinity[pixels]"), ("a", "copies")]
    found = [replace(DIFFERENCE, model=model, metric=metric) for model, metric in names]
    found.append(replace(found[0], model="c", difference=0.0))
    for gate, which in {"fd:+2": [0, 1, 2], "fd[pixels]:+2%": [0, 1], "copies:+1": [4], "fd:-2": []}.items():
        assert tripped(found, gate) == [found[i] for i in which], gate


@pytest.mark.parametrize(
    "gate", ["fd>2", "fd:2%", "fd:+", "fd:+%", ":+2", "fd:+-2", "fd:+2.%", "fd:+2%%", "fd:+2 %", "fd:+1e3", "x fd:+2 y"]
)
def test_a_gate_that_cannot_be_read_is_refused(gate):
    with pytest.raises(GenbenchError, match="cannot be read"):
        tripped([DIFFERENCE], gate)


def test_a_gate_of_a_metric_that_was_not_compared_is_refused():
    with pytest.raises(GenbenchError, match="unknown metric of a gate"):
        tripped([DIFFERENCE], "kd:+2%")


# --- What is printed


def test_the_table_has_a_row_for_each_difference():
    without = replace(DIFFERENCE, metric="modes", base=8.0, new=7.5, difference=-0.5, ci95=None, verdict="unknown")
    lines = table([DIFFERENCE, without]).splitlines()
    rows = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert rows[0] == ["model", "metric", "base", "new", "difference (95 %)", "method", "verdict"]
    assert [c[0] + c[-1] for c in rows[1]] == [":-", ":-", "-:", "-:", "-:", ":-", ":-"]
    assert rows[2] == ["m", "fd[pixels]", "100", "103", "+3 [+1, +5]", "normal", "worse"]
    assert rows[3] == ["m", "modes", "8", "7.5", "-0.5", "normal", "unknown"]


def test_json_holds_every_field():
    (found,) = json.loads(json.dumps(as_dicts([DIFFERENCE])))
    assert Difference(**{**found, "ci95": tuple(found["ci95"])}) == DIFFERENCE


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
