"""Verification: what is as it says passes, and one changed bit of what is promised does not."""

import json
import math
import shutil
from collections import Counter
from dataclasses import replace

import pytest

from genbench import datasets
from genbench.boards.publishing import publish
from genbench.run.records import Record, Run, open_run, pack
from genbench.studies import verification
from genbench.studies.verification import (
    CLOCK,
    DIFFERENT,
    LOOSE,
    NO_SOURCE,
    ROUNDED,
    SAME,
    checkpoints,
    comparable,
    drawn,
    judge,
    table,
    verify,
)  # fmt: skip

METRICS = "nll,copies,fd,vendi,throughput"


@pytest.fixture(scope="module")
def board(tmp_path_factory, pixels_checkpoint):
    """Of a checkpoint that does not ship and of real data, measured on this machine."""
    from genbench.cli import main

    root = tmp_path_factory.mktemp("verified")
    line = ["evaluate", f"mine={pixels_checkpoint}", "--metrics", METRICS, "--samples", "60", "--limit", "40"]
    assert main([*line, "--extractor", "pixels", "-o", str(root / "run")]) == 0
    publish([open_run(root / "run")], root / "board")
    return root / "board"


@pytest.fixture
def records(board):
    return comparable(open_run(board))[0]


@pytest.fixture
def copy(board, tmp_path):
    """The board with one record changed: `copy(metric, value=...)`."""

    def make(metric, **changes):
        found = [
            replace(r, **changes) if r.metric["name"] == metric and r.model["adapter"] == "checkpoint" else r
            for r in open_run(board).records()
        ]
        run = Run(tmp_path / "copy")
        run.write(run.pack, pack(found))
        (tmp_path / "copy" / "manifest.json").write_bytes((board / "manifest.json").read_bytes())
        return run.folder

    return make


def test_what_this_machine_measured_has_the_same_bits(board, records, pixels_checkpoint, tmp_path):
    found = list(verify(records, Run(tmp_path), datasets.load("digits"), checkpoints([pixels_checkpoint])))
    assert {v.said.cell_id for v in found} == {r.cell_id for r in records}
    for v in found:
        assert (v.verdict, v.allowed) == (SAME, 0), "the same processor, packages and threads: equal bits are promised"


def test_a_published_value_that_nobody_measured_trips(cli, copy, board, pixels_checkpoint):
    value = next(r.value for r in open_run(board).records() if r.metric["name"] == "nll" and r.value)
    changed = copy("nll", value=value * (1 + 1e-12))
    code, out, err = cli("verify", changed, pixels_checkpoint, "--cells", "all")
    assert code == 3
    (line,) = [line for line in out.splitlines() if "DIFFERS" in line]
    assert line.split("|")[1].strip() == "mine"
    assert "equal bits are promised" in line
    assert "1 DIFFERS" in err


def test_a_board_as_it_is_passes_and_says_what_it_leaves_out(cli, board, pixels_checkpoint):
    code, out, err = cli("verify", board, pixels_checkpoint, "--cells", "all")
    assert code == 0, err
    assert "Not compared, since it measures the machine: latency, throughput (4 cells)." in out
    assert "8 of 8 cells: 8 same bits" in err


def test_a_checkpoint_that_is_not_here_is_named_and_not_believed(cli, board):
    code, out, _ = cli("verify", board, "--cells", "all")
    assert code == 0
    assert out.count("no checkpoint: of sha256") == 4
    assert out.count("same bits") == 4, "real data need none"


def test_some_metrics_and_some_rows_are_verified_alone(cli, board, pixels_checkpoint):
    code, out, err = cli("verify", board, pixels_checkpoint, "--cells", "all", "--metrics", "fd,nll", "--model", "mine")
    assert code == 0, err
    assert "2 of 2 cells: 2 same bits" in err
    assert "Not compared" not in out
    code, out, err = cli("verify", board, pixels_checkpoint, "--cells", "all", "--metrics", "throughput")
    assert "Not compared, since it measures the machine: throughput (2 cells)." in out
    for option, name, close in (("--metrics", "fid", "fd[pixels]"), ("--model", "min", "mine")):
        code, _, err = cli("verify", board, option, name)
        assert code == 2
        assert f"Did you mean '{close}'?" in err or f"Known: {close}" in err or close in err


def test_where_nothing_can_be_measured_nothing_is_verified(cli, board, tmp_path):
    run = Run(tmp_path / "only")
    run.write(run.pack, pack(r for r in open_run(board).records() if r.model["adapter"] == "checkpoint"))
    assert cli("verify", run.folder, "--cells", "all")[0] == 4


