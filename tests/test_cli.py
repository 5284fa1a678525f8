"""The command line: what it prints where, its exit codes, and that errors help."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from genbench import __version__, datasets
from genbench.cli import COMMANDS, main
from genbench.models.checkpoint import read_card

FAST = ("--metrics", "nll,copies", "--samples", "40", "--limit", "40")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["list", "baselines"],
        ["list", "metrics", "--json"],
        ["status", "{run}"],
        ["leaderboard", "{run}"],
        ["compare", "{run}", "{run}"],
        ["evaluate", "{checkpoint}", *FAST, "-o", "{run}"],  # finished: nothing to do
        ["evaluate", "{checkpoint}", *FAST, "-o", "{new}", "--start-method", "forkserver"],  # others measure
    ],
)
def test_light_commands_do_not_import_torch(arguments, finished_run, pixels_checkpoint, tmp_path):
    """Proved by the modules loaded, in a process of its own."""
    places = {"run": finished_run, "checkpoint": pixels_checkpoint, "new": tmp_path / "new"}
    arguments = [a.format(**places) for a in arguments]
    body = f"""
        import sys
        from genbench.cli import main
        try:
            main({arguments!r})
        except SystemExit as stop:
            assert stop.code == 0
        assert "torch" not in sys.modules, "torch was imported"
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(body)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory, pixels_checkpoint):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["evaluate", str(pixels_checkpoint), *FAST, "-o", str(out)]) == 0
    return out


def test_evaluate_prints_a_table_to_stdout_and_a_summary_to_stderr(cli, pixels_checkpoint):
    code, out, err = cli("evaluate", f"mine={pixels_checkpoint}", *FAST)
    assert code == 0
    assert re.search("^mine  ", out, re.M)
    assert re.search("^real test data  ", out, re.M)
    assert "records in runs/digits" in err
    assert "\r" not in err, "no progress bar where stderr is no terminal"
    assert json.loads(Path("runs/digits/manifest.json").read_text())["command"].startswith("genbench evaluate")


def test_leaderboard_check_trips_when_a_page_differs_from_its_records(cli, finished_run, tmp_path):
    page = tmp_path / "page.md"
    assert cli("leaderboard", finished_run, "-o", page)[0] == 0
    assert cli("leaderboard", finished_run, "-o", page, "--check")[0] == 0
    page.write_text(page.read_text().replace("= ", "~ ", 1))
    code, _, err = cli("leaderboard", finished_run, "-o", page, "--check")
    assert code == 3
    assert "Make it anew: genbench leaderboard" in err


@pytest.mark.parametrize("columns", ["80", "120"])
def test_evaluate_fits_the_terminal_or_prints_whole_tables_or_json(
    cli, finished_run, pixels_checkpoint, monkeypatch, columns
):
    monkeypatch.setenv("COLUMNS", columns)
    again = ("evaluate", pixels_checkpoint, *FAST, "-o", finished_run)
    code, out, _ = cli(*again)
    assert code == 0
    assert max(map(len, out.splitlines())) <= int(columns)
    code, page, _ = cli(*again, "--wide")
    assert (code, page.partition("\n\n## Samples")[0]) == (
        0,
        cli("leaderboard", finished_run)[1].partition("\n\n## Samples")[0],
    )
    code, rows, _ = cli(*again, "--json")
    assert code == 0
    assert rows == cli("leaderboard", finished_run, "--format", "json")[1]
    assert {row["metric"] for row in json.loads(rows)} == {"nll", "copies"}
    assert cli(*again, "--json", "--wide")[0] == 2


def test_a_table_without_rows_is_never_printed(cli, finished_run, pixels_checkpoint):
    code, out, err = cli("evaluate", pixels_checkpoint, *FAST, "-o", "empty", "--rerun", "never")
    assert (code, out) == (1, "")
    assert "no table: empty has none of the planned records" in err
    assert "4 planned cells have no record" in err
    assert cli("evaluate", pixels_checkpoint, *FAST, "-o", "empty", "--rerun", "never", "--json")[1] == "[]\n"
    Path("empty/cells").mkdir(parents=True, exist_ok=True)
    Path("empty/manifest.json").unlink(missing_ok=True)
    code, out, err = cli("status", "empty")
    assert (code, out) == (0, "")
    assert "no table: empty has no records, and none are planned" in err
    for form in ("md", "csv", "json", "html"):
        usage_error(cli("leaderboard", "empty", "--format", form), "no record in empty", "genbench status empty")


