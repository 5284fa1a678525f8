"""The command line in bad surroundings: closed streams, odd encodings, no home, full disks, places for no file."""

import contextlib
import errno
import fcntl
import os
import pty
import pwd
import re
import resource
import signal
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest

from genbench import cli as command_line
from genbench.cli import main
from genbench.errors import GenbenchError
from genbench.files import Draft
from genbench.run.records import Run

HERE = Path(__file__).resolve().parents[1]
FAST = ("--metrics", "copies", "--samples", "20")


def started(line: str, **env: str) -> subprocess.CompletedProcess:
    """`genbench` in a shell, which can close streams and make pipes."""
    line = line.replace("genbench ", "PYTHON -m genbench ").replace("PYTHON", sys.executable)
    surroundings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), "HOME": "/nowhere", **env}
    return subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, env=surroundings)


# --- Streams


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("genbench list baselines >&-", 0),
        ("genbench list baselines 2>&-", 0),
        ("genbench list baselines <&- >&- 2>&-", 0),
        ("genbench list baselinez 2>&-", 2),
        ("genbench list baselines | true; exit ${PIPESTATUS[0]}", 0),
        (f"genbench leaderboard {HERE}/leaderboards/ring8 | head -1; exit ${{PIPESTATUS[0]}}", 0),
        (f"genbench status {HERE}/leaderboards/ring8 >&- 2>&-", 0),
    ],
)
def test_a_closed_stream_changes_no_exit_code(line, code):
    done = started(line)
    assert done.returncode == code
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("width", [80, 120])
def test_in_a_terminal_tables_fit_and_off_one_every_number_has_a_line(cli, width, tmp_path):
    """The terminal is one: a pseudo terminal, which has a width and tells no variable of it."""
    np.save(tmp_path / "s.npy", np.random.default_rng(0).integers(17, size=(60, 1, 8, 8)).astype(np.uint8))
    metrics = ["fd", "copies", "precision", "recall", "density", "coverage"]
    line = ["evaluate", "a_model_with_a_long_name=samples:s.npy", "--metrics", ",".join(metrics), "--samples", "60"]
    line += ["--start-method", "none", "-o", "r"]
    code, _, err = cli(*line)
    assert code == 0, err
    told = [said.split() for said in err.splitlines() if said.startswith("ok ")]
    assert len(told) == 2 * len(metrics)
    assert all(float(seconds) >= 0 and unit == "s" for _, seconds, unit, *_ in told)
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    command = [sys.executable, "-m", "genbench", *line, "--rerun", "always"]
    code, shown = in_terminal(command, width, tmp_path, env)
    assert code == 0
    table = shown[next(i for i, said in enumerate(shown) if said.startswith("# ")) :]
    assert any("a_model_with_a_long_name" in said for said in table)
    assert max(map(len, shown)) <= width, "the table, and what shows how far it is"


