"""Comparisons: pairs where the examples are the same, gates that trip when they should."""

import json
from dataclasses import replace

import numpy as np
import pytest

from genbench.boards.compare import Difference, compare, judge, tripped
from genbench.errors import GenbenchError
from genbench.metrics import mean
from genbench.run.records import Record, Run
from genbench.space import Space

SPACE = Space((4,), 2)


def put(run: Run, model: str, nats: np.ndarray, seed: int = 0) -> None:
    """A record of an NLL whose log-likelihoods are kept, as evaluate writes it."""
    bits = SPACE.bits_per_dim(1.0) * nats
    run.put_arrays(f"{model}-arrays", {"values": -nats})
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
            arrays={"log_likelihood": f"{model}-arrays"},
        )
    )


def test_pairs_see_what_independent_intervals_cannot(tmp_path):
    """Two models that differ by 0.1 on examples whose own spread is 50 times that."""
    rng = np.random.RandomState(0)
    hard, noise = 5 * rng.standard_normal(400), 0.05 * rng.standard_normal(400)
    run = Run(tmp_path / "run")
    put(run, "a", 20 + hard)
    put(run, "b", 20 + hard - 0.1 + noise)
    found = compare(f"{run.folder}:a", f"{run.folder}:b")[0]
    expected = SPACE.bits_per_dim(1.0) * (noise - 0.1)
    assert found.verdict == "better"
    assert found.method == "paired over examples"
    assert found.difference == pytest.approx(expected.mean(), rel=1e-9)
    assert found.ci95 == pytest.approx(mean(expected).ci95)


def test_without_the_arrays_two_estimates_are_independent(tmp_path):
    run = Run(tmp_path / "run")
    for model, shift in (("a", 0.0), ("b", 0.1)):
        put(run, model, shift + np.random.RandomState(1).standard_normal(100))
        (run.arrays / f"{model}-arrays.npz").unlink()
    found = compare(f"{run.folder}:a", f"{run.folder}:b")[0]
    assert found.method == "normal, independent"
    assert found.verdict == "no difference"


def test_what_was_measured_differently_is_not_compared(tmp_path):
    run = Run(tmp_path / "run")
    put(run, "a", np.arange(9.0))
    put(run, "b", np.arange(9.0), seed=1)
    assert compare(f"{run.folder}:a", f"{run.folder}:b") == []


def test_the_verdict_follows_the_direction_of_the_metric():
    assert judge(-1.0, (-2.0, -0.5), "lower") == "better"
    assert judge(-1.0, (-2.0, -0.5), "higher") == "worse"
    assert judge(-1.0, (-2.0, 0.5), "lower") == "no difference"
    assert judge(-1.0, None, "lower") == "unknown"


DIFFERENCE = Difference("m", "fd[pixels]", "", 100.0, 103.0, 3.0, (1.0, 5.0), "normal", "worse")


@pytest.mark.parametrize(
    ("gate", "trips"), [("fd:+2%", True), ("fd:+4%", False), ("fd:-2%", False), ("fd[pixels]:+2", True)]
)
def test_a_gate_trips_beyond_its_amount(gate, trips):
    assert bool(tripped([DIFFERENCE], gate)) is trips


def test_a_gate_needs_the_interval_to_agree():
    assert not tripped([replace(DIFFERENCE, ci95=(-1.0, 7.0))], "fd:+2%")


def test_a_gate_that_cannot_be_read_is_refused():
    with pytest.raises(GenbenchError, match="cannot be read"):
        tripped([DIFFERENCE], "fd>2")
    with pytest.raises(GenbenchError, match="unknown metric of a gate"):
        tripped([DIFFERENCE], "kd:+2%")


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
