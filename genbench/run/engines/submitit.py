"""submitit: each part is a job of Slurm, all of one call an array; where there is no Slurm, processes of this machine.

Settings, by `--executor-set`: `cluster` (slurm, local, debug; found out without one) and whatever
`AutoExecutor.update_parameters` takes, `slurm_partition=gpu`, `gpus_per_node=1`, `slurm_array_parallelism=50`. Slurm
wants a limit of time: it is that of `--time-limit` and two minutes more, else `timeout_min`, else a day.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import submitit

from genbench.errors import Died, GenbenchError
from genbench.run.elsewhere import LOST, Part

LOOK = 1.0  # seconds between two looks at what runs
DAY = 24 * 60  # minutes of a job without a limit, since submitit gives it two or five
WARNING = 30  # seconds before its limit at which submitit ends a job, so that it can still say why
HINT = "See submitit.AutoExecutor.update_parameters."


class Submitit:
    """See the module."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = dict(settings)
        self.cluster = self.settings.pop("cluster", None)

    def executor(self, folder: Path, seconds: float | None) -> submitit.AutoExecutor:
        limit = {"timeout_min": DAY if seconds is None else math.ceil(seconds / 60), "slurm_signal_delay_s": WARNING}
        try:
            executor = submitit.AutoExecutor(folder, cluster=self.cluster)
            executor.update_parameters(name="genbench", **{**limit, **self.settings})
        except (ValueError, TypeError, NameError, RuntimeError, AssertionError) as error:
            raise GenbenchError(f"submitit takes no such settings: {error}", HINT) from error
        return executor

    def run(self, parts: Sequence[Part], seconds: float | None) -> Iterator[tuple[int, tuple[int, str] | Died]]:
        if not parts:
            return
        executor = self.executor(parts[0].started.parent / "jobs", seconds)
        try:
            with executor.batch():
                jobs = [executor.submit(part.perform) for part in parts]
        except (RuntimeError, OSError) as error:
            raise GenbenchError(f"no job was taken: {error}", HINT) from error
        running = dict(enumerate(jobs))
        try:
            while running:
                done = [number for number, job in running.items() if job.done()]
                for number in done:
                    yield number, ended(running.pop(number))
                if not done:
                    time.sleep(LOOK)
        finally:
            for job in running.values():
                with contextlib.suppress(OSError):
                    job.cancel(check=False)


def ended(job: submitit.Job) -> tuple[int, str] | Died:
    """What a job gave, or how it died: stopped at its limit, cancelled by somebody, or lost."""
    try:
        found: tuple[int, str] = job.result()
        return found
    except Exception as error:
        said, state = str(error), job.state.split(" ")[0]
        why = f"(state {state}): {last_line(said)}"
        if state in ("TIMEOUT", "DEADLINE") or "timed-out" in said:
            return Died("timeout", f"its job was stopped at its limit of time {why}", "limit")
        if state == "CANCELLED":
            return Died("crashed", f"its job was cancelled {why}", "cancelled")
        return Died("crashed", f"its job died {why}", LOST)


def last_line(said: str) -> str:
    """Of what submitit says of a job that failed, the end of its traceback or of its log, which stands below a rule."""
    _, *log = re.split(r"\n-{20,}\n", said)
    lines = [line.strip() for line in "".join(log[:1]).splitlines() if line.strip()]
    return next((line for line in reversed(lines) if not line.startswith("submitit INFO")), "it left no result")
