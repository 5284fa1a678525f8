"""The pipeline on real checkpoints: what is measured, kept, repeated and lost (nothing)."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from genbench import catalog, datasets
from genbench.boards.publishing import publish
from genbench.errors import GenbenchError
from genbench.models.adapters import parse
from genbench.numerics.joint import PARTS
from genbench.run.evaluate import evaluate
from genbench.run.plan import Plan, jobs, plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import SHARED, Run, in_rows

METRICS = ("nll", "fd", "precision", "copies")
PROTOCOL = Protocol(n_samples=60, block_size=20, limit=80)


@pytest.fixture(scope="module")
def digits():
    return datasets.load("digits")


def planned(digits, *specs, metrics=METRICS, protocol=PROTOCOL) -> Plan:
    suite = Suite("digits", metrics, "digits-cnn", protocol=protocol)
    return plan(suite, digits, [parse(str(spec), digits) for spec in specs])


def values(run: Run) -> dict:
    return {(r.model["name"], r.metric["name"]): r.value for r in in_rows([run])}


def code(tmp_path, body: str) -> str:
    """A model in a file of its own, for the digits."""
    path = tmp_path / "code.py"
    head = """
        import time, torch
        from genbench.space import Space

        class Model:
            space = Space((1, 8, 8), levels=17)
            def sample(self, n, generator):
                return torch.randint(17, (n, 1, 8, 8), generator=generator)
    """
    path.write_text(textwrap.dedent(head) + textwrap.indent(textwrap.dedent(body), "    "))
    return f"{path}:Model"


def test_what_a_value_shares_with_other_models_is_kept_and_reaches_a_board(tmp_path, digits, pixels_checkpoint):
    protocol = replace(PROTOCOL, n_samples=100)
    todo, run = planned(digits, pixels_checkpoint, protocol=protocol), Run(tmp_path / "run")
    evaluate(todo, run, "cpu", pictures=False)
    publish([run], tmp_path / "boards" / "page")
    board = Run(tmp_path / "boards" / "page")
    for record in run.records():
        if record.metric["name"] in ("fd[digits-cnn]", "precision[digits-cnn]"):
            kept = run.example_values(record.arrays["shared"])
            assert len(kept) == PARTS
            assert 0 < np.linalg.norm(kept) <= record.stderr * (1 + 1e-9)
            np.testing.assert_allclose(board.example_values(record.arrays["shared"]), kept, rtol=1e-6)
        else:
            assert "shared" not in record.arrays


def test_a_record_says_that_its_arrays_were_made_in_other_surroundings(
    tmp_path, digits, pixels_checkpoint, monkeypatch
):
    """Directly, through features made here of samples made there, and not once everything is made anew."""

    def said(*metrics, rerun="only-missing"):
        evaluate(planned(digits, pixels_checkpoint, metrics=metrics), run, "cpu", rerun=rerun, pictures=False)
        return {r.metric["name"]: r.env.get("arrays") for r in in_rows([run])}

    run = Run(tmp_path / "run")
    assert said("is") == {"is[digits-cnn]": None}
    assert said("is", "vendi[pixels]")["vendi[pixels]"] is None, "the same surroundings"
    monkeypatch.setattr("genbench.environment.threads", lambda: 77)
    found = said("is", "copies", "fd[pixels]", "nll")
    elsewhere = {"copies": "made elsewhere", "fd[pixels]": "made elsewhere"}
    assert found == {"is[digits-cnn]": None, "vendi[pixels]": None, "nll": None, **elsewhere}
    assert set(said("is", "copies", "fd[pixels]", rerun="always").values()) == {None}


def test_every_cell_becomes_a_record_that_says_what_it_is(tmp_path, digits, pixels_checkpoint):
    todo, run = planned(digits, pixels_checkpoint), Run(tmp_path / "run")
    outcome = evaluate(todo, run, "cpu")
    assert (outcome.measured, outcome.failed, outcome.skipped) == (4, 0, 0)
    record = next(r for r in run.records() if r.metric["name"] == "fd[digits-cnn]")
    assert record.kind == "estimate"
    assert record.stderr > 0
    assert record.ci95[0] < record.value < record.ci95[1]
    assert record.metric["extractor_sha256"] == todo.extractors["digits-cnn"]
    assert record.protocol == {"n_samples": 60, "seed": 0, "block_size": 20}
    nll = next(r for r in run.records() if r.metric["name"] == "nll")
    assert (nll.kind, nll.metric["unit"], nll.dataset["n"], nll.complete) == ("exact", "bits/dim", 80, False)


def test_a_second_call_measures_nothing(tmp_path, digits, pixels_checkpoint):
    todo, run = planned(digits, pixels_checkpoint), Run(tmp_path / "run")
    evaluate(todo, run, "cpu")
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.json")}
    outcome = evaluate(todo, run, "cpu")
    assert (outcome.measured, outcome.kept) == (0, 4)
    assert before == {path: path.stat().st_mtime_ns for path in run.folder.rglob("*.json")}


def test_two_runs_of_one_seed_agree_exactly_and_another_seed_differs(tmp_path, digits, pixels_checkpoint):
    runs = [Run(tmp_path / str(i)) for i in range(3)]
    for run, seed in zip(runs, (0, 0, 1), strict=True):
        evaluate(planned(digits, pixels_checkpoint, protocol=replace(PROTOCOL, seed=seed)), run, "cpu")
    a, b, c = (values(run) for run in runs)
    assert a == b
    assert a["pixels", "fd[digits-cnn]"] != c["pixels", "fd[digits-cnn]"]


def test_the_batch_size_changes_nothing(tmp_path, digits, pixels_checkpoint):
    runs = [Run(tmp_path / str(i)) for i in range(2)]
    for run, batch_size in zip(runs, (7, 500), strict=True):
        evaluate(planned(digits, pixels_checkpoint), run, "cpu", batch_size)
    a, b = (values(run) for run in runs)
    assert a == b


def test_metrics_share_one_set_of_samples(tmp_path, digits):
    source = code(tmp_path, "calls = []\ndef draw(self): pass\n")
    todo, run = planned(digits, source, metrics=("fd", "precision", "recall", "copies")), Run(tmp_path / "run")
    evaluate(todo, run, "cpu")
    stages = [set(r.timing["phases_s"]) for r in run.records()]
    assert sum("samples" in s for s in stages) == 1


def test_a_new_metric_on_an_old_run_needs_no_model(tmp_path, digits, pixels_checkpoint, monkeypatch):
    run, asked = Run(tmp_path / "run"), []
    model = catalog.load("baselines", "independent-pixels").IndependentCategorical
    sample = model.sample
    monkeypatch.setattr(model, "sample", lambda self, *given: asked.append(given) or sample(self, *given))
    evaluate(planned(digits, pixels_checkpoint, metrics=("fd",)), run, "cpu")
    assert asked
    asked.clear()
    todo = planned(digits, pixels_checkpoint, metrics=("precision",))
    stored = {p.name for p in run.arrays.iterdir()}
    evaluate(todo, run, "cpu")
    record = run.get(next(iter(todo.cells(todo.sources[0]))).id)
    assert record.status == "ok"
    assert not asked
    assert {p.name for p in run.arrays.iterdir()} > stored | {f"{record.arrays[SHARED]}.npz"}  # and the training set's


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def sample(self, n, generator): raise RuntimeError('boom')", "boom"),
        ("def sample(self, n, generator): return torch.zeros(n, 1, 4, 4, dtype=torch.int64)", "expected [n, 1, 8, 8]"),
        ("def sample(self, n, generator): return torch.full((n, 1, 8, 8), 17)", "expected values 0..16"),
        ("def sample(self, n, generator): return torch.full((n, 1, 8, 8), torch.nan)", "expected integers"),
        ("def __init__(self): raise RuntimeError('no weights')", "no weights"),
    ],
)
def test_a_model_that_breaks_is_recorded_and_the_rest_goes_on(tmp_path, digits, pixels_checkpoint, body, words):
    todo, run = planned(digits, code(tmp_path, body), pixels_checkpoint), Run(tmp_path / "run")
    outcome = evaluate(todo, run, "cpu")
    assert outcome.measured == 4
    broken = [r for r in run.records() if r.status == "error"]
    assert broken
    assert all(words in r.error["message"] and "Traceback" in r.error["traceback"] for r in broken)


def test_a_model_that_fails_is_not_asked_twice(tmp_path, digits):
    body = """
    def sample(self, n, generator):
        with open(CALLS, "a") as file:
            file.write("x")
        raise RuntimeError("boom")
    """.replace("CALLS", repr(str(tmp_path / "calls")))
    todo, run = (
        planned(digits, code(tmp_path, textwrap.dedent(body)), metrics=("fd", "kd", "copies")),
        Run(tmp_path / "r"),
    )
    assert evaluate(todo, run, "cpu").failed == 3
    assert (tmp_path / "calls").read_text() == "x"


def test_a_metric_that_fails_on_shared_features_is_blamed_itself(tmp_path, digits, pixels_checkpoint, monkeypatch):
    def broken(**needs):
        raise RuntimeError("boom")

    monkeypatch.setattr("genbench.metrics.precision_recall.compute", broken)
    todo, run = planned(digits, pixels_checkpoint, metrics=("fd", "precision")), Run(tmp_path / "run")
    evaluate(todo, run, "cpu")
    failed = next(r for r in run.records() if r.status == "error")
    assert failed.error["phase"] == "metric"


def test_always_makes_the_arrays_anew_too(tmp_path, digits, pixels_checkpoint):
    todo, run = planned(digits, pixels_checkpoint, metrics=("copies",)), Run(tmp_path / "run")
    evaluate(todo, run, "cpu")
    before = {path: path.stat().st_mtime_ns for path in run.arrays.iterdir()}
    evaluate(todo, run, "cpu", rerun="always")
    assert all(path.stat().st_mtime_ns > before[path] for path in run.arrays.iterdir())


def test_a_log_likelihood_of_minus_infinity_makes_the_mean_infinite_and_is_counted(tmp_path, digits):
    one = f"(x.flatten(1) == torch.tensor({digits.test[3].ravel().tolist()})).all(1)"
    body = f"def log_prob(self, x): return torch.where({one}, -torch.inf, -100.0)"
    protocol = replace(PROTOCOL, limit=None)
    todo, run = planned(digits, code(tmp_path, body), metrics=("nll",), protocol=protocol), Run(tmp_path / "run")
    evaluate(todo, run, "cpu")
    record = run.records()[0]
    assert (record.value, record.n_nonfinite, record.ci95) == (None, 1, None)
    assert "value is inf" in record.warnings


def test_a_metric_that_does_not_apply_is_skipped_with_the_reason(tmp_path, digits):
    todo, run = planned(digits, code(tmp_path, ""), metrics=("nll", "modes")), Run(tmp_path / "run")
    outcome = evaluate(todo, run, "cpu")
    assert (outcome.failed, outcome.skipped) == (0, 4)
    reasons = {r.metric["name"]: r.error["message"] for r in run.records()}
    assert reasons["nll"] == "metric 'nll' needs log_prob, log_weights or elbo; the model provides: sample"
    assert reasons["modes"] == "dataset 'digits' has no known modes"


def test_failed_cells_are_run_again_and_done_ones_are_not(tmp_path, digits, pixels_checkpoint):
    source = code(tmp_path, "def sample(self, n, generator): raise RuntimeError('boom')")
    todo, run = planned(digits, source, pixels_checkpoint, metrics=("copies",)), Run(tmp_path / "run")
    evaluate(todo, run, "cpu")
    for rerun, failed, measured in (("never", 0, 0), ("failed", 1, 0), ("only-missing", 1, 0), ("always", 1, 1)):
        outcome = evaluate(todo, run, "cpu", rerun=rerun)
        assert (outcome.failed, outcome.measured) == (failed, measured), rerun


def test_identity_holds_what_the_value_depends_on_and_nothing_else(digits, pixels_checkpoint):
    def ids(**changes):
        todo = planned(digits, pixels_checkpoint, protocol=replace(PROTOCOL, **changes))
        return {cell.output: cell.id for cell in todo.cells(todo.sources[0])}

    base, more, deeper = ids(), ids(n_samples=70), ids(k=7)
    assert base["nll"] == more["nll"]
    assert base["fd"] != more["fd"]
    assert base["fd"] == deeper["fd"]
    assert base["nll"] != deeper["nll"]


def test_a_metric_is_named_by_file_or_by_output():
    by_file = jobs(["precision-recall"], "pixels", {})[0].outputs
    by_output = jobs(["precision", "recall"], "pixels", {})[0].outputs
    assert by_file == by_output == ("precision", "recall")
    two = jobs(["fd", "fd[pixels]"], "digits-cnn", {})
    assert [job.label("fd") for job in two] == ["fd[digits-cnn]", "fd[pixels]"]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ("fd[pixels", "is no metric"),
        ("fd[]", "is no metric"),
        ("fd[", "is no metric"),
        ("precision[pixels]x", "is no metric"),
        ("nll[pixels]", "looks at no features"),
        ("copies[digits-cnn]", "looks at no features"),
        ("", "unknown metric"),
        ("[pixels]", "unknown metric"),
    ],
)
def test_what_is_no_metric_is_refused_and_no_other_is_taken_for_it(spec, problem):
    with pytest.raises(GenbenchError, match=problem):
        jobs(["copies", spec], "digits-cnn", {})


def test_kill_dash_nine_loses_no_finished_record(tmp_path, digits, pixels_checkpoint):
    """A real process is killed in the middle; the next call does only what is missing."""
    slow = code(tmp_path, "def log_prob(self, x):\n    time.sleep(60)")
    out = tmp_path / "run"
    command = [sys.executable, "-m", "genbench.cli", "evaluate", str(pixels_checkpoint), slow]
    command += ["--metrics", "nll,copies", "--samples", "40", "-o", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(out.glob("cells/*.json"))) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    before = {path: path.stat().st_mtime_ns for path in (out / "cells").glob("*.json")}
    assert len(before) == 4  # both metrics of the real data and of the checkpoint
    assert all(json.loads(path.read_text())["status"] in ("ok", "skipped") for path in before)
    again = subprocess.run(
        [*command[:5], *command[6:]], capture_output=True, text=True, timeout=100, env={**os.environ, "COLUMNS": "200"}
    )
    assert again.returncode == 0, again.stderr
    assert "nothing to measure: all 4 cells" in again.stderr
    assert before == {path: path.stat().st_mtime_ns for path in (out / "cells").glob("*.json")}
    status = subprocess.run(
        [sys.executable, "-m", "genbench.cli", "status", str(out)], capture_output=True, text=True, timeout=60
    )
    assert "4 of 6 cells recorded" in status.stderr


@pytest.mark.parametrize(("limit", "complete"), [(499, False), (500, True), (501, True), (None, True)])
def test_a_limit_of_the_whole_test_set_cuts_nothing(limit, complete, tmp_path, digits, pixels_checkpoint):
    assert len(digits.test) == 500
    todo = planned(digits, pixels_checkpoint, metrics=("nll",), protocol=replace(PROTOCOL, limit=limit))
    run = Run(tmp_path / "run")
    evaluate(todo, run, "cpu", pictures=False)
    record = run.records()[0]
    assert (record.complete, record.dataset["n"]) == (complete, min(limit or 500, 500))


def test_a_metric_gets_exactly_the_fewest_samples_it_needs_and_no_fewer(digits, pixels_checkpoint):
    for name, entry in catalog.entries("metrics").items():
        needed, todo = entry.constants.get("MIN_SAMPLES", 1), jobs((name,), "pixels", {})
        if needed == 1 or "n_samples" not in todo[0].fields:  # translations are of as many as there are examples
            continue
        planned(digits, pixels_checkpoint, metrics=(name,), protocol=replace(PROTOCOL, n_samples=needed))
        with pytest.raises(GenbenchError, match=f"needs at least {needed} samples, the protocol draws {needed - 1}"):
            planned(digits, pixels_checkpoint, metrics=(name,), protocol=replace(PROTOCOL, n_samples=needed - 1))


def test_blocks_survive_a_kill_in_the_middle_of_an_artifact(tmp_path, digits):
    """Of 3 blocks two are kept when the third fails; the next call makes that one alone."""
    body = """
    version = 1
    def log_weights(self, x, k, generator):
        with open(CALLS, "a") as file:
            file.write("x")
        if len(open(CALLS).read()) == 3:
            raise KeyboardInterrupt
        return torch.zeros(k, len(x)) - 300
    """.replace("CALLS", repr(str(tmp_path / "calls")))
    todo, run = planned(digits, code(tmp_path, textwrap.dedent(body)), metrics=("nll",)), Run(tmp_path / "r")
    todo = replace(todo, protocol=replace(PROTOCOL, limit=60, block_size=20, k=5))
    with pytest.raises(KeyboardInterrupt):
        evaluate(todo, run, "cpu")
    assert len(list(run.arrays.glob("*.blocks/*.npz"))) == 2
    evaluate(todo, run, "cpu")
    asked = 3  # of a few examples, at the end: again, and beside others (models/steady.py)
    assert (tmp_path / "calls").read_text() == "x" * (4 + asked)
    assert not list(run.arrays.glob("*.blocks"))
    assert run.records()[0].value == pytest.approx(300 / 64 / math.log(2))


def test_each_second_is_counted_for_one_artifact_only(tmp_path, digits):
    body = """
    version = 1
    def sample(self, n, generator):
        time.sleep(0.05)
        return torch.randint(17, (n, 1, 8, 8), generator=generator)
    """
    todo, run = planned(digits, code(tmp_path, textwrap.dedent(body)), metrics=("fd",)), Run(tmp_path / "r")
    started = time.perf_counter()
    evaluate(todo, run, "cpu", pictures=False)
    spent = time.perf_counter() - started
    phases = run.records()[0].timing["phases_s"]
    assert phases["samples"] > 0.05 * 3  # of three blocks
    assert sum(phases.values()) <= spent
    assert run.records()[0].timing["peak_memory_bytes"] > 0


@pytest.mark.parametrize("fails", [False, True], ids=["opens", "fails"])
@pytest.mark.parametrize("start", ["forkserver", "none"])
def test_no_process_opens_a_model_in_code_once_for_each_metric(start, fails, cli, tmp_path):
    """Building one can take minutes. A process of its own asks what it is, the preflight opens it, and a worker."""
    built = tmp_path / "built"
    (tmp_path / "own.py").write_text(
        textwrap.dedent(f"""
            import os
            import torch
            from genbench.space import Space

            class Own(torch.nn.Module):
                space = Space((1, 8, 8), 17)

                def __init__(self):
                    super().__init__()
                    with open({str(built)!r}, "a") as file:
                        file.write(f"{{os.getpid()}}\\n")
                    if {fails}:
                        raise RuntimeError("no such weights")

                def sample(self, n, generator):
                    return torch.randint(0, 17, (n, 1, 8, 8), generator=generator)
        """)
    )
    code, _, _ = cli(
        "evaluate", "own.py:Own", "--dataset", "digits", "--metrics", "fd[pixels],kd[pixels],copies",
        "--samples", 100, "--start-method", start, "-o", "run",
    )  # fmt: skip
    times = Counter(built.read_text().split())
    assert code == fails
    assert sum(times.values()) <= 3
    assert start == "none" or set(times.values()) == {1}
