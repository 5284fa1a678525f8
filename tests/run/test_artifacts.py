"""The likelihoods that take long, through the evaluator: kinds, details, and one image as good as many."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from genbench import datasets
from genbench.cli import shipped
from genbench.locks import Lock
from genbench.models.adapters import parse
from genbench.run.artifacts import context
from genbench.run.artifacts.context import lasting
from genbench.run.evaluate import evaluate
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run

PROTOCOL = Protocol(n_samples=20, block_size=10, limit=4, rtol=1e-3)


def records(tmp_path, name, metrics, protocol=PROTOCOL):
    digits = datasets.load("digits")
    path = next(p for p in shipped("digits") if p.endswith(f"/{name}.safetensors"))
    run = Run(tmp_path / "run")
    todo = plan(Suite("digits", metrics, protocol=protocol), digits, [parse(path, digits)])
    assert evaluate(todo, run, "cpu").failed == 0
    return run, {r.metric["name"]: r for r in run.records()}


def test_the_flow_of_a_diffusion_model_is_an_estimate_near_its_bound(tmp_path):
    run, found = records(tmp_path, "ddpm", ("nll", "nll-ode"), replace(PROTOCOL, limit=16))
    ode, bound = found["nll-ode"], found["nll"]
    assert (ode.kind, bound.kind) == ("estimate", "upper_bound")
    assert ode.details["nfe_mean"] > 10
    assert ode.value == pytest.approx(bound.value, abs=0.2)  # sixteen images, one probe each
    alone = Run(tmp_path / "alone")
    digits = datasets.load("digits")
    path = next(p for p in shipped("digits") if p.endswith("/ddpm.safetensors"))
    todo = plan(Suite("digits", ("nll-ode",), protocol=replace(PROTOCOL, limit=1)), digits, [parse(path, digits)])
    evaluate(todo, alone, "cpu")
    one = alone.records()[0].value
    many = run.get_arrays(ode.arrays["probability_flow"])["values"]
    assert one == pytest.approx(-many[0] / (64 * np.log(2)), abs=1e-3)


def test_a_conditional_model_classifies_and_its_parts_add_up(tmp_path):
    protocol = replace(PROTOCOL, limit=40)
    run, found = records(tmp_path, "conditional-gated-pixelcnn", ("nll", "accuracy", "nll-given-label"), protocol)
    assert found["accuracy"].value > 0.9
    assert found["nll-given-label"].value < found["nll"].value < found["nll-given-label"].value + np.log2(10) / 64
    by_class = run.get_arrays(found["accuracy"].arrays["class_log_likelihoods"])["values"]
    marginal = np.logaddexp.reduce(by_class, axis=1) - np.log(10)
    assert -marginal.mean() / (64 * np.log(2)) == pytest.approx(found["nll"].value, rel=1e-6)


def test_parzen_is_never_without_its_warning(tmp_path):
    _, found = records(tmp_path, "independent-pixels", ("parzen",))
    assert found["parzen"].kind == "estimate"
    assert found["parzen"].metric["direction"] == "none"
    assert any("must not rank models" in warning for warning in found["parzen"].warnings)


def test_any_model_with_a_velocity_has_its_flow_integrated_as_the_protocol_says(tmp_path):
    own = records(tmp_path / "own", "flow-matching", ("nll-ode",))[1]["nll-ode"]
    assert own.kind == "estimate"
    assert own.details["entry"] == "truncated"  # the noise that it was trained with
    uniform = records(tmp_path / "uniform", "flow-matching", ("nll-ode",), replace(PROTOCOL, entry="uniform"))[1]
    assert uniform["nll-ode"].details["entry"] == "uniform"
    assert uniform["nll-ode"].value != own.value


def test_arrays_that_last_are_made_by_the_first_who_asks_while_others_wait(tmp_path):
    run, made, begun, go_on = Run(tmp_path / "run"), [], threading.Event(), threading.Event()

    def make(value):
        made.append(value)
        begun.set()
        assert go_on.wait(10)
        return {"0": np.array([value])}

    def ask(value, what="neighbours of abc", here="here", fresh=False):
        return int(lasting(run, here, fresh, what, lambda: make(value))["0"][0])

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(ask, 1)
        assert begun.wait(10)
        second = pool.submit(ask, 2)
        go_on.set()
        assert (first.result(), second.result(), made) == (1, 1, [1])
    assert ask(3, what="neighbours of abd") == 3
    assert ask(4, here="elsewhere") == 4
    assert ask(5, fresh=True) == ask(6) == 5
    for path in run.arrays.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-40])
    assert ask(7) == 7
    assert not list(run.arrays.glob("*.lock"))


def test_arrays_that_last_are_made_again_by_other_code(tmp_path, monkeypatch):
    run = Run(tmp_path / "run")
    lasting(run, "here", False, "sums", lambda: {"0": np.zeros(1)})
    monkeypatch.setattr(context, "numerics", lambda: "changed")
    assert lasting(run, "here", False, "sums", lambda: {"0": np.ones(1)})["0"] == 1


def test_the_lock_of_a_process_that_died_is_swept(tmp_path):
    run = Run(tmp_path / "run")
    held, left = (Lock(run.arrays / f"{key}.lock") for key in ("held", "left"))
    assert held.take()
    left.path.write_text("{}")
    run.sweep()
    assert [path.stem for path in run.arrays.glob("*.lock")] == ["held"]
    held.free()
