"""Models that die in every way that a process can, each between two healthy ones that are measured as if alone."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from genbench import catalog, datasets
from genbench.models.adapters import parse
from genbench.run.evaluate import evaluate
from genbench.run.isolation import Isolation
from genbench.run.limits import Limits
from genbench.run.plan import plan
from genbench.run.protocol import Protocol, Suite
from genbench.run.records import Run, in_rows
from workers import running

HEAD = """
    import ctypes, os, signal, subprocess, sys, threading, time, warnings
    import numpy as np
    import torch
    from genbench import Space

    class Healthy(torch.nn.Module):
        version = 1
        space = Space((2,))
        def log_prob(self, x): return -0.5 * x.square().sum(1)
        def sample(self, n, generator): return torch.randn(n, 2, generator=generator)

    class Other(Healthy):
        version = 2
        def sample(self, n, generator): return 1 + torch.randn(n, 2, generator=generator)

    def segfault(): ctypes.string_at(0)

    class Unspeakable(Exception):
        def __str__(self): raise RuntimeError("no words")
"""
METRICS = ("nll", "copies", "fd")
PROTOCOL = Protocol(n_samples=10, block_size=5)
HANG = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)"


@pytest.fixture(scope="module")
def plane():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 2)).astype(np.float32)
    return datasets.Dataset("plane", datasets.Space((2,)), x[:20], x[20:40], x[40:], "none", "made here")


def written(folder, **sick: str):
    """The file of the healthy models and of sick ones, by name what they do."""
    path = folder / "models.py"
    bodies = [
        f"class {name}(Healthy):\n    version = 3\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ")
        for name, body in sick.items()
    ]
    path.write_text("\n\n".join([textwrap.dedent(HEAD), *bodies]) + "\n")
    return path


def measured(plane, folder, sick="pass", apart=None, metrics=METRICS, names=("Healthy", "Sick", "Other"), **more):
    """The records of three models by model and metric."""
    return records_of(plane, written(folder, Sick=sick), apart, metrics, names, **more)


def together(plane, folder, sick: list[str], apart):
    """The same of any number of sick ones, Sick0 and so on, between the two healthy ones."""
    all_sick = {f"Sick{i}": body for i, body in enumerate(sick)}
    return records_of(plane, written(folder, **all_sick), apart, METRICS, ("Healthy", *all_sick, "Other"))


def records_of(plane, path, apart, metrics, names, **more):
    run = Run(path.parent / "run")
    ask = apart.ask if apart else None
    sources = [parse(f"{path}:{name}", plane, apart=ask) for name in names]
    todo = plan(Suite("plane", metrics, "pixels", protocol=PROTOCOL), plane, sources, apart=ask)
    evaluate(todo, run, "cpu", pictures=False, apart=apart, **more)
    return {(r.model["name"], r.metric["name"].partition("[")[0]): r for r in in_rows([run])}


def values(records):
    return {key: (r.status, r.value, r.stderr, r.ci95) for key, r in records.items()}


def of_the_healthy(records):
    return values({key: r for key, r in records.items() if not key[0].startswith("Sick")})


@pytest.fixture(scope="module")
def healthy(plane, tmp_path_factory):
    """What the two healthy models give in this process, with nothing sick between them."""
    return values(measured(plane, tmp_path_factory.mktemp("healthy"), names=("Healthy", "Other")))


def in_sample(line: str) -> str:
    return "def sample(self, n, generator):\n" + textwrap.indent(line, "    ")


# What the model is, the limits, what its records of metrics of samples say, and whether its nll is measured.
DEATHS = {
    "segfault": (in_sample("segfault()"), {}, ("crashed", "SIGSEGV", "samples"), True),
    "exit at once": (in_sample("os._exit(0)"), {}, ("crashed", "exit code 0", "samples"), True),
    "exit": (in_sample("sys.exit(0)"), {}, ("error", "sys.exit(0)", "model"), True),
    "killed": (in_sample("os.kill(os.getpid(), signal.SIGKILL)"), {}, ("crashed", "SIGKILL", "samples"), True),
    "abort": (in_sample("os.abort()"), {}, ("crashed", "SIGABRT", "samples"), True),
    "interrupt": (in_sample("raise KeyboardInterrupt"), {}, ("crashed", "KeyboardInterrupt", "samples"), True),
    "memory in one piece": (
        in_sample("x = bytearray(10**9)\nraise SystemError('there was room')"),
        {"memory": 400_000_000},
        ("crashed", "400 MB", "model"),
        True,
    ),
    "memory of torch": (
        in_sample("x = torch.ones(10**9)\nraise SystemError('there was room')"),
        {"memory": 400_000_000},
        ("crashed", "400 MB", "model"),
        True,
    ),
    "memory of children": (
        in_sample(
            "code = 'x = bytearray(b\"1\") * (3 * 10**8); import time; time.sleep(60)'\n"
            "subprocess.run([sys.executable, '-c', code])\nsubprocess.run([sys.executable, '-c', code])"
        ),
        {"memory": 250_000_000},
        ("crashed", "250 MB", "samples"),
        True,
    ),
    "hang": (in_sample(HANG), {"metric": 4.0}, ("timeout", "4 s, the limit for one metric", "samples"), True),
    "hang of a model": (in_sample(HANG), {"model": 5.0}, ("timeout", "5 s, the limit for one model", "samples"), True),
    "stopped": (
        in_sample("os.kill(os.getpid(), signal.SIGSTOP)"),
        {"metric": 4.0},
        ("timeout", "4 s, the limit for one metric", "samples"),
        True,
    ),
    "a hang that lets no other thread run": (
        in_sample("ctypes.PyDLL(None).sleep(600)"),
        {"metric": 4.0},
        ("timeout", "4 s, the limit for one metric", "samples"),
        True,
    ),
    "an alarm": (in_sample("signal.alarm(1)\ntime.sleep(60)"), {}, ("crashed", "SIGALRM", "samples"), True),
    "its own limit of time": (
        in_sample("import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 9))\nwhile True: pass"),
        {},
        ("crashed", "SIGXCPU", "samples"),
        True,
    ),
    "its group": (in_sample("os.killpg(0, signal.SIGKILL)"), {}, ("crashed", "SIGKILL", "samples"), True),
    "all files closed": (
        in_sample("os.closerange(0, 1000)\nreturn torch.zeros(n, 2)"),
        {},
        ("crashed", "has closed its files", "samples"),
        True,
    ),
    "hang in the constructor": (
        f"def __init__(self):\n{textwrap.indent(HANG, '    ')}",
        {"model": 5.0},
        ("timeout", "5 s, the limit for one model", "model"),
        False,
    ),
    "an exception without words": (
        in_sample("raise Unspeakable"),
        {},
        ("error", "Unspeakable, whose text cannot be made", "model"),
        True,
    ),
    "a long message": (in_sample("raise ValueError('x' * 50_000_000)"), {}, ("error", "characters", "model"), True),
    "the constructor": ("def __init__(self): segfault()", {}, ("crashed", "SIGSEGV", "model"), False),
    "no file can be written": (
        in_sample("import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\nreturn torch.zeros(n, 2)"),
        {},
        ("crashed", "cannot write", "metric"),
        True,
    ),
    "the parent": (
        in_sample("os.kill(os.getppid(), signal.SIGKILL)\nsegfault()"),
        {},
        ("crashed", "", "samples"),
        True,
    ),
}


ALONE = ("its group", "the parent")  # which may take others with them


@pytest.fixture(scope="module")
def fates(plane, tmp_path_factory):
    """What became of a model and of the healthy ones: those with the same limits are in one evaluation."""
    known = {}

    def of(how: str):
        limits = DEATHS[how][1]
        named = [how] if how in ALONE else [k for k in DEATHS if k not in ALONE and DEATHS[k][1] == limits]
        if how not in known:
            started = time.monotonic()
            apart = Isolation(Limits(**limits))
            found = together(plane, tmp_path_factory.mktemp("deaths"), [DEATHS[k][0] for k in named], apart)
            assert time.monotonic() - started < 60 + 10 * len(named)
            for i, k in enumerate(named):
                known[k] = of_the_healthy(found), {m: r for (name, m), r in found.items() if name == f"Sick{i}"}
        return known[how]

    return of


@pytest.mark.parametrize("how", DEATHS)
def test_a_death_is_a_record_and_the_others_are_measured_as_if_alone(how, fates, healthy):
    _, _, (status, words, phase), speaks = DEATHS[how]
    others, found = fates(how)
    assert others == healthy
    if speaks:
        assert values(found)["nll"] == healthy["Healthy", "nll"]
    else:
        assert found["nll"].status == status
    for metric in ("copies", "fd"):
        record = found[metric]
        assert record.status == status
        assert words in record.error["message"]
        assert record.error["phase"] == phase
        assert len(record.to_json()) < 60_000


def test_what_killed_one_worker_is_not_tried_again_for_the_next_metric(plane, tmp_path):
    sick = in_sample(f"open({str(tmp_path / 'calls')!r}, 'a').write('x')\nsegfault()")
    found = measured(plane, tmp_path, sick, Isolation(), metrics=("copies", "fd", "kd"))
    assert {found["Sick", metric].status for metric in ("copies", "fd", "kd")} == {"crashed"}
    assert (tmp_path / "calls").read_text() == "x"


def test_a_crash_says_where_in_the_code_it_was(plane, tmp_path):
    found = measured(plane, tmp_path, in_sample("segfault()"), Isolation())
    assert "in segfault" in found["Sick", "fd"].error["traceback"]
    assert str(tmp_path) not in found["Sick", "fd"].to_json()


WORLDS = [
    "torch.set_default_dtype(torch.float64)",
    "torch.set_default_device('meta')",
    "os.chdir('/')",
    "warnings.simplefilter('error')",
    "torch.manual_seed(1); np.random.seed(1)",
    "torch.set_num_threads(2)",
    "import builtins; builtins.sum = None",  # which no guard puts back
    "import genbench.numerics.moments as m; m.moments = None",
    "torch.Tensor.square = lambda self: self",
    "print('a result')",
]


def test_whatever_models_do_to_the_world_the_next_one_finds_it_as_it_was(plane, healthy, tmp_path, capfd):
    sick = [in_sample(f"{world}\nreturn torch.zeros(n, 2, dtype=torch.float32, device='cpu')") for world in WORLDS]
    found = together(plane, tmp_path, sick, Isolation())
    assert of_the_healthy(found) == healthy
    for i, world in enumerate(WORLDS):
        assert values(found)[f"Sick{i}", "nll"] == healthy["Healthy", "nll"], world
    assert capfd.readouterr().out == ""


def test_data_that_a_model_writes_into_are_its_own_copy(plane, healthy, tmp_path):
    before = plane.train.copy(), plane.test.copy()
    sick = """
    def log_prob(self, x):
        import gc
        for array in [a for a in gc.get_objects() if isinstance(a, np.ndarray) and a.shape == (20, 2)]:
            array[...] = 7
        x.zero_()
        return x.sum(1)
    """
    plugin = tmp_path / "spoil.py"
    plugin.write_text(SPOIL)
    catalog.use_plugin(str(plugin))
    found = measured(plane, tmp_path, sick, Isolation(), metrics=(*METRICS, "spoil"))
    assert all(found[model, "spoil"].status == "ok" for model in ("Healthy", "Sick", "Other"))
    assert values({k: r for k, r in found.items() if k[0] != "Sick" and k[1] != "spoil"}) == healthy
    assert all((a == b).all() for a, b in zip(before, (plane.train, plane.test), strict=True))


SPOIL = '''
"""Writes into the training data that it is given."""

from genbench import Measure

VERSION = 1
NEEDS = ("train",)
OUTPUTS = {"spoil": {"unit": "", "direction": "none", "title": "what was there before"}}
REFERENCE = "none"


def compute(train):
    before = float(train.sum())
    train[...] = 9
    return {"spoil": Measure(before, "exact", None, None, "none")}
'''


@pytest.mark.parametrize("where", ["metric", "extractor"])
def test_a_death_in_a_plugin_is_that_of_its_own_cells(where, plane, healthy, tmp_path):
    """A metric that dies costs its own records; an extractor those of the metrics of features."""
    if where == "metric":
        plugin = tmp_path / "spoil.py"
        plugin.write_text(SPOIL.replace("    before =", "    import ctypes; ctypes.string_at(0)\n    before ="))
        catalog.use_plugin(str(plugin))
        metrics, lost = (*METRICS, "spoil"), "spoil"
    else:
        (tmp_path / "ext.py").write_text(
            "import ctypes\ndef embed(x):\n    if len(x) > 1: ctypes.string_at(0)\n    return x\nembed.version = 1\n"
        )
        metrics, lost = (*METRICS, f"kd[{tmp_path}/ext.py:embed]"), "kd"
    found = measured(plane, tmp_path, "pass", Isolation(), metrics=metrics)
    for model in ("Healthy", "Sick", "Other"):
        record = found[model, lost]
        assert (record.status, "SIGSEGV" in record.error["message"]) == ("crashed", True)
    assert values({k: r for k, r in found.items() if k[0] != "Sick" and k[1] != lost}) == healthy


ODDITIES = [
    "sys.stdout = sys.stderr = None",
    "threading.Thread(target=sys.exit, args=(3,)).start()",
    "os.fork()",  # so that two processes go on, and say all twice
    "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "os.environ.clear()",
    "sys.stderr.write('x' * 5_000_000)",
    "import tempfile, shutil; shutil.rmtree(os.path.dirname(tempfile.mkstemp(dir=tempfile.mkdtemp())[1]))",
]


def test_what_a_process_survives_is_nobodys_death(plane, healthy, tmp_path):
    sick = [in_sample(f"{odd}\nreturn torch.zeros(n, 2)") for odd in ODDITIES]
    found = together(plane, tmp_path, sick, Isolation())
    for i, odd in enumerate(ODDITIES):
        assert {found[f"Sick{i}", metric].status for metric in METRICS} == {"ok"}, odd
    assert of_the_healthy(found) == healthy


@pytest.mark.parametrize(
    ("method", "generations", "end", "status"),
    [
        ("forkserver", 1, "segfault()", "crashed"),
        ("forkserver", 3, "segfault()", "crashed"),
        ("forkserver", 3, "time.sleep(300)", "timeout"),
        ("forkserver", 3, "return torch.randn(n, 2, generator=generator)", "ok"),
        ("spawn", 3, "os._exit(0)", "crashed"),
    ],
)
def test_a_daemon_ends_with_its_model_and_keeps_nobody_waiting(method, generations, end, status, plane, tmp_path):
    """It has left the group, and holds the pipes of the worker; that of a daemon is its grandchild, and an orphan."""
    deeper = "".join(f"{'    ' * i}if os.fork() == 0:\n{'    ' * i}    os.setsid()\n" for i in range(generations))
    inner = "    " * generations
    sick = in_sample(
        f"{deeper}{inner}open({str(tmp_path)!r} + f'/{{os.getpid()}}.pid', 'w').close()\n"
        f"{inner}time.sleep(300)\n"
        + "".join(f"{'    ' * i}    os._exit(0)\n" for i in range(generations - 1, 0, -1))
        + f"while '.pid' not in str(os.listdir({str(tmp_path)!r})): time.sleep(0.01)\n"
        f"{end}"
    )
    apart = Isolation(Limits(model=4.0) if status == "timeout" else Limits(), method=method)
    started = time.monotonic()
    found = measured(plane, tmp_path, sick, apart, names=("Sick",))
    assert time.monotonic() - started < 200
    assert found["Sick", "fd"].status == status
    daemons = [int(path.stem) for path in tmp_path.glob("*.pid")]
    assert daemons
    assert not any(running(daemon) for daemon in daemons)


def test_a_model_that_removes_the_run_costs_what_was_measured_and_no_command_fails(plane, tmp_path):
    sick = in_sample(f"import shutil\nshutil.rmtree({str(tmp_path / 'run')!r})\nreturn torch.zeros(n, 2)")
    found = measured(plane, tmp_path, sick, Isolation())
    assert {found["Other", metric].status for metric in METRICS} == {"ok"}
    again = measured(plane, tmp_path, "pass", Isolation())
    assert {again["Healthy", metric].status for metric in METRICS} == {"ok"}


def test_threads_and_children_that_never_end_are_ended(plane, healthy, tmp_path):
    sick = in_sample(
        "threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "return torch.zeros(n, 2)"
    )
    started = time.monotonic()
    found = measured(plane, tmp_path, sick, Isolation())
    assert time.monotonic() - started < 30
    assert found["Sick", "fd"].status == "ok"
    assert of_the_healthy(found) == healthy
    child = int((tmp_path / "child").read_text())
    assert not running(child)


@pytest.mark.parametrize("hang", [HANG, "ctypes.PyDLL(None).sleep(600)"])
def test_a_worker_ends_with_the_runner(hang, plane, tmp_path):
    """The runner is killed by SIGKILL while a model hangs that ignores SIGTERM, or lets no other thread run."""
    sick = in_sample(f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n{hang}")
    path = written(tmp_path, Sick=sick)
    script = tmp_path / "runner.py"
    script.write_text(
        textwrap.dedent(f"""
        import numpy as np
        from genbench import datasets
        from genbench.models.adapters import parse
        from genbench.run.evaluate import evaluate
        from genbench.run.isolation import Isolation
        from genbench.run.plan import plan
        from genbench.run.protocol import Protocol, Suite
        from genbench.run.records import Run

        x = np.zeros((60, 2), np.float32)
        plane = datasets.Dataset("plane", datasets.Space((2,)), x[:20], x[20:40], x[40:], "none", "made here")
        apart = Isolation()
        suite = Suite("plane", ("copies",), "pixels", protocol=Protocol(n_samples=10))
        todo = plan(suite, plane, [parse({str(path)!r} + ":Sick", plane, apart=apart.ask)])
        evaluate(todo, Run({tmp_path / "run"!r}), "cpu", pictures=False, apart=apart)
        """).replace("PosixPath", "__import__('pathlib').Path")
    )
    import subprocess
    import sys

    runner = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < deadline and runner.poll() is None:
        time.sleep(0.05)
    assert (tmp_path / "pid").exists(), runner.communicate()[1].decode()[-2000:]
    worker = int((tmp_path / "pid").read_text() or 0)
    assert running(worker)
    runner.send_signal(signal.SIGKILL)
    runner.communicate()
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not running(worker)


def test_what_a_process_died_of_comes_last_the_next_time(plane, tmp_path):
    sick = in_sample("segfault()")
    measured(plane, tmp_path, sick, Isolation(), names=("Sick",))
    found = measured(plane, tmp_path, sick, Isolation(), names=("Sick", "Healthy"))
    order = sorted((r.ended, r.model["name"]) for r in found.values() if r.metric["name"] != "nll")
    assert [name for _, name in order] == ["Healthy"] * 2 + ["Sick"] * 2


def test_with_fail_fast_a_death_is_the_end_and_nothing_is_left_running(plane, tmp_path):
    found = measured(plane, tmp_path, in_sample("segfault()"), Isolation(), names=("Sick", "Other"), fail_fast=True)
    assert {key for key in found if key[0] == "Other"} == set()
    assert found["Sick", "copies"].status == "crashed"


def test_spawn_gives_the_same_values(plane, healthy, tmp_path):
    found = measured(plane, tmp_path, "pass", Isolation(method="spawn"), names=("Healthy",))
    assert values(found) == {key: value for key, value in healthy.items() if key[0] == "Healthy"}


def test_a_model_that_is_another_each_time_is_refused(plane, tmp_path):
    sick = """
    def __init__(self):
        super().__init__()
        self.register_buffer("made", torch.tensor(time.time_ns()))
    """
    path = tmp_path / "models.py"
    path.write_text(
        textwrap.dedent(HEAD).replace("import ctypes, ", "import ")  # with it, nothing would be known for certain
        + "\n\nclass Sick(Healthy):\n    version = None\n"
        + textwrap.indent(textwrap.dedent(sick), "    ")
    )
    apart, run = Isolation(), Run(tmp_path / "run")
    todo = plan(
        Suite("plane", ("nll",), protocol=PROTOCOL),
        plane,
        [parse(f"{path}:Sick", plane, apart=apart.ask)],
        apart=apart.ask,
    )
    evaluate(todo, run, "cpu", pictures=False, apart=apart)
    (record,) = run.records()
    assert (record.status, record.error["type"]) == ("error", "ModelError")
    assert "makes another model each time" in record.error["message"]


def test_the_environment_of_the_runner_is_that_of_the_model(plane, tmp_path, monkeypatch):
    monkeypatch.setenv("MODEL_SCALE", "3")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.txt").write_text("2")
    sick = in_sample(
        "scale = float(os.environ['MODEL_SCALE']) * float(open('weights.txt').read())\nreturn torch.full((n, 2), scale)"
    )
    found = measured(plane, tmp_path, sick, Isolation())
    assert found["Sick", "fd"].status == "ok"
    assert os.environ["MODEL_SCALE"] == "3"


@pytest.mark.parametrize("after", [0.0, 0.3, 1.0])
def test_ctrl_c_in_a_terminal_while_the_server_loads_is_one_line(after, tmp_path):
    """A terminal interrupts all processes of the foreground: the server too, which is still loading torch."""
    np.save(tmp_path / "s.npy", np.zeros((20, 1, 8, 8), np.uint8))
    line = ["evaluate", "a=samples:s.npy", "--metrics", "fd", "--samples", "20", "-o", "r"]
    command = [sys.executable, "-m", "genbench.cli", *line]
    heard = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # which what starts in the background ignores
    started = subprocess.Popen(
        command, cwd=tmp_path, text=True, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=heard
    )
    while not any("forkserver" in said for said in children(started.pid)):
        assert started.poll() is None, started.stderr.read()
        time.sleep(0.005)
    time.sleep(after)
    os.killpg(started.pid, signal.SIGINT)
    _, err = started.communicate(timeout=100)
    assert started.returncode == 130, err
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("interrupted; what was finished is saved")


def children(pid: int) -> list[str]:
    """The command lines of the processes that a process has started."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            with suppress(OSError):
                found.append(Path(f"/proc/{child}/cmdline").read_bytes().decode(errors="replace"))
    return found
