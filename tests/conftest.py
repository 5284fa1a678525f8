"""What several test files share."""

import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is loaded: on small models threads only wait
os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line has it: where there are two, they wait asleep

import numpy as np
import pytest

from genbench import catalog, datasets, importing
from genbench.cli import main
from genbench.models.training import Preset, train

REPOSITORY = Path(__file__).resolve().parents[1]
collect_ignore = ["mutation"]  # it runs tests, and is none


@pytest.fixture(autouse=True)
def nothing_of_another_test(monkeypatch):
    """Each test has `sys.path`, the plugins and the folders that models were imported from for itself."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(catalog, "_plugins", [])
    monkeypatch.setattr(catalog, "_told", set())
    monkeypatch.setattr(importing, "_projects", {})
    yield
    for project in importing._projects.values():
        project.hide({name.partition(".")[0] for name in project.own()})


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data: GENBENCH_DATA, else shared/data beside the repository; without one the test skips."""
    named = os.environ.get("GENBENCH_DATA")
    root = Path(named).resolve() if named else REPOSITORY.parent / "shared" / "data"
    if not root.is_dir():
        pytest.skip(f"no real data: {root} is no folder; set GENBENCH_DATA to one")
    return root


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path):
    """Runs the command line in this process, in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(a) for a in arguments])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def parted_by_place(monkeypatch):
    """Parts of a set are drawn by the places of its rows, so that two ways to write the same rows are parted alike."""
    from genbench.numerics.points import Points

    def places(points: Points, seed: int) -> np.ndarray:
        return np.random.RandomState(seed).permutation(len(points))

    monkeypatch.setattr(Points, "shuffled", places)
    monkeypatch.setattr(Points, "sampled", lambda points, n, seed: places(points, seed)[:n])


@pytest.fixture(scope="session")
def pixels_checkpoint(tmp_path_factory) -> Path:
    """Independent pixels, fitted to the digits: a real checkpoint that takes no time to make."""
    out = tmp_path_factory.mktemp("checkpoints") / "pixels.safetensors"
    train("independent-pixels", datasets.load("digits"), Preset(), out)
    return out
