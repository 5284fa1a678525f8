"""Other machines: Ray with two nodes on this one, jobs of submitit, and a Slurm of two nodes (`slurm.py`).

Workers, jobs and nodes are killed, and the records are those of one process, bit for bit. Tests that need a package
skip where it is not installed, and run by `tox -e engines`.
"""

import ast
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from genbench.cli import main
from genbench.environment import forget_peak, memory_status
from genbench.errors import Died
from genbench.run.elsewhere import LOST, Part, refused
from genbench.run.records import Run
from workers import running, write_models


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with models and data, entered; what it starts finds this genbench."""
    write_models(tmp_path)
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


def same(folder, n):
    """Whether what was measured there of slow models is what one process measures of quick ones.

    A model is known by its arguments too, so that cells of slow ones have other names; what they hold is equal.
    """
    assert evaluate(folder, "here", slow(n, 0), "--start-method", "none") == 0
    there, here = measured(folder, "there"), measured(folder, "here")
    assert len(here) == 3 + 3 * n
    return sorted(map(repr, there.values())) == sorted(map(repr, here.values()))


def errors(folder, name, model):
    """Status, message and phase of what failed of a model."""
    cells = next(row["cells"] for row in Run(folder / name).manifest()["rows"].values() if row["name"] == model)
    found = [r for r in Run(folder / name).records() if r.cell_id in cells and r.error and r.status != "skipped"]
    return {(r.status, r.error["message"], r.error["phase"]) for r in found}


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


def said_by(raylet, logs):
    """What the process of a Ray node has written in its log, but for dumps of its state."""
    for path in logs.glob("raylet*.out"):
        lines = [line for line in path.read_text(errors="replace").splitlines() if "[state-dump]" not in line]
        if any(f" {raylet} {raylet}] (raylet)" in line for line in lines):
            return "\n".join(line for line in lines[-12:] if line)
    return ""


def test_ray_gives_the_records_of_one_process_though_a_worker_and_a_node_are_killed(folder, cluster, capsys):
    nodes, second = cluster
    killed, parts = [], folder / "there" / "parts"
    raylet, logs = second.all_processes["raylet"][0].process.pid, Path(second.get_logs_dir_path())

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
    code = evaluate(folder, "there", slow(4, 1.5), "--executor", "ray", "--executor-set", "num_cpus=1")
    thread.join()
    said = capsys.readouterr()
    log = said_by(raylet, logs)
    with capsys.disabled():
        print(f"\nThe end of the log of the node that was killed:\n{log}")
    assert "Started worker process" in log
    print(said.out, said.err)
    assert len(killed) == 2
    assert code == 0
    assert "begun again" in said.err
    assert same(folder, 4)
    assert not parts.exists()
    assert not commands(parts)


@pytest.fixture
def submitit():
    return pytest.importorskip("submitit", reason="submitit is not installed: tox -e engines")


def by_submitit(folder, models, *settings):
    given = [word for one in settings for word in ("--executor-set", one)]
    return evaluate(folder, "there", models, "--executor", "submitit", *given)


@pytest.mark.parametrize("cluster", ["local", "debug"])
def test_jobs_of_submitit_give_the_records_of_one_process(cluster, folder, submitit, capsys):
    assert by_submitit(folder, slow(1, 0), f"cluster={cluster}") == 0
    assert same(folder, 1)
    assert not (folder / "there" / "parts").exists()


def test_a_model_that_dies_in_a_job_is_a_record_and_settings_that_are_none_are_refused(folder, submitit, capsys):
    assert by_submitit(folder, [*slow(1, 0), "bad=models.py:Model?seconds=-1"], "cluster=local") == 1
    ((status, message, phase),) = errors(folder, "there", "bad")
    assert (status, phase) == ("crashed", "samples")
    assert "SIGABRT" in message
    assert errors(folder, "there", "m0") == set()
    for wrong in ("no_such=1", "timeout_min=1.5", "cluster=none"):
        assert by_submitit(folder, slow(1, 9), wrong) == 2
        assert "submitit takes no such settings" in capsys.readouterr().err


def test_a_job_that_is_killed_is_begun_again(folder, submitit, capsys):
    parts, killed = folder / "there" / "parts", []

    def kill() -> None:
        _, job = wait_for(lambda: commands(parts))[0]
        os.kill(job, signal.SIGKILL)
        killed.append(job)

    thread = threading.Thread(target=kill)
    thread.start()
    code = by_submitit(folder, slow(1, 1), "cluster=local")
    thread.join()
    assert killed
    assert code == 0
    assert "its job died" in (said := capsys.readouterr().err)
    assert "begun again" in said
    assert same(folder, 1)


def test_a_job_that_exceeds_its_limit_is_a_record_and_is_not_begun_again(folder, submitit, capsys):
    """submitit ends it, half a minute before its limit: the limit of genbench, two minutes earlier, is left out."""
    assert by_submitit(folder, slow(1, 600), "cluster=local", "local_timeout_min=0.9") == 1
    ((status, message, phase),) = errors(folder, "there", "m0")
    assert (status, phase) == ("timeout", "limit")
    assert message.startswith("its job was stopped at its limit of time (state ")
    assert "timed-out and not checkpointable" in message
    assert "begun again" not in capsys.readouterr().err
    wait_for(lambda: not commands(folder / "there"), 20)


# --- A Slurm of two nodes


@pytest.fixture
def slurm(tmp_path_factory, submitit, monkeypatch):
    """A Slurm without a job; nothing of its is left running."""
    import slurm

    home = tmp_path_factory.mktemp("slurm")
    slurm.install(home / "bin")
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_HERE", str(home))
    yield slurm
    for name in slurm.tasks():
        slurm.scancel(name)
    wait_for(lambda: all(said["state"] in slurm.OVER for said in slurm.tasks().values()), 20)


def working(slurm, folder):
    """{task: node} of those whose command has begun."""
    busy = {int(pid) for pid, _ in commands(folder / "there" / "parts")}
    found = {}
    for name, said in slurm.tasks().items():
        if said["state"] == "RUNNING" and busy & set(slurm.session(said["pid"])):
            found[name] = said["node"]
    return found


def test_slurm_gives_the_records_of_one_process_though_a_job_is_killed_another_preempted_and_a_node_goes_down(
    folder, slurm, capsys
):
    done = []

    def disturb() -> None:
        first, second = wait_for(lambda: len(found := working(slurm, folder)) == 2 and sorted(found))
        command = next(p for p in commands(folder / "there" / "parts") if p[0] in pids_of(slurm, first))
        os.kill(command[1], signal.SIGKILL)
        done.append("killed")
        subprocess.run(["scancel", second, "--signal", "USR2"], check=True)
        wait_for(lambda: slurm.tasks()[second]["restarts"] == 1)
        done.append("preempted")
        name, node = next(iter(wait_for(lambda: working(slurm, folder)).items()))
        subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN"], check=True)
        wait_for(lambda: slurm.tasks()[name]["restarts"] >= 1)
        done.append("down")

    thread = threading.Thread(target=disturb)
    thread.start()
    code = by_submitit(folder, slow(3, 2))
    thread.join()
    said = capsys.readouterr()
    print(said.out, said.err, slurm.tasks())
    assert done == ["killed", "preempted", "down"]
    assert code == 0
    wait_for(lambda: all(one["state"] in slurm.OVER for one in slurm.tasks().values()), 20)
    states = [one["state"] for one in slurm.tasks().values()]
    assert sorted(states) == ["COMPLETED"] * 4 + ["FAILED"]  # real data and three models; one of them twice
    assert "begun again" in said.err
    assert same(folder, 3)


def pids_of(slurm, name):
    return set(slurm.session(slurm.tasks()[name]["pid"]))


def test_a_node_that_fails_has_its_job_begun_again_and_a_job_that_somebody_cancels_is_a_record(
    folder, slurm, monkeypatch, capsys
):
    """JobRequeue=0: Slurm begins nothing again by itself."""
    monkeypatch.setenv("SLURM_REQUEUE", "0")
    done = []

    def disturb() -> None:
        wait_for(lambda: slurm.tasks().get("100_0", {}).get("state") == "COMPLETED")
        node = wait_for(lambda: working(slurm, folder).get("100_1"))
        wait_for(lambda: "100_2" in working(slurm, folder))
        subprocess.run(["scancel", "100_2"], check=True)
        subprocess.run(["scontrol", "update", f"NodeName={node}", "State=DOWN"], check=True)
        done.append(node)

    thread = threading.Thread(target=disturb)
    thread.start()
    code = by_submitit(folder, [*slow(1, 5), "long=models.py:Model?seconds=600"])
    thread.join()
    said = capsys.readouterr().err
    print(said, slurm.tasks())
    assert done
    assert code == 1
    wait_for(lambda: all(one["state"] in slurm.OVER for one in slurm.tasks().values()), 20)
    assert {name: one["state"] for name, one in slurm.tasks().items()} == {
        "100_0": "COMPLETED",
        "100_1": "NODE_FAIL",
        "100_2": "CANCELLED",
        "101": "COMPLETED",
    }
    ((status, message, phase),) = errors(folder, "there", "long")
    assert (status, phase) == ("crashed", "cancelled")
    assert "CANCELLED" in message
    assert errors(folder, "there", "m0") == set()
    assert "m0: its job died" in said
    assert "NODE_FAIL" in said


def test_a_job_at_the_limit_of_slurm_is_a_record(folder, slurm, monkeypatch, capsys):
    monkeypatch.setenv("SLURM_MINUTE", "80")  # seconds; the signal comes after 40 of them
    assert by_submitit(folder, slow(1, 600), "timeout_min=1") == 1
    ((status, _, phase),) = errors(folder, "there", "m0")
    assert (status, phase) == ("timeout", "limit")
    assert "begun again" not in capsys.readouterr().err


def test_what_jobs_measure_after_their_command_has_died_is_found_by_the_next_and_a_refusal_is_told(
    folder, slurm, capsys
):
    command = [sys.executable, "-m", "genbench", "evaluate", "--dataset", "points.npy", *slow(1, 3), "--metrics"]
    command += ["nll,fd,copies", "--samples", "100", "-o", "there", "--executor", "submitit"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: working(slurm, folder))
    process.kill()
    process.wait()
    wait_for(lambda: {said["state"] for said in slurm.tasks().values()} == {"COMPLETED"})
    assert by_submitit(folder, slow(1, 3)) == 0
    assert "all 6 cells are in" in capsys.readouterr().err
    assert set(slurm.tasks()) == {"100_0", "100_1"}
    assert same(folder, 1)
    assert by_submitit(folder, slow(2, 0), "slurm_partition=none") == 2
    assert "no job was taken: sbatch: error: invalid partition specified: none" in capsys.readouterr().err


# --- What needs neither package


class Odd:
    """An engine that loses the first task of every part, as a machine that dies does; then runs it here."""

    def __init__(self, deaths=1, status="crashed"):
        self.deaths, self.status, self.begun = deaths, status, []

    def run(self, parts, seconds):
        for number, part in enumerate(parts):
            self.begun.append([cell["id"] for cell in json.loads(part.started.with_suffix(".json").read_text())])
            if len(self.begun) <= self.deaths:
                yield number, Died(self.status, "its machine is gone", LOST if self.status == "crashed" else "limit")
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
    wait_for(lambda: not running(command), 10)


def test_a_command_has_the_devices_of_its_machine_and_of_what_it_says_the_end_is_kept(folder, monkeypatch):
    """A model that writes 60 MB to stderr, in a job of its own number."""
    loud = "os.write(2, b'x' * 30_000_000)\n        open('seen', 'w').write(repr(sorted(os.environ.items())))"
    (folder / "loud.py").write_text((folder / "models.py").read_text().replace("time.sleep(self.seconds)", loud))
    words = ["evaluate", "m=loud.py:Model", "--dataset", "points.npy", "--metrics", "copies", "--samples", "100"]
    told = {**os.environ, "SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", "CUDA_VISIBLE_DEVICES": "5", "MINE": "3"}
    part = Part([*words, "-o", "loud"], str(folder), told, folder / "started")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    forget_peak()
    before = memory_status("VmHWM")
    code, said = part.perform()
    assert memory_status("VmHWM") - before < 10_000_000
    assert code == 0
    assert len(said) < 20_000
    assert "records in loud" in said[-200:]
    seen = dict(ast.literal_eval((folder / "seen").read_text()))
    assert (seen["SLURM_JOB_ID"], seen["MINE"]) == ("7", "3")
    assert not {"SLURM_NTASKS", "CUDA_VISIBLE_DEVICES"} & seen.keys() - os.environ.keys()


def test_the_command_of_a_part_is_that_of_the_user_with_its_own_cells(folder, monkeypatch):
    import genbench.run.elsewhere as elsewhere

    odd = Odd(0)
    monkeypatch.setattr(elsewhere, "engine", lambda name, settings: odd)
    run = ["--metrics", "nll", "-o", str(folder / "there"), "--executor", "ray", "--executor-set", "num_gpus=1"]
    assert main(["evaluate", "--dataset", str(folder / "points.npy"), *run, "--", *slow(1, 0)]) == 0
    assert {status for status, *_ in measured(folder, "there").values()} == {"ok", "skipped"}


def test_a_command_that_ends_by_itself_says_its_error_and_not_what_it_said_before():
    died = refused(2, "points.npy names no splits\ngenbench: no such device 'gpu'\n  Name another.\n")
    assert died.message == "its command ended with exit code 2: genbench: no such device 'gpu'\n  Name another."
    assert refused(-9, "a word ").message == "its command ended with exit code -9: a word"


def test_settings_without_an_executor_and_an_executor_without_processes_are_refused(folder, capsys):
    assert evaluate(folder, "x", slow(1, 0), "--executor-set", "a=1") == 2
    assert evaluate(folder, "x", slow(1, 0), "--executor", "ray", "--start-method", "none") == 2
    assert Part([], "", {}, Path("x")).arguments == []
