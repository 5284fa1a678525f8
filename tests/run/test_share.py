"""Several evaluations into one folder: the work is shared, what the dead have left is taken over, nothing is lost."""

import json
import multiprocessing
import os
import signal
import textwrap
import threading
import time
from collections import Counter

import pytest

from genbench.locks import OLD, Lock, locked, owner
from genbench.run.evaluate import evaluate
from genbench.run.isolation import LAST, PRELOADED, Isolation
from genbench.run.records import Run
from workers import planned, run_evaluation, write_manifests


def started(run, *arguments):
    """A process in which `run` runs, forked from a server that has loaded what it needs."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*PRELOADED, *LAST])
    process = context.Process(target=run, args=arguments)
    process.start()
    return process


def evaluating(folder, specs, apart=False, number=0):
    return started(run_evaluation, folder, specs, apart, number)


def counts(process, folder, number=0) -> list[int]:
    process.join(100)
    assert process.exitcode == 0
    return json.loads((folder / f"counts-{number}").read_text())


def until(true, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)


@pytest.mark.parametrize("apart", [False, True])
def test_two_evaluations_into_one_folder_share_the_work(tmp_path, apart):
    specs = [f"shift={i}&seconds=0.4" for i in range(6)]
    both = [evaluating(tmp_path, specs, apart, number) for number in range(2)]
    found = [counts(process, tmp_path, number) for number, process in enumerate(both)]
    assert sum(measured for measured, _, _ in found) == 12
    assert [sum(each) for each in found] == [12, 12]
    # Each model draws its block once, and the first once more to see that it is the same.
    assert Counter((tmp_path / "calls").read_text().split()) == {f"{i}.0": 2 for i in range(6)}
    run = Run(tmp_path / "run")
    assert len(run.records()) == 12
    assert not run.claims.exists()


def test_what_a_dead_owner_was_at_is_taken_over_and_comes_last(tmp_path):
    specs = ["shift=1&seconds=60", "shift=2"]
    first = evaluating(tmp_path, specs)
    until(lambda: (tmp_path / "calls").exists())
    run = Run(tmp_path / "run")
    assert {said["pid"] for said in run.claimed().values()} == {first.pid}
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    assert run.claimed() == {}
    second = evaluating(tmp_path, specs)
    until(lambda: len(run.records()) == 2)
    assert {record.model["args"]["shift"] for record in run.records()} == {2}
    second.kill()
    second.join()


def test_what_another_has_claimed_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    first = evaluating(tmp_path, ["shift=1&seconds=2"])
    until(lambda: (tmp_path / "calls").exists())
    outcome = evaluate(
        planned(tmp_path, ["shift=1&seconds=2", "shift=2"]), Run(tmp_path / "run"), "cpu", pictures=False
    )
    assert (outcome.measured, outcome.kept) == (2, 2)
    assert counts(first, tmp_path) == [2, 0, 0]


def test_four_writers_of_one_manifest_lose_nothing(tmp_path):
    writers = [started(write_manifests, tmp_path / "run", number) for number in range(4)]
    for writer in writers:
        writer.join(100)
        assert writer.exitcode == 0
    manifest = Run(tmp_path / "run").manifest()
    assert len(manifest["rows"]) == len(manifest["commands"]) == 80
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["manifest.json"]


def test_every_call_has_a_run_id_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    for shift in range(3):  # within one second
        evaluate(planned(tmp_path, [f"shift={shift}"]), Run(tmp_path / "run"), "cpu", pictures=False)
    run = Run(tmp_path / "run")
    assert len({record.run_id for record in run.records()}) == len(run.manifest()["commands"]) == 3


def test_files_that_the_dead_have_not_finished_are_swept_and_those_of_the_living_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    run, past = Run(tmp_path / "run"), time.time() - 2 * OLD
    blocks = run.arrays / f"{'0' * 16}.blocks"
    for folder in (run.cells, blocks):
        folder.mkdir(parents=True)
        for name in ("dead", "young", "alive"):
            (folder / f".genbench-{name}").write_bytes(b"half")
            os.utime(folder / f".genbench-{name}", (past, past) if name != "young" else None)
    handles = [os.open(folder / ".genbench-alive", os.O_RDWR) for folder in (run.cells, blocks)]
    assert all(locked(handle) for handle in handles)
    evaluate(planned(tmp_path, ["shift=1"]), run, "cpu", pictures=False)
    for folder in (run.cells, blocks):
        assert sorted(path.name for path in folder.glob(".genbench-*")) == [".genbench-alive", ".genbench-young"]
    for handle in handles:
        os.close(handle)


def test_a_lock_has_one_owner_until_it_is_free(tmp_path):
    first, second = (Lock(tmp_path / "folder" / "lock", name=name) for name in "ab")
    assert first.take()
    assert not second.take()
    assert owner(first.path)["name"] == "a"
    first.free()
    assert not first.path.exists()
    assert second.take()
    assert not second.inherited
    os.close(second.handle)  # as if it had died
    second.handle = None
    assert owner(first.path) is None
    assert first.take()
    assert first.inherited
    first.free()


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_in_any_order_gives_the_same_bits(workers, tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    specs = [f"shift={i}" for i in range(5)]
    found = []
    for name, order, apart in (
        ("here", specs, None),
        ("apart", specs, Isolation(workers=workers)),
        ("turned", specs[::-1], Isolation(workers=workers)),
    ):
        run = Run(tmp_path / name)
        assert evaluate(planned(tmp_path, order), run, "cpu", pictures=False, apart=apart).measured == 10
        found.append({r.cell_id: (r.status, r.value, r.stderr, r.ci95) for r in run.records()})
    assert found[0] == found[1] == found[2]


def test_two_workers_measure_two_models_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    run = Run(tmp_path / "run")
    todo = planned(tmp_path, [f"shift={i}&seconds=1" for i in range(2)], metrics=("copies",))
    evaluate(todo, run, "cpu", pictures=False, apart=Isolation(workers=2))
    first, second = run.records()
    assert max(first.started, second.started) < min(first.ended, second.ended)


def drawn_by(calls) -> dict[str, set[str]]:
    """Of every block the processes that drew it."""
    found: dict[str, set[str]] = {}
    for line in calls.read_text().splitlines():
        pid, seed = line.split()
        found.setdefault(seed, set()).add(pid)
    return found


BY_BLOCKS = """
    import os, time, torch, warnings
    from genbench import Space

    class Model(torch.nn.Module):
        version = 1
        space = Space((2,))
        def sample(self, n, generator):
            with open(os.environ["CALLS"], "a") as file:
                file.write(f"{os.getpid()} {generator.initial_seed()}\\n")
            time.sleep(0.1)
            if generator.initial_seed() % 3 == 0:
                warnings.warn(f"block of seed {generator.initial_seed()}")
            return torch.randn(n, 2, generator=generator)
        def log_prob(self, x):
            return -x.square().sum(1)
