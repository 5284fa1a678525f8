"""What a command costs before it does anything: `OMP_NUM_THREADS=1 pytest tests/benchmarks/test_startup_speed.py
--benchmark-only`, beside Python itself and what a command cannot do without.

The second call finds the records of the published digits, some two thousand, in a run folder: all that it wants is
there, and it prints the table.
"""

import shutil
import subprocess
import sys

import pytest

from genbench.catalog import BASELINES
from genbench.cli import shipped
from genbench.run.records import Run, open_run

BOARD = BASELINES.parent / "leaderboards" / "digits"
PYTHON = {"python": "pass", "numpy": "import numpy", "torch": "import torch"}


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A run of the published records."""
    run = Run(tmp_path_factory.mktemp("runs") / "digits")
    for record in open_run(BOARD).records():
        run.put(record)
    shutil.copytree(BOARD / "pictures", run.pictures, dirs_exist_ok=True)
    return run


@pytest.mark.benchmark(group="commands")
@pytest.mark.parametrize("what", [*PYTHON, "--help", "list", "evaluate, the second time", "leaderboard"])
def test_commands(benchmark, what, measured):
    commands = {
        "list": ["list", "baselines"],
        "evaluate, the second time": [
            "evaluate", *shipped("digits"), "--suite", "digits", "--metrics", "nll,fd,kd,is,precision,recall,classes",
            "-o", str(measured.folder),
        ],
        "leaderboard": ["leaderboard", str(measured.folder)],
    }  # fmt: skip
    command = ["-c", PYTHON[what]] if what in PYTHON else ["-m", "genbench", *commands.get(what, [what])]

    def call():
        return subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120, check=True)

    done = benchmark.pedantic(call, rounds=5, warmup_rounds=1)
    if what.startswith("evaluate"):
        assert "0 cells measured" in done.stderr or "nothing to measure" in done.stderr