@pytest.mark.parametrize("form", ["md", "csv", "json", "html"])
def test_leaderboard_writes_every_format(cli, finished_run, form):
    code, out, _ = cli("leaderboard", finished_run, "--format", form)
    assert code == 0
    assert "pixels" in out


DAMAGES = {
    "truncated": lambda text: text[: len(text) // 2],
    "newer": lambda text: text.replace('"schema_version": ', '"schema_version": 9'),
    "unknown field": lambda text: text.replace('"cell_id"', '"novelty": 1, "cell_id"'),
    "empty": lambda text: "",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_cannot_be_read_is_named_and_the_rest_is_shown(cli, finished_run, tmp_path, damage):
    """One rule for every command that reads records: they are named on stderr, exit 1."""
    shutil.copytree(finished_run, "run")
    broken = next(path for path in sorted(Path("run/cells").iterdir()) if '"name": "nll"' in path.read_text())
    broken.write_text(DAMAGES[damage](broken.read_text()))
    for command in (("leaderboard", "run"), ("leaderboard", "run", "--format", "json"), ("status", "run"),
                    ("compare", "run", "run")):  # fmt: skip
        code, out, err = cli(*command)
        assert code == 1, command
        assert str(broken) in err, command
        assert "pixels" in out, command
    assert re.search(r"^pixels .* 1$", cli("status", "run")[1], re.M), "one unreadable"
    code, _, err = cli("leaderboard", "run", "-o", "page.md")
    assert code == 1
    assert Path("page.md").is_file()
    assert cli("leaderboard", "run", "-o", "page.md", "--check")[0] == 1


def test_a_manifest_that_cannot_be_read_is_named_and_the_records_are_shown(cli, finished_run):
    shutil.copytree(finished_run, "run")
    Path("run/manifest.json").write_text("{")
    for command in ("leaderboard", "status"):
        code, out, err = cli(command, "run")
        assert code == 1
        assert "manifest.json" in err
        assert "pixels" in out


def test_a_failed_cell_gives_exit_code_1(cli, tmp_path):
    (tmp_path / "bad.py").write_text(
        "from genbench.space import Space\nclass Bad:\n    space = Space((1, 8, 8), 17)\n"
        "    def sample(self, n, generator): raise RuntimeError('boom')\n"
    )
    code, out, _ = cli("evaluate", "bad.py:Bad", "--metrics", "copies", "--samples", "20")
    assert code == 1
    assert "RuntimeError: boom" in out


def test_a_death_gives_exit_code_1_a_word_in_the_table_and_trips_a_gate(cli, tmp_path):
    body = (
        "import ctypes, torch\nfrom genbench.space import Space\nclass Model(torch.nn.Module):\n    version = VERSION\n"
        "    space = Space((1, 8, 8), 17)\n"
        "    def sample(self, n, generator): return DIES or torch.zeros(n, 1, 8, 8, dtype=torch.int64)\n"
    )
    for name, dies in (("well", "None"), ("ill", "ctypes.string_at(0)")):
        (tmp_path / f"{name}.py").write_text(body.replace("DIES", dies).replace("VERSION", f"'{name}'"))
        code, out, _ = cli("evaluate", f"mine={name}.py:Model", *FAST, "-o", name)
        assert code == (name == "ill")
    assert "crashed [" in out
    assert "killed by SIGSEGV, at samples" in " ".join(out.split())
    code, out, err = cli("status", "ill")
    assert re.search(r"^crashed: mine, copies: Died: the process was killed by SIGSEGV, at samples", err, re.M)
    code, _, err = cli("compare", "well:mine", "ill:mine", "--fail-if", "copies:+5")
    assert code == 3
    assert "crashed in ill" in err


@pytest.mark.parametrize(
    ("option", "value"), [("--time-limit", "0"), ("--memory-limit", "2X"), ("--cell-time-limit", "")]
)
def test_a_limit_that_is_none_is_an_error_of_usage(cli, option, value):
    usage_error(cli("evaluate", option, value, "--dry-run"), "is not a", "genbench evaluate --help")


def test_a_limit_needs_a_process(cli, pixels_checkpoint):
    line = ("evaluate", pixels_checkpoint, *FAST, "--start-method", "none")
    usage_error(cli(*line, "--time-limit", "9s"), "a limit needs a process", "Leave one of them out")
    assert cli(*line)[0] == 0


def test_dry_run_measures_nothing(cli, pixels_checkpoint, tmp_path):
    code, out, _ = cli("evaluate", pixels_checkpoint, *FAST, "--dry-run")
    assert code == 0
    assert "pixels: 2 of 2 cells to measure" in out
    assert not (tmp_path / "runs").exists()


def test_a_list_of_cells_is_measured_exactly_and_parts_make_the_whole(cli, pixels_checkpoint, tmp_path):
    line = ("evaluate", pixels_checkpoint, *FAST)
    code, out, _ = cli(*line, "-o", "whole")
    assert code == 0
    code, listed, _ = cli(*line, "-o", "parts", "--dry-run", "--json")
    cells = json.loads(listed)
    assert (code, len(cells)) == (0, 4)
    assert {cell["model"] for cell in cells} == {"real test data", "pixels"}
    for part in (cells[:1], [cell["id"] for cell in cells[1:3]], cells[3:]):
        (tmp_path / "part.json").write_text(json.dumps(part))
        code, _, err = cli(*line, "-o", "parts", "--cells", "part.json")
        assert code == 0, err
        ids = {cell if isinstance(cell, str) else cell["id"] for cell in part}
        assert ids <= {path.stem for path in (tmp_path / "parts" / "cells").iterdir()}
    assert {path.name for path in (tmp_path / "parts/cells").iterdir()} == {
        path.name for path in (tmp_path / "whole/cells").iterdir()
    }
    code, again, err = cli(*line, "-o", "parts")
    assert (code, again) == (0, out)
    assert "nothing to measure" in err
    assert json.loads(cli(*line, "-o", "parts", "--dry-run", "--json")[1]) == []


def test_a_list_of_cells_that_is_none_is_an_error_of_usage(cli, pixels_checkpoint, tmp_path):
    line = ("evaluate", pixels_checkpoint, *FAST, "--cells", "cells.json")
    usage_error(cli(*line), "cells.json: no list of cells can be read", "--dry-run --json")
    for text in ("", "{", "{}", "[3]", '["x"]', '[{"model": "m"}]', '["../../etc/passwd"]'):
        (tmp_path / "cells.json").write_text(text)
        usage_error(cli(*line), "cells.json", "--dry-run --json")
    (tmp_path / "cells.json").write_text('["0123456789abcdef"]')
    usage_error(cli(*line), "1 of 1 cells are not in this plan, 0123456789abcdef", "Name the same models")


def test_train_writes_a_checkpoint_that_evaluate_reads(cli):
    code, out, err = cli("train", "mixture", "--steps", "4", "--set", "components=3", "-o", "m.safetensors")
    assert code == 0, err
    assert "m.safetensors: 387 parameters" in out  # 3 weights, 3 means and 3 deviations of 64 pixels
    assert cli("describe", "m.safetensors")[0] == 0
    assert cli("evaluate", "m.safetensors", *FAST)[0] == 0


def test_samples_of_any_framework_are_measured(cli, tmp_path):
    np.save("samples.npy", datasets.load("digits").train[:50])
    code, out, err = cli("evaluate", "stolen=samples:samples.npy", "--metrics", "copies", "--samples", "50")
    assert code == 0, err
    assert re.search("^stolen  ", out, re.M)
    assert "~ 1.00" in out


def test_every_command_has_help(cli):
    for command in COMMANDS:
        assert cli(command, "--help")[0] == 0


def test_version_and_env_tell_where_a_number_comes_from(cli):
    assert cli("--version")[1].strip() == f"genbench {__version__}"
    found = json.loads(cli("env", "--json")[1])
    assert found["packages"]["torch"] == torch.__version__
    assert found["threads"] >= 1
    lines = {name: line for line in cli("env")[1].splitlines() for name in found if line.startswith(f"{name} ")}
    assert lines.keys() == found.keys()  # each word stands apart from what it says


def usage_error(result, problem: str, remedy: str = "") -> None:
    """Exit code 2, two lines on stderr, nothing on stdout."""
    code, out, err = result
    assert code == 2, err
    assert out == ""
    assert len(err.strip().splitlines()) == 2, err
    assert problem in err
    assert remedy in err


def test_bad_checkpoints(cli, pixels_checkpoint, tmp_path):
    usage_error(cli("evaluate", "none.safetensors"), "no checkpoint at none.safetensors")
    data = pixels_checkpoint.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(data[: len(data) // 2])
    usage_error(cli("evaluate", "cut.safetensors"), "is truncated", "Copy or download it again")
    weights, card = load_file(pixels_checkpoint), read_card(pixels_checkpoint)
    save_file(weights, "bare.safetensors")
    usage_error(cli("evaluate", "bare.safetensors"), "no genbench card")
    save_file({"log_p": weights["log_p"][:3].contiguous()}, "small.safetensors", metadata={"genbench": card.to_json()})
    usage_error(cli("evaluate", "small.safetensors", *FAST), "does not fit its baseline", "options")
    torch.save({}, "model.pt")
    usage_error(cli("evaluate", "model.pt"), "is a pickle", "Convert it")
    usage_error(cli("evaluate", pixels_checkpoint, "--dataset", "ring8"), "models Space", "--dataset digits")


def test_bad_names(cli, pixels_checkpoint):
    usage_error(cli("evaluate", "--dataset", "digit"), "unknown dataset 'digit'", "Did you mean 'digits'?")
    usage_error(cli("evaluate", "--metrics", "nl"), "unknown metric 'nl'", "Did you mean 'nll'?")
    usage_error(cli("evaluate", "--metrics", "fd[digit-cnn]"), "unknown extractor", "Did you mean 'digits-cnn'?")
    usage_error(cli("evaluate", "--suite", "digts"), "unknown suite", "Did you mean 'digits'?")
    usage_error(cli("train", "mixtur"), "unknown baseline", "Did you mean 'mixture'?")
    usage_error(cli("train", "mixture", "--set", "component=3"), "component", "Did you mean 'components'?")
    usage_error(cli("evalute"), "unknown command", "Did you mean 'evaluate'?")
    usage_error(cli("describe", "mixtur"), "unknown name", "Did you mean 'mixture'?")
    usage_error(cli("status", "nowhere"), "no run at nowhere")


def test_bad_samples(cli, tmp_path):
    def measure(path, *more):
        return cli("evaluate", f"samples:{path}", "--metrics", "copies", "--samples", "10", *more)

    rng = np.random.default_rng(0)
    np.save("shape.npy", rng.integers(17, size=(10, 1, 4, 4), dtype=np.uint8))
    usage_error(measure("shape.npy"), "shape.npy")
    np.save("dtype.npy", rng.random((10, 1, 8, 8)))
    usage_error(measure("dtype.npy"), "dtype.npy")
    np.save("range.npy", np.full((10, 1, 8, 8), 200, np.uint8))
    usage_error(measure("range.npy"), "range.npy")
    np.save("few.npy", rng.integers(17, size=(4, 1, 8, 8), dtype=np.uint8))
    usage_error(measure("few.npy"), "few.npy has 4 samples, the protocol takes 10", "--samples 4")
    np.save("object.npy", np.array([{}], dtype=object), allow_pickle=True)
    usage_error(measure("object.npy"), "object.npy")
    usage_error(measure("none.npy"), "none.npy")


def test_a_small_file_of_samples_is_measured_as_it_is_and_says_so(cli):
    np.save("few.npy", np.random.default_rng(0).integers(17, size=(40, 1, 8, 8), dtype=np.uint8))
    code, out, err = cli("evaluate", "samples:few.npy", "--metrics", "fd,copies", "-o", "run")
    assert code == 0
    assert "few.npy holds 40 samples" in err
    assert "Samples: 40 from each model" in " ".join(out.split())


def test_bad_image_folders(cli, tmp_path):
    def measure(folder):
        return cli("evaluate", f"samples:{folder}", "--metrics", "copies", "--samples", "2")

    for name in ("empty", "mixed", "broken"):
        (tmp_path / name).mkdir()
    usage_error(measure("empty"), "empty")
    for i, size in enumerate((8, 9)):
        Image.new("L", (size, size)).save(f"mixed/{i}.png")
    usage_error(measure("mixed"), "mixed")
    (tmp_path / "broken" / "0.png").write_bytes(b"not an image")
    usage_error(measure("broken"), "0.png")


def test_fewer_samples_than_a_metric_needs(cli, pixels_checkpoint):
    result = cli("evaluate", pixels_checkpoint, "--metrics", "precision", "--samples", "2")
    usage_error(result, "needs at least", "--samples")
    usage_error(cli("evaluate", pixels_checkpoint, "--samples", "0"), "n_samples is 0")


def test_an_output_folder_that_cannot_be_written(cli, pixels_checkpoint, tmp_path):
    usage_error(cli("evaluate", pixels_checkpoint, *FAST, "-o", "/proc/genbench"), "cannot write", "-o")
    (tmp_path / "file").write_text("")
    usage_error(cli("evaluate", pixels_checkpoint, *FAST, "-o", "file/run"), "cannot write", "-o")


def test_a_full_disk_loses_nothing(cli, pixels_checkpoint, tmp_path):
    """The largest file a process may write stands in for the space left on a disk."""
    pytest.importorskip("resource")
    out = tmp_path / "run"
    body = f"""
        import resource, signal, sys
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # write() then fails, as on a full disk
        from genbench.cli import main
        import genbench.run.records as records
        put, count = records.Run.put, []
        def full_after_two(run, record):
            count.append(1)
            if len(count) == 3:
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
            put(run, record)
        records.Run.put = full_after_two
        line = ["evaluate", {str(pixels_checkpoint)!r}, *{FAST!r}, "-o", {str(out)!r}, "--start-method", "none"]
        sys.exit(main(line))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(body)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 2, done.stderr
    assert "cannot write" in done.stderr
    kept = sorted((out / "cells").iterdir())
    assert len(kept) == 2, "two records whole, and no rest of a third"
    assert all(json.loads(path.read_text())["status"] in ("ok", "skipped") for path in kept)
    assert "2 kept" in cli("evaluate", pixels_checkpoint, *FAST, "-o", out)[2]


@pytest.mark.parametrize("metrics", ["", ",", "nll,"])
def test_no_metric_is_not_all_of_a_suite(cli, metrics, pixels_checkpoint):
    usage_error(cli("evaluate", pixels_checkpoint, "--metrics", metrics), "unknown metric ''")


@pytest.mark.parametrize(
    "line",
    [
        ("evaluate", "a.safetensors", "--metrics", "nll", "b.safetensors"),
        ("leaderboard", "a", "--sort", "nll", "b"),
        ("verify", "a", "--seed", "1", "b.safetensors"),
        ("compare", "a", "b", "c"),
    ],
)
def test_models_in_two_places_are_told_to_stand_together(cli, line):
    usage_error(cli(*line), "unrecognized arguments", "in one place")
    usage_error(cli(*line, "--no-such-option"), "unrecognized arguments", "--help")


@pytest.mark.parametrize("command", ["evaluate", "list", "leaderboard", "train"])
def test_an_option_that_a_command_has_not_leads_to_the_help_of_that_command(command, cli):
    usage_error(cli(command, "x", "--no-such-option"), f"See `genbench {command} --help`")
    usage_error(cli("--no-such-option"), "See `genbench --help`")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["evaluate", "--help"], ["list", "metrics"], []])
def test_what_cannot_be_printed_is_an_error(arguments):
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "genbench.cli", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 2
