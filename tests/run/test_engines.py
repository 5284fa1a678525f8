"""Other machines: Ray with two nodes on this one, of which a worker and a node are killed, and jobs of submitit.

Their records are those of one process, bit for bit. These tests skip where the packages are not installed, and run by
`tox -e engines`.
"""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from genbench.cli import main
from genbench.errors import Died
from genbench.run.elsewhere import Part
from genbench.run.records import Run

MODELS = """
    import os, time, torch
    from genbench import Space

    class Model(torch.nn.Module):
        version = 1
        space = Space((2,))
        def __init__(self, shift=0.0, seconds=0.0):
            super().__init__()
            self.shift, self.seconds = float(shift), float(seconds)
        def log_prob(self, x):
            return -(x - self.shift).square().sum(1)
        def sample(self, n, generator):
            if self.seconds < 0:
                os.abort()
            time.sleep(self.seconds)
            return self.shift + torch.randn(n, 2, generator=generator)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with models and data, entered; what it starts finds this genbench."""
    (tmp_path / "models.py").write_text(textwrap.dedent(MODELS))
    np.save(tmp_path / "points.npy", np.random.default_rng(0).standard_normal((200, 2)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return tmp_path


def evaluate(folder, name, models, *more):
    """The exit code of an evaluation into a run of a name."""
    run = ["--metrics", "nll,fd,copies", "--samples", "100", "-o", str(folder / name), *more]
    return main(["evaluate", "--dataset", str(folder / "points.npy"), *models, *run])


def measured(folder, name):
    """What records say, but for when and on what."""
    return {
        r.cell_id: (r.status, r.value, r.stderr, r.ci95, r.kind, r.warnings, r.details)
        for r in Run(folder / name).records()
    }


def slow(n, seconds):
    return [f"m{i}=models.py:Model?shift={i}&seconds={seconds}" for i in range(n)]


def children(pid):
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def commands(part):
    """The processes that run a command for a part of this folder, and their parents."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().split(b"\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if b"genbench" in words and any(str(part).encode() in word for word in words):
            found.append((int(path.name), parent))
    return found


def wait_for(true, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.1)
    return found


@pytest.fixture
def cluster():
    ray = pytest.importorskip("ray", reason="ray is not installed: tox -e engines")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": 80_000_000}
    found = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    second = found.add_node(**node)
    ray.init(address=found.address, log_to_driver=False)
    yield found, second
    ray.shutdown()
    found.shutdown()


def test_ray_gives_the_records_of_one_process_though_a_worker_and_a_node_are_killed(folder, cluster, capsys):
    nodes, second = cluster
    killed, parts = [], folder / "there" / "parts"

    def kill() -> None:
        _, worker = wait_for(lambda: commands(parts))[0]
        time.sleep(1)
        os.kill(worker, signal.SIGKILL)
        killed.append(worker)
        time.sleep(3)
        nodes.remove_node(second, allow_graceful=False)
        killed.append(second)

    thread = threading.Thread(target=kill)
    thread.start()
    code = evaluate(folder, "there", slow(4, 1.5), "--executor", "ray")
    thread.join()
    log = next(Path(second.get_logs_dir_path()).glob("raylet*.out")).read_text(errors="replace")
    print(f"log of the node that was killed: ...{log[-1000:]}")
    said = capsys.readouterr()
    print(said.out, said.err)
    assert len(killed) == 2
    assert code == 0
    assert "begun again" in said.err
    assert evaluate(folder, "here", slow(4, 0), "--start-method", "none") == 0
    there, here = measured(folder, "there"), measured(folder, "here")
    # A model is known by its arguments too, so that cells of slow ones have other names; what they hold is equal.
    assert sorted(map(repr, there.values())) == sorted(map(repr, here.values()))
    assert len(there) == 15
    assert not parts.exists()
    assert not commands(parts)


def test_submitit_gives_the_records_of_one_process(folder, capsys):
    pytest.importorskip("submitit", reason="submitit is not installed: tox -e engines")
    assert evaluate(folder, "there", slow(2, 0), "--executor", "submitit", "--executor-set", "cluster=local") == 0
    assert evaluate(folder, "here", slow(2, 0), "--start-method", "none") == 0
    assert measured(folder, "there") == measured(folder, "here")
    assert len(measured(folder, "there")) == 9


def test_a_model_that_dies_in_a_job_is_a_record_and_a_job_that_cannot_begin_says_why(folder, capsys):
    pytest.importorskip("submitit", reason="submitit is not installed: tox -e engines")
    both = [*slow(1, 0), "bad=models.py:Model?seconds=-1"]
    code = evaluate(folder, "there", both, "--executor", "submitit", "--executor-set", "cluster=local")
    assert code == 1
    statuses = [status for status, *_ in measured(folder, "there").values()]
    assert "crashed" in statuses
    assert statuses.count("ok") >= 4
    with pytest.raises(SystemExit):
        main(["evaluate", "--executor", "nonsense"])
    assert evaluate(folder, "x", slow(1, 0), "--executor", "submitit", "--executor-set", "no_such=1") == 2
    assert "no_such" in capsys.readouterr().err


# --- What needs neither package


class Odd:
    """An engine that loses the first task of every part, as a machine that dies does; then runs it here."""

    def __init__(self, deaths=1, status="crashed"):
        self.deaths, self.status, self.begun = deaths, status, []

    def run(self, parts, seconds):
        for number, part in enumerate(parts):
            self.begun.append([cell["id"] for cell in json.loads(Path(part.arguments[-1]).read_text())])
            if len(self.begun) <= self.deaths:
                yield number, Died(self.status, "its machine is gone", "task")
            else:
                yield number, part.perform()


def planned_with(folder, odd, monkeypatch, name):
    import genbench.run.elsewhere as elsewhere

    monkeypatch.setattr(elsewhere, "engine", lambda name, settings: odd)
    return evaluate(folder, name, slow(1, 0), "--executor", "ray")


def test_a_task_that_dies_with_its_machine_is_begun_again_with_what_is_left(folder, monkeypatch):
    odd = Odd()
    assert planned_with(folder, odd, monkeypatch, "there") == 0
    assert len(odd.begun) == 3  # real data and one model, the first of them twice
    assert odd.begun[0] == odd.begun[2]
    assert evaluate(folder, "here", slow(1, 0), "--start-method", "none") == 0
    assert measured(folder, "there") == measured(folder, "here")


@pytest.mark.parametrize(("status", "times"), [("timeout", 1), ("crashed", 3)])
def test_what_dies_each_time_or_takes_too_long_is_a_record(folder, monkeypatch, status, times):
    odd = Odd(100, status)
    assert planned_with(folder, odd, monkeypatch, "there") == 1
    found = measured(folder, "there")
    assert {one for one, *_ in found.values()} == {status}
    assert len(found) == 6
    assert len(odd.begun) == 2 * times


def test_the_command_of_a_part_dies_with_the_process_that_runs_it(folder):
    script = (
        "from genbench.run.elsewhere import Part; from pathlib import Path; import os\n"
        f"Part(['evaluate', 'm={folder}/models.py:Model?seconds=30', '--dataset', '{folder}/points.npy', '-o', "
        f"'{folder}/run'], '{folder}', dict(os.environ), Path('{folder}/started')).perform()"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    (command,) = wait_for(lambda: children(process.pid))
    process.kill()
    process.wait()
    wait_for(lambda: not Path(f"/proc/{command}").exists(), 10)


def test_settings_without_an_executor_and_an_executor_without_processes_are_refused(folder, capsys):
    assert evaluate(folder, "x", slow(1, 0), "--executor-set", "a=1") == 2
    assert evaluate(folder, "x", slow(1, 0), "--executor", "ray", "--start-method", "none") == 2
    assert Part([], "", {}, Path("x")).arguments == []
