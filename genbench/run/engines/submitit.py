"""submitit: each part is a job of Slurm, all of one call an array; where there is no Slurm, processes of this machine.

Settings, by `--executor-set`: `cluster` (slurm, local, debug; found out without one) and whatever
`AutoExecutor.update_parameters` takes, `slurm_partition=gpu`, `gpus_per_node=1`, `slurm_array_parallelism=50`. Slurm
wants a limit of time: it is that of `--time-limit` and two minutes more, else `timeout_min`, else a day.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import submitit

from genbench.errors import Died, GenbenchError
from genbench.run.elsewhere import Part

LOOK = 1.0  # seconds between two looks at what runs
DAY = 24 * 60  # minutes of a job without a limit, since submitit gives it two or five


class Submitit:
    """See the module."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = dict(settings)
        self.cluster = self.settings.pop("cluster", None)

    def executor(self, folder: Path, seconds: float | None) -> submitit.AutoExecutor:
        try:
            executor = submitit.AutoExecutor(folder, cluster=self.cluster)
            limit = {"timeout_min": DAY if seconds is None else math.ceil(seconds / 60)}
            executor.update_parameters(name="genbench", **{**limit, **self.settings})
        except (ValueError, TypeError, NameError, RuntimeError) as error:
            raise GenbenchError(
                f"submitit takes no such settings: {error}", "See submitit.AutoExecutor.update_parameters."
            ) from error
        return executor

    def run(self, parts: Sequence[Part], seconds: float | None) -> Iterator[tuple[int, tuple[int, str] | Died]]:
        if not parts:
            return
        executor = self.executor(parts[0].started.parent / "jobs", seconds)
        with executor.batch():
            jobs = [executor.submit(part.perform) for part in parts]
        running = dict(enumerate(jobs))
        try:
            while running:
                done = [number for number, job in running.items() if job.done()]
                for number in done:
                    yield number, ended(running.pop(number), seconds)
                if not done:
                    time.sleep(LOOK)
        finally:
            for job in running.values():
                job.cancel()


def ended(job: submitit.Job, seconds: float | None) -> tuple[int, str] | Died:
    """What a job gave, or how it died: it left nothing, or Slurm stopped it at its limit."""
    try:
        found: tuple[int, str] = job.result()
        return found
    except Exception as error:
        why = str(error).strip().split("\n")[-1]
        if job.state in ("TIMEOUT", "PREEMPTED") or "timed-out" in str(error):
            return Died("timeout" if job.state != "PREEMPTED" else "crashed", f"its job was stopped: {why}", "task")
        return Died("crashed", f"its job died: {type(error).__name__}: {why}", "task")
