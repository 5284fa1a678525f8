"""What a model does to the process is undone before the next is measured."""

import ctypes
import os
import random
import subprocess
import sys
import textwrap
import warnings

import numpy as np
import pytest
import torch

from genbench import datasets, importing
from genbench.models.adapters import parse
from genbench.models.guard import guarded
from genbench.models.sampling import to_tensor
from genbench.run.evaluate import evaluate
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run, in_rows

# What a model may do, and what tells whether it was undone.
MISCHIEF = {
    "the folder": (lambda: os.chdir("/"), os.getcwd),
    "the environment": (lambda: os.environ.update(MISCHIEF="1"), lambda: os.environ.get("MISCHIEF")),
    "a variable that is gone": (lambda: os.environ.pop("PATH"), lambda: os.environ.get("PATH")),
    "argv": (lambda: sys.argv.append("--x"), lambda: list(sys.argv)),
    "the path of modules": (lambda: sys.path.insert(0, "/nowhere"), lambda: list(sys.path)),
    "random": (random.random, random.getstate),
    "numpy's random": (np.random.random, lambda: np.random.get_state()[1].tolist()),
    "torch's random": (lambda: torch.rand(1), lambda: torch.get_rng_state().tolist()),
    "the default type": (lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "the default device": (lambda: torch.set_default_device("meta"), torch.get_default_device),
    "gradients": (lambda: torch._C._set_grad_enabled(False), torch.is_grad_enabled),
    "determinism": (
        lambda: torch.use_deterministic_algorithms(True, warn_only=True),
        torch.are_deterministic_algorithms_enabled,
    ),
    "precision": (lambda: torch.set_float32_matmul_precision("medium"), torch.get_float32_matmul_precision),
    "numpy's errors": (lambda: np.seterr(all="raise"), np.geterr),
    "filters of warnings": (lambda: warnings.simplefilter("error"), lambda: list(warnings.filters)),
    "recursion": (lambda: sys.setrecursionlimit(12_345), sys.getrecursionlimit),
}


@pytest.mark.parametrize("what", MISCHIEF)
def test_what_is_done_within_is_undone(what):
    do, tell = MISCHIEF[what]
    before = tell()
    with guarded():
        do()
        assert tell() != before, "the mischief does nothing"
    assert tell() == before


@pytest.mark.parametrize("what", MISCHIEF)
def test_it_is_undone_after_an_error_too(what):
    do, tell = MISCHIEF[what]
    before = tell()

    def fail() -> None:
        do()
        raise KeyError

    with pytest.raises(KeyError), guarded():
        fail()
    assert tell() == before


def test_an_exit_is_an_error_and_prints_are_no_results(capsys):
    with guarded():
        print("chatter")
    with pytest.raises(RuntimeError, match=r"sys.exit\(0\)"), guarded():
        sys.exit(0)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "chatter\n")


def compiled() -> None:
    """A print of compiled code, which the C library holds back."""
    ctypes.CDLL(None).printf(b"chatter\n")


@pytest.mark.parametrize(
    "chatter",
    [
        lambda: print("chatter"),
        lambda: os.system("echo chatter"),
        lambda: subprocess.run([sys.executable, "-c", "print('chatter')"], check=True),
        lambda: os.write(1, b"chatter\n"),
        compiled,
    ],
    ids=["print", "shell", "child", "descriptor", "compiled"],
)
@pytest.mark.parametrize("within", [guarded, lambda: importing.running("model.py")], ids=["measured", "imported"])
def test_what_a_model_prints_is_no_result_however_it_prints(within, chatter, capfd):
    with within():
        chatter()
    print("result", flush=True)
    assert capfd.readouterr() == ("result\n", "chatter\n")


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_a_model_is_handed_a_copy(kind):
    x = np.ones((3, 2), kind)
    space = datasets.Space((2,), None if kind is np.float32 else 5)
    to_tensor(x, space).sub_(1)
    assert (x == 1).all()


# --- Whole models