def test_other_data_are_an_error(cli, copy):
    folder = copy("nll", dataset={"name": "digits", "n": 40, "sha256": "0" * 64})
    code, _, err = cli("verify", folder, "--cells", "all")
    assert code == 2
    assert "measured on data with sha256 0000000000000000" in err


def test_what_was_measured_is_kept_and_not_measured_again(cli, board, pixels_checkpoint, tmp_path, monkeypatch):
    line = ("verify", board, pixels_checkpoint, "--cells", "all", "-o", tmp_path / "kept")
    first = cli(*line)
    monkeypatch.setattr("genbench.run.measuring.measure", lambda *_: pytest.fail("measured"))
    again = cli(*line)
    assert again[:2] == first[:2]


def test_every_board_of_a_folder_is_verified_whatever_becomes_of_the_others(
    cli, copy, board, pixels_checkpoint, tmp_path, monkeypatch
):
    root = tmp_path / "leaderboards"
    other = copy("nll", dataset={"name": "digits", "n": 40, "sha256": "0" * 64})
    for name, folder in (("a", other), ("b", board)):
        shutil.copytree(folder, root / name)
    line = ("--cells", "all", "--all")
    code, out, err = cli("verify", root, pixels_checkpoint, *line)
    assert code == 2
    assert out.count("same bits") == 8
    assert err.index("a:") < err.index("measured on data with sha256") < err.index("b:")
    shutil.rmtree(root / "a")
    assert cli("verify", root, pixels_checkpoint, *line)[0] == 0
    monkeypatch.chdir(tmp_path)
    code, out, _ = cli("verify", pixels_checkpoint, *line)
    assert (code, out.count("same bits")) == (0, 8), "of the folder leaderboards, and this checkpoint"
    value = next(r.value for r in open_run(board).records() if r.metric["name"] == "nll" and r.value)
    shutil.copytree(copy("nll", value=value * (1 + 1e-12)), root / "c")
    shutil.copytree(other, root / "d")
    assert cli("verify", *line, root, pixels_checkpoint)[0] == 3, "what differs is graver than what cannot be measured"
    assert cli("verify", "--cells", "all")[0] == 2


# --- The draw


def test_the_draw_is_a_share_that_the_seed_decides(records):
    ids = [[r.cell_id for r in drawn(records, 0.3, seed)] for seed in range(20)]
    assert ids == [[r.cell_id for r in drawn(records[::-1], 0.3, seed)][::-1] for seed in range(20)]
    assert len({*map(tuple, ids)}) > 10, "of 56 that there are"
    assert {*map(len, ids)} == {3}, "0.3 of 8, rounded up"
    assert drawn(records, 1.0, 0) == records
    assert len(drawn(records, 2, 0)) == 2
    assert len(drawn(records, 99, 0)) == 8


def test_every_cell_is_drawn_equally_often(records):
    """400 draws of 2 of 8: each cell 100 times, give or take four standard deviations of a binomial."""
    counts = Counter(r.cell_id for seed in range(400) for r in drawn(records, 2, seed))
    assert len(counts) == 8
    assert max(abs(n - 100) for n in counts.values()) < 4 * math.sqrt(400 * 0.25 * 0.75)


@pytest.mark.parametrize("text", ["0", "0%", "101%", "-1", "some", "5.5"])
def test_a_share_that_is_none_is_an_error_of_usage(cli, board, text):
    assert cli("verify", board, f"--cells={text}")[0] == 2


# --- What a record promises

ENV = {
    "device": "cpu",
    "platform": "p",
    "python": "3",
    "packages": {"torch": "2"},
    "instructions": "AVX2",
    "threads": 2,
}


def cell(value=2.0, half=0.1, **changes):
    parts = dict(
        cell_id="c", run_id="r", status="ok", model={"key": "a" * 16, "family": "f", "parameters": 1, "name": "m"},
        dataset={"name": "d", "n": 5, "sha256": "e"}, protocol={"n_samples": 10}, kind="estimate", env=ENV,
        metric={"name": "fd", "version": 1, "direction": "lower", "unit": "", "params": {}},
        value=value, stderr=half / 2, ci95=[value - half, value + half],
    )  # fmt: skip
    return Record(**{**parts, **changes})


@pytest.mark.parametrize("name", ["device", "platform", "python", "packages", "instructions", "threads"])
def test_bits_are_promised_where_all_that_rounds_is_the_same(name):
    """Each of them alone, or not said, leaves only a tolerance."""
    moved = cell(2.0 + 1e-13)
    assert judge(cell(), moved, ENV).verdict == DIFFERENT
    assert judge(cell(), moved, {**ENV, name: "other"}).verdict == ROUNDED
    unsaid = {key: value for key, value in ENV.items() if key != name}
    assert judge(cell(env=unsaid), moved, unsaid).verdict == ROUNDED
    reused = {**ENV, "arrays": "made elsewhere"}
    assert judge(cell(env=reused), moved, ENV).verdict == ROUNDED, "nor does one that rests on arrays of another place"
    assert judge(cell(), replace(moved, env=reused), ENV).verdict == ROUNDED


