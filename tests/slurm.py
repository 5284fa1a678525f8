"""A cluster of two nodes with one processor each, on this machine: `sbatch`, `srun`, `sacct`, `scancel` and `scontrol`.

What Slurm's own commands say and do, as far as its manual pages tell and submitit asks: arrays with a limit of how many
run at once, the signal before the limit of time, SIGTERM and SIGKILL at it, jobs that are requeued when their node goes
down or when they ask for it, and the state of each. Nothing of genbench or of submitit is replaced: they run as where
there is a Slurm.

    SLURM_HERE=FOLDER sbatch FILE                 # the controller keeps its state in FOLDER
    scontrol update NodeName=node1 State=DOWN     # what runs there is killed, and begins again on another node

`SLURM_MINUTE` are the seconds of a minute of limits, `SLURM_REQUEUE=0` is JobRequeue=0 of slurm.conf.
"""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = ("sbatch", "srun", "sacct", "scancel", "scontrol")
NODES = ("node1", "node2")
KILL_WAIT = 2.0  # seconds between SIGTERM and SIGKILL, 30 of a real one
TICK = 0.05
OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL")


def install(folder: Path) -> None:
    """The commands, as files of a folder that goes into PATH."""
    folder.mkdir()
    for name in COMMANDS:
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S -E {shlex.quote(__file__)} {name} "$@"\n')
        path.chmod(0o755)


def here() -> Path:
    return Path(os.environ["SLURM_HERE"])