"""


def one_slow_model(folder, blocks=12):
    """A plan of one model that is slow to draw from."""
    (folder / "models.py").write_text(textwrap.dedent(BY_BLOCKS))
    return planned(folder, [""], ("copies", "fd", "nll"), blocks)


def values_of(run):
    return {r.cell_id: (r.status, r.value, r.stderr, r.ci95, r.warnings, r.env.get("arrays")) for r in run.records()}


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_without_a_model_make_blocks_of_a_slow_one_and_change_no_bit(workers, tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "alone"))
    alone, shared = Run(tmp_path / "run-alone"), Run(tmp_path / "run-shared")
    evaluate(one_slow_model(tmp_path), alone, "cpu", pictures=False)
    monkeypatch.setenv("CALLS", str(tmp_path / "shared"))
    apart = Isolation(workers=workers, help_after=0.0)
    evaluate(one_slow_model(tmp_path), shared, "cpu", pictures=False, apart=apart)
    assert values_of(shared) == values_of(alone)
    assert any(record.warnings for record in alone.records())  # which come from blocks, whoever made them
    found = drawn_by(tmp_path / "shared")
    assert found.keys() == drawn_by(tmp_path / "alone").keys()
    assert len(set.union(*found.values())) > 1  # several processes drew,
    calls = (tmp_path / "shared").read_text().splitlines()
    assert len(calls) == 13  # each block once, and the first once more by the one that measures
    assert not list(shared.arrays.glob("*.blocks/*.npz"))


def test_a_kill_among_many_blocks_loses_the_one_in_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    (tmp_path / "models.py").write_text(textwrap.dedent(BY_BLOCKS))
    first = started(run_evaluation, tmp_path, [""], True, 0, 12)
    run = Run(tmp_path / "run")
    until(lambda: len(list(run.arrays.glob("*.blocks/*.npz"))) >= 4)
    os.kill(first.pid, signal.SIGKILL)  # and its worker with it
    first.join()
    time.sleep(0.3)
    kept = len(list(run.arrays.glob("*.blocks/*.npz")))
    before = len((tmp_path / "calls").read_text().splitlines())
    assert 4 <= kept < 12
    assert before <= kept + 1
    assert counts(started(run_evaluation, tmp_path, [""], True, 1, 12), tmp_path, 1) == [2, 0, 0]
    assert len((tmp_path / "calls").read_text().splitlines()) == before + (12 - kept) + 1  # the first once more
    assert all("arrays" not in record.env for record in run.records())  # all were made on this machine


def test_a_helper_that_dies_costs_nothing_but_its_block(tmp_path, monkeypatch):
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    run, done = Run(tmp_path / "run"), []

    def kill_one() -> None:
        until(lambda: (tmp_path / "calls").exists() and len(set.union(*drawn_by(tmp_path / "calls").values())) > 1)
        pids = [line.split()[0] for line in (tmp_path / "calls").read_text().splitlines()]
        helper = next(pid for pid in pids if pid != pids[0])
        os.kill(int(helper), signal.SIGKILL)
        done.append(helper)

    thread = threading.Thread(target=kill_one)
    thread.start()
    evaluate(one_slow_model(tmp_path, 30), run, "cpu", pictures=False, apart=Isolation(workers=2, help_after=0.5))
    thread.join()
    assert done
    assert {record.status for record in run.records()} == {"ok"}
    assert len((tmp_path / "calls").read_text().splitlines()) <= 32