def in_terminal(command, width, folder, env):
    """The exit code of a command in a terminal of so many columns, and what stands on its lines in the end."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    started = subprocess.Popen(command, cwd=folder, env=env, stdin=its, stdout=its, stderr=its, start_new_session=True)
    os.close(its)
    found = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 65536):
            found += part
    os.close(ours)
    lines = found.decode().replace("\r\n", "\n").split("\n")
    return started.wait(200), [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", said.split("\r")[-1]) for said in lines]


@pytest.mark.parametrize("name", ["baselines", "metrics", "datasets", "leaderboards"])
def test_a_folder_of_the_users_may_be_called_as_one_of_ours(name, tmp_path):
    """Research repositories have a package `baselines`, and put themselves on the path."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("raise ImportError('not what genbench means')")
    done = started(f"cd {tmp_path} && genbench list baselines", PYTHONPATH=f"{tmp_path}:{HERE}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"gated-pixelcnn" in done.stdout


def test_a_disk_that_is_full_for_the_results_is_an_error_in_two_lines():
    done = started("genbench list baselines > /dev/full")
    assert done.returncode == 2
    assert done.stderr.decode().startswith("genbench: No space left on device\n  ")
    assert len(done.stderr.splitlines()) == 2


@pytest.mark.parametrize("encoding", ["iso-8859-1", "ascii:strict", "cp1252"])
def test_a_character_that_an_encoding_lacks_is_written_as_an_escape(encoding):
    done = started(f"genbench leaderboard {HERE}/leaderboards/ring8", PYTHONIOENCODING=encoding)
    assert done.returncode == 0, done.stderr
    assert b"(bits/dim) \\u2193" in done.stdout


def test_a_closed_stream_is_not_lent_to_the_next_file():
    """A file that is opened in place of a closed stderr would be written into by whatever complains."""
    body = "import sys, genbench.cli; genbench.cli.open_streams(); sys.exit(open(sys.argv[1]).fileno() <= 2)"
    done = started(f"PYTHON -c '{body}' {HERE}/README.md <&- >&- 2>&-")
    assert done.returncode == 0


# --- What is not the user's fault


def broken(error):
    def run(args):
        raise error

    return run


@pytest.mark.parametrize(
    "error", [TypeError("no\nsuch thing"), KeyError("x"), AssertionError(), ZeroDivisionError("by 0")]
)
def test_a_bug_has_an_exit_code_of_its_own_and_asks_for_a_report(cli, monkeypatch, error):
    monkeypatch.setattr(command_line.COMMANDS["env"], "run", broken(error))
    code, out, err = cli("env")
    assert (code, out) == (70, "")
    first, second = err.splitlines()
    assert first.startswith(f"genbench: internal error: {type(error).__name__}")
    assert "report it" in second
    assert "--debug" in second
    code, _, err = cli("env", "--debug")
    assert code == 70
    assert "Traceback" in err


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied", "/secret"),
        OSError(errno.ENOSPC, "No space left on device"),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "gone"),
        MemoryError("Unable to allocate 8 TiB"),
        GenbenchError("wrong", "Right it."),
    ],
)
def test_what_the_surroundings_lack_is_an_error_in_two_lines(cli, monkeypatch, error):
    monkeypatch.setattr(command_line.COMMANDS["env"], "run", broken(error))
    code, out, err = cli("env")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2
    assert str(getattr(error, "filename", None) or "") in err
    code, _, err = cli("env", "--debug")
    assert code == 2
    assert "Traceback" in err


# --- Home


@pytest.mark.parametrize(
    ("line", "variable"),
    [
        (("evaluate", "--dataset", "mnist", "--offline"), "GENBENCH_CACHE"),
        (("train", "vae", "--dataset", "mnist", "--data-root", "~/x"), "GENBENCH_DATA"),
        (("evaluate", "--metrics", "fd[inceptionv3]", "--offline"), "GENBENCH_CACHE"),
    ],
)
def test_without_a_home_the_variable_that_replaces_it_is_named(cli, monkeypatch, line, variable):
    for name in ("HOME", "GENBENCH_CACHE", "GENBENCH_DATA", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    code, _, err = cli(*line)
    assert code == 2
    assert "there is no home folder" in err
    assert f"Set {variable} to a folder." in err
    assert len(err.strip().splitlines()) == 2


def test_without_a_home_what_needs_none_works(cli, monkeypatch, pixels_checkpoint):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: {}[uid])
    assert cli("evaluate", pixels_checkpoint, *FAST)[0] == 0


# --- Numbers


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "nan", "inf", "1e999", "9" * 5000, "", "abc", "1_000_000_000_000"])
@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("evaluate", "--samples"), ("evaluate", "--k"), ("evaluate", "--limit"), ("evaluate", "--batch-size"),
        ("evaluate", "--seed"), ("train", "--seed"), ("train", "--steps"), ("train", "--minutes"),
        ("audit", "--seeds"), ("audit", "--samples"), ("audit", "--batch-size"), ("audit", "--strengths"),
        ("profile", "--threads"),
    ],
)  # fmt: skip
def test_a_number_that_cannot_be_is_an_error_of_usage(cli, monkeypatch, command, flag, value):
    fits = {"--seed": {"0"}, "--minutes": {"1.5", "inf", "1e999", "9" * 5000, "1_000_000_000_000"}}
    if value in fits.get(flag, ()):
        return
    what = {"train": ["independent-pixels"], "audit": ["--faults", "control", "--metrics", "copies"], "profile": ["x"]}
    monkeypatch.setattr("genbench.run.evaluate.evaluate", lambda *_, **__: pytest.fail("measured"))
    code, out, err = cli(command, *what.get(command, []), f"{flag}={value}")
    assert code == 2, err
    assert out == ""
    assert len(err.strip().splitlines()) == 2, err


# --- Targets