def put(path: Path, content: object) -> None:
    """Written whole and renamed, since others read it at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.write_text(json.dumps(content))
    half.rename(path)


def tasks() -> dict[str, dict]:
    """The state of every task of every job, by its id as `sacct` gives it."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(here().glob("jobs/*.json"))}


def ask(name: str, what: str) -> None:
    """Leaves the controller a note on a task."""
    put(here() / "asked" / f"{name}.{time.time_ns()}", what)


# --- sbatch, and the controller of one array


def options_of(text: str) -> dict[str, str]:
    found = {}
    for line in text.splitlines():
        if line.startswith("#SBATCH --"):
            (word,) = shlex.split(line.removeprefix("#SBATCH --"))
            key, _, value = word.partition("=")
            found[key] = value
    return found


def sbatch(path: str) -> int:
    text = Path(path).read_text()
    options = options_of(text)
    if options.get("partition", "all") != "all":
        print("sbatch: error: invalid partition specified: " + options["partition"], file=sys.stderr)
        print("sbatch: error: Batch job submission failed: Invalid partition name specified", file=sys.stderr)
        return 1
    number = 100 + len(list(here().glob("scripts/*")))
    script = here() / "scripts" / f"{number}.sh"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(text)  # the controller's own copy, as Slurm keeps it in its spool
    last, _, most = options.get("array", "0-0").removeprefix("0-").partition("%")
    names = [f"{number}_{i}" for i in range(int(last) + 1)] if "array" in options else [str(number)]
    for name in names:
        put(here() / "jobs" / f"{name}.json", {"state": "PENDING", "node": "None assigned", "restarts": 0, "pid": 0})
    subprocess.Popen(
        [sys.executable, "-S", "-E", __file__, "controller", str(script), most or "256", *names],
        start_new_session=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    print(f"Submitted batch job {number}")
    return 0


class Task:
    """One task of an array, with the process that runs its script."""

    def __init__(self, name: str, script: Path, options: dict[str, str]) -> None:
        self.name, self.script, self.options = name, script, options
        self.minute = float(os.environ.get("SLURM_MINUTE", 60))
        self.process: subprocess.Popen | None = None
        self.restarts, self.state, self.node, self.ending = 0, "PENDING", "None assigned", ""
        self.warned = False

    def say(self, state: str, node: str) -> None:
        self.state, self.node = state, node
        pid = self.process.pid if self.process else 0
        said = {"state": state, "node": node, "restarts": self.restarts, "pid": pid}
        put(here() / "jobs" / f"{self.name}.json", said)

    def start(self, node: str) -> None:
        number, _, index = self.name.partition("_")
        told = {"SLURM_JOB_ID": number, "SLURM_NTASKS": "1", "SLURM_JOB_NUM_NODES": "1", "SLURM_JOB_NODELIST": node}
        if index:
            own = str(int(number) + 1000 + int(index))  # a task of an array has an id of its own too
            told.update(SLURM_JOB_ID=own, SLURM_ARRAY_JOB_ID=number, SLURM_ARRAY_TASK_ID=index)
        if self.restarts:
            told["SLURM_RESTART_COUNT"] = str(self.restarts)
        out, err = (
            open(self.named(self.options.get(one, self.options["output"])), "ab")  # noqa: SIM115
            for one in ("output", "error")
        )
        self.process = subprocess.Popen(
            ["bash", str(self.script)],
            env={**os.environ, **told}, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True,
        )  # fmt: skip
        self.began, self.ending, self.warned = time.monotonic(), "", False
        self.say("RUNNING", node)

    def named(self, pattern: str) -> str:
        number, _, index = self.name.partition("_")
        return pattern.replace("%A", number).replace("%a", index).replace("%j", number).replace("%t", "0")

    def signal(self, number: int, tasks: bool = True) -> None:
        """To the tasks of its steps, which `srun` has started; else to all processes of its session."""
        assert self.process is not None
        for pid in session(self.process.pid):
            if not tasks or b"srun" in command(parent(pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)

    def end(self, as_what: str, at_once: bool = False) -> None:
        """Has it end, and says as what: SIGTERM, a while, SIGKILL; at once, where its node is gone."""
        self.ending, self.killed_at = as_what, time.monotonic() + (0 if at_once else KILL_WAIT)
        if not at_once:
            self.signal(signal.SIGTERM)

    def look(self) -> None:
        """What has become of it."""
        assert self.process is not None
        now = time.monotonic()
        limit = float(self.options["time"]) * self.minute
        number, _, before = self.options.get("signal", "USR2@0").partition("@")
        if not self.warned and now - self.began > limit - float(before) * self.minute / 60:
            self.warned = True
            self.signal(getattr(signal, f"SIG{number}"))
        if not self.ending and now - self.began > limit:
            with open(self.named(self.options["error"]), "a") as file:
                file.write(f"slurmstepd: error: *** JOB {self.name} ON {self.node} CANCELLED DUE TO TIME LIMIT ***\n")
            self.end("TIMEOUT")
        if self.ending and now > self.killed_at:
            self.signal(signal.SIGKILL, tasks=False)
        code = self.process.poll()
        if code is None:
            return
        self.signal(signal.SIGKILL, tasks=False)  # what it has left behind
        if self.ending == "REQUEUED":
            self.restarts += 1
            self.say("PENDING", "None assigned")
        else:
            self.say(self.ending or ("COMPLETED" if code == 0 else "FAILED"), self.node)
        self.process = None


def session(leader: int) -> list[int]:
    """The processes of a session; a real Slurm has a control group, which none can leave."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found += [int(path.name)] * (os.getsid(int(path.name)) == leader)
    return found


def parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def command(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return []


def controller(script: str, most: str, *names: str) -> int:
    """Runs the tasks of one array, as many at once as it may and as there are nodes, until all are over."""
    options = options_of(Path(script).read_text())
    all_of_it = [Task(name, Path(script), options) for name in names]
    while any(task.state not in OVER for task in all_of_it):
        for task in all_of_it:
            for note in sorted(here().glob(f"asked/{task.name}.*")):
                what = json.loads(note.read_text())
                note.unlink()
                if what == "cancel" and task.process is None:
                    task.say("CANCELLED", "None assigned")
                elif what == "cancel":
                    task.end("CANCELLED")
                elif task.process is not None and what == "requeue":
                    task.end("REQUEUED")
                elif task.process is not None:
                    task.signal(getattr(signal, what))
            if task.process is not None and (here() / "down" / task.node).exists() and not task.ending:
                task.end("REQUEUED" if os.environ.get("SLURM_REQUEUE", "1") == "1" else "NODE_FAIL", at_once=True)
            if task.process is not None:
                task.look()
        busy = {one["node"] for one in tasks().values() if one["state"] == "RUNNING"}
        free = [node for node in NODES if node not in busy and not (here() / "down" / node).exists()]
        waiting = [task for task in all_of_it if task.state == "PENDING"]
        running = sum(task.process is not None for task in all_of_it)
        for task, node in zip(waiting[: int(most) - running], free, strict=False):
            task.start(node)
        time.sleep(TICK)
    return 0


# --- The other commands


def srun(*arguments: str) -> int:
    """Runs a step on the node of its task, its output in files."""
    files, rest = {}, list(arguments)
    while rest[0].startswith("-"):
        flag = rest.pop(0)
        if flag in ("--output", "--error"):
            files[flag] = rest.pop(0)
    job = os.environ.get("SLURM_ARRAY_JOB_ID", os.environ["SLURM_JOB_ID"])
    marks = {"%A": job, "%a": os.environ.get("SLURM_ARRAY_TASK_ID", ""), "%j": os.environ["SLURM_JOB_ID"], "%t": "0"}
    opened = {}
    for flag, path in files.items():
        for mark, value in marks.items():
            path = path.replace(mark, value)
        opened[flag.strip("-").replace("output", "out").replace("error", "err")] = open(path, "ab")  # noqa: SIM115
    told = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    code = subprocess.call(
        rest, env={**os.environ, **told}, stdout=opened.get("out"), stderr=opened.get("err", opened.get("out"))
    )
    if code < 0:
        name = signal.Signals(-code).name
        print(f"srun: error: {os.environ['SLURM_JOB_NODELIST']}: task 0: {name}", file=sys.stderr)
    return code if code >= 0 else 128 - code


def sacct(*arguments: str) -> int:
    """The states of jobs; tasks of an array that have not begun stand in one line, as `100_[2-4%2]`."""
    asked = [arguments[i + 1] for i, word in enumerate(arguments) if word == "-j"]
    assert "--parsable2" in arguments
    assert "JobID,State,NodeList" in arguments
    print("JobID|State|NodeList")
    found = tasks()
    for job in asked:
        own = {name: said for name, said in found.items() if name.partition("_")[0] == job}
        pending = [int(n.partition("_")[2]) for n, said in own.items() if "_" in n and said["state"] == "PENDING"]
        for name, said in own.items():
            if "_" in name and said["state"] == "PENDING" and not said["restarts"]:
                continue
            state = "CANCELLED by 0" if said["state"] == "CANCELLED" else said["state"]
            print(f"{name}|{state}|{said['node']}")
            if said["state"] != "PENDING":
                print(f"{name}.batch|{said['state']}|{said['node']}")  # its first step, which submitit leaves out
        fresh = sorted(i for i in pending if not found[f"{job}_{i}"]["restarts"])
        if fresh:
            print(f"{job}_[{','.join(map(str, fresh))}]|PENDING|None assigned")
    return 0


def scancel(*arguments: str) -> int:
    what = arguments[arguments.index("--signal") + 1] if "--signal" in arguments else "cancel"
    for name in tasks():
        if arguments[0] in (name, name.partition("_")[0]):
            ask(name, what if what == "cancel" else f"SIG{what.removeprefix('SIG')}")
    return 0


def scontrol(verb: str, *arguments: str) -> int:
    if verb == "requeue":
        (name,) = arguments
        ask(name, "requeue")
        return 0
    said = dict(word.split("=", 1) for word in arguments)
    assert verb == "update"
    down = here() / "down" / said["NodeName"]
    if said["State"] == "DOWN":
        put(down, said)
    elif re.fullmatch("RESUME|IDLE", said["State"]):
        down.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))