def test_real_data_promise_the_same_bits_on_as_many_threads():
    """The root of a product of covariances is rounded otherwise on two threads than on one."""
    said = cell(model={"key": "a" * 16, "family": "reference", "parameters": None, "adapter": "data", "name": "d"})
    assert judge(said, replace(said, value=2.0 + 1e-13), ENV).verdict == DIFFERENT
    assert judge(said, replace(said, value=2.0 + 1e-13), {**ENV, "threads": 7}).verdict == ROUNDED


@pytest.mark.parametrize("bits", [True, False])
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"kind": "upper_bound"}, "kind is estimate, was upper_bound"),
        ({"n_nonfinite": 1}, "n_nonfinite is 0, was 1"),
        ({"metric": {"name": "fd", "version": 1, "direction": "higher", "unit": "", "params": {}}}, "better side is"),
        ({"metric": {"name": "fd", "version": 1, "direction": "lower", "unit": "nats", "params": {}}}, "unit is"),
        ({"dataset": {"name": "d", "n": 500, "sha256": "e"}}, "number of test examples is 5, was 500"),
        ({"complete": False}, "complete is True, was False"),
        ({"details": {"flagged": True}}, "flagged is False, was True"),
    ],
)
def test_what_a_board_says_beside_a_number_has_to_agree_too(changes, why, bits):
    env = ENV if bits else {**ENV, "threads": 7}
    verdict = judge(cell(**changes), cell(), env)
    assert verdict.verdict == DIFFERENT
    assert verdict.why.startswith(why)


def test_a_flag_or_a_warning_that_a_board_leaves_out_trips():
    flagged = cell(details={"flagged": True, "flag": "it copies"})
    assert judge(flagged, flagged, ENV).verdict == SAME
    assert judge(cell(), flagged, ENV).why == "flagged is True, was False"
    warned = cell(warnings=["the first block of samples, drawn twice with one seed, differs"])
    assert judge(warned, warned, ENV).verdict == SAME
    assert judge(cell(), warned, ENV).why.startswith("it is warned: the first block")
    assert judge(warned, cell(), ENV).verdict == SAME


@pytest.mark.parametrize(
    ("shift", "sampled", "bound"),
    [(0.0009, ROUNDED, ROUNDED), (0.0011, LOOSE, DIFFERENT), (0.099, LOOSE, DIFFERENT), (0.101, DIFFERENT, DIFFERENT)],
)
def test_elsewhere_rounding_moves_a_value_by_a_hundredth_of_its_interval_and_samples_by_all_of_it(
    shift, sampled, bound
):
    env = {**ENV, "device": "another"}
    for sign in (-1, 1):
        assert judge(cell(), cell(2.0 + sign * shift), env).verdict == sampled
        assert judge(cell(protocol={}), cell(2.0 + sign * shift, protocol={}), env).verdict == bound


def test_an_interval_alone_that_is_another_is_seen():
    env = {**ENV, "device": "another"}
    assert judge(cell(protocol={}), cell(half=0.15, protocol={}), env).verdict == DIFFERENT
    found = judge(cell(), cell(half=0.15), env)
    assert (found.verdict, found.why) == (LOOSE, "the value agrees, its interval moves by 0.05")
    assert judge(cell(), cell(ci95=None, stderr=None), env).verdict == DIFFERENT


@pytest.mark.parametrize(
    "change", [{"kind": "exact"}, {"n_nonfinite": 1}, {"status": "error", "error": {"type": "E", "message": "broke"}}]
)
def test_another_kind_or_status_differs_however_near_the_value_is(change):
    assert judge(cell(), cell(**change), {**ENV, "device": "another"}).verdict == DIFFERENT


def test_another_identity_is_said(board):
    assert "another identity" in judge(cell(), cell(cell_id="d"), ENV).why


def test_the_table_has_what_differs_on_top():
    pairs = [judge(cell(), cell(2.0 + shift), {**ENV, "device": "another"}) for shift in (0.0, 0.05, 5.0)]
    clock = verification.Verdict(cell(), None, CLOCK)
    gone = verification.Verdict(cell(), None, NO_SOURCE)
    lines = table([gone, clock, *pairs]).splitlines()
    assert [line.split("|")[3].strip() for line in lines[2:6]] == [DIFFERENT, LOOSE, SAME, NO_SOURCE]
    assert lines[-1] == "Not compared, since it measures the machine: fd (1 cells)."
    json.dumps([v.line for v in pairs])