def places(tmp_path: Path) -> dict[str, Path]:
    """Where no file can be written."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/null")
    (tmp_path / "loop").symlink_to("loop")
    return {
        "folder": tmp_path / "folder",
        "beneath a file": tmp_path / "file" / "x",
        "pipe": tmp_path / "pipe",
        "device": tmp_path / "device",
        "loop": tmp_path / "loop",
        "too long": tmp_path / ("n" * 300),
        "proc": Path("/proc/x/y"),
    }


@pytest.mark.parametrize("place", ["folder", "beneath a file", "pipe", "device", "loop", "too long", "proc"])
@pytest.mark.parametrize("command", ["train", "leaderboard", "evaluate", "audit"])
def test_a_target_that_cannot_be_written_is_said_before_the_work(cli, tmp_path, monkeypatch, command, place):
    path = places(tmp_path)[place]
    if (command, place) in (("evaluate", "folder"), ("audit", "folder")):
        path.rmdir()
        path = path.with_name("file")  # a folder is what a run is
    monkeypatch.setattr("genbench.models.training.train_stages", lambda *_: pytest.fail("trained"))
    monkeypatch.setattr("genbench.run.measuring.measure", lambda *_: pytest.fail("measured"))
    line = {
        "train": ["train", "vae"],
        "leaderboard": ["leaderboard", HERE / "leaderboards" / "latents"],
        "evaluate": ["evaluate", *FAST],
        "audit": ["audit", "--faults", "control", "--metrics", "copies", "--samples", "20"],
    }[command]
    before = sorted(p.name for p in tmp_path.iterdir())
    code, out, err = cli(*line, "-o", path)
    assert code == 2, err
    assert out == ""
    assert len(err.strip().splitlines()) == 2, err
    assert sorted(p.name for p in tmp_path.iterdir()) == before
    assert (tmp_path / "file").read_text() == "kept"
    assert (tmp_path / "device").is_symlink()


@pytest.mark.parametrize("command", ["train", "leaderboard"])
def test_a_link_is_written_through(cli, tmp_path, command):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "x")
    line = ["train", "independent-pixels"] if command == "train" else ["leaderboard", HERE / "leaderboards" / "latents"]
    assert cli(*line, "-o", tmp_path / "link")[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "x").stat().st_size > 100


def test_the_room_for_a_checkpoint_is_taken_before_the_training(cli, tmp_path, monkeypatch):
    """The largest file a process may write stands in for the space left on a disk."""
    monkeypatch.setattr("genbench.models.training.train_stages", lambda *_: pytest.fail("trained"))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # write() then fails, as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        code, _, err = cli("train", "vae", "-o", "vae.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert code == 2
    assert err.startswith("genbench: cannot write vae.safetensors: File too large")
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_needs_no_more_room_at_the_end(tmp_path):
    draft = Draft(tmp_path / "x")
    draft.fill(bytes(100))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        draft.fill(b"a" * 90)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    draft.publish()
    assert (tmp_path / "x").read_bytes() == b"a" * 90


def test_a_run_that_is_whole_is_shown_where_nothing_can_be_written(cli, tmp_path, pixels_checkpoint, monkeypatch):
    """The same command again measures nothing, and so needs no more than to read."""
    assert cli("evaluate", pixels_checkpoint, *FAST, "-o", "run")[0] == 0
    for method in ("write", "check"):
        monkeypatch.setattr(Run, method, lambda *_: pytest.fail("written"))
    assert cli("evaluate", pixels_checkpoint, *FAST, "-o", "run")[0] == 0


# --- Remedies


def test_a_remedy_can_be_followed(cli, tmp_path):
    """Twelve images, and metrics that need more: what one error advises, the next does not forbid."""
    import numpy as np

    np.save("few.npy", np.random.default_rng(0).integers(17, size=(12, 1, 8, 8), dtype=np.uint8))
    line = ["evaluate", "samples:few.npy", "-o", "run"]
    for _ in range(3):
        code, _, err = cli(*line, *(() if "--metrics" in line else ("--metrics", "is,copies,data-copying,modes")))
        if code != 2:
            break
        remedy = err.strip().splitlines()[-1]
        assert "--samples" not in remedy
        line += ["--metrics", remedy.partition("--metrics '")[2].partition("'")[0]]
    assert code == 0
    assert line[-1] == "copies,modes,high-quality,modes-kl"


def test_arguments_can_be_given_to_main_without_a_process(capsys):
    assert main(["list", "suites"]) == 0
    assert "digits" in capsys.readouterr().out