HEAD = """
    import os, sys, torch
    from genbench import Space

    class Plain(torch.nn.Module):
        version = 1
        space = Space((2,))
        def log_prob(self, x): return -0.5 * x.square().sum(1)
        def sample(self, n, generator): return torch.randn(n, 2, generator=generator)
"""
NAUGHTY = {
    "changes its input": "def log_prob(self, x):\n    x -= 5\n    return -x.square().sum(1)",
    "sets the default type": "def sample(self, n, g):\n"
    "    torch.set_default_dtype(torch.float64)\n    return torch.zeros(n, 2).float()",
    "leaves the folder": "def sample(self, n, g):\n    os.chdir('/')\n    return torch.zeros(n, 2)",
    "exits": "def sample(self, n, g):\n    sys.exit(0)",
    "turns gradients off": "def sample(self, n, g):\n    torch.set_grad_enabled(False)\n    return torch.zeros(n, 2)",
}


@pytest.fixture(scope="module")
def plane():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2)).astype(np.float32)
    return datasets.Dataset("plane", datasets.Space((2,)), x[:20], x[20:40], x[40:], "none", "made here")


def evaluated(plane, tmp_path, body, run="run", names=("Naughty", "Plain")):
    path = tmp_path / f"{run}.py"
    naughty = "\n\nclass Naughty(Plain):\n" + textwrap.indent(body, "    ")
    path.write_text(textwrap.dedent(HEAD) + naughty + "\n")
    todo = plan(
        Suite("plane", ("nll", "fd"), "pixels", protocol=Protocol(n_samples=10, block_size=5)),
        plane,
        [parse(f"{path}:{name}", plane) for name in names],
    )
    kept = Run(tmp_path / run)
    evaluate(todo, kept, "cpu", pictures=False)
    return {(r.model["name"], r.metric["name"]): r for r in in_rows([kept])}


@pytest.mark.parametrize("what", NAUGHTY)
def test_the_next_model_is_measured_as_if_it_were_alone(what, plane, tmp_path):
    alone = evaluated(plane, tmp_path, "pass", "alone")
    after = evaluated(plane, tmp_path, NAUGHTY[what], "after")
    for metric in ("nll", "fd[pixels]"):
        assert after["Plain", metric].value == alone["Plain", metric].value
        assert after["Plain", metric].status == "ok"


def test_a_model_that_exits_is_an_error_of_its_own(plane, tmp_path):
    found = evaluated(plane, tmp_path, NAUGHTY["exits"])
    assert found["Naughty", "fd[pixels]"].status == "error"
    assert "sys.exit" in found["Naughty", "fd[pixels]"].error["message"]
    assert found["Naughty", "nll"].status == "ok"


def test_randomness_that_is_not_the_generators_is_a_warning_on_every_record_of_the_samples(plane, tmp_path):
    found = evaluated(plane, tmp_path, "def sample(self, n, g): return torch.randn(n, 2)")
    assert any("drawn twice" in text for text in found["Naughty", "fd[pixels]"].warnings)
    assert found["Naughty", "nll"].warnings == []
    assert found["Plain", "fd[pixels]"].warnings == []


def test_a_warning_reaches_every_record_that_rests_on_what_warned_also_from_the_runs_arrays(plane, tmp_path):
    body = "def sample(self, n, g):\n    import warnings\n    warnings.warn('careful')\n"
    body += "    return torch.randn(n, 2, generator=g)"
    path = tmp_path / "w.py"
    path.write_text(textwrap.dedent(HEAD) + "\n\nclass Naughty(Plain):\n" + textwrap.indent(body, "    ") + "\n")
    run = Run(tmp_path / "w")
    protocol = Protocol(n_samples=10, block_size=5)
    for metrics in (("fd", "mind"), ("kd",)):  # the second finds the samples in the run
        todo = plan(Suite("plane", metrics, "pixels", protocol=protocol), plane, [parse(f"{path}:Naughty", plane)])
        evaluate(todo, run, "cpu", pictures=False)
    assert {r.metric["name"]: r.warnings.count("careful") for r in run.records() if r.status == "ok"} == {
        "fd[pixels]": 1,
        "mind[pixels]": 1,
        "kd[pixels]": 1,
    }
