"""Ray: each part is a task that is run once, in a process of its own, and stopped with that process.

Settings, by `--executor-set`: `address` of a cluster (RAY_ADDRESS, or the one that this machine belongs to, else one is
begun here), `num_cpus` and `num_gpus` of each task, and whatever else `ray.remote` takes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import ray

from genbench.errors import Died, GenbenchError
from genbench.run.elsewhere import LOST, Part

LOOK = 1.0  # seconds between two looks at what runs


def perform(part: Part) -> tuple[int, str]:
    return part.perform()


class Ray:
    """See the module."""

    def __init__(self, settings: dict[str, Any]) -> None:
        options = {key: value for key, value in settings.items() if key != "address"}
        if not ray.is_initialized():
            here = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
            try:
                ray.init(settings.get("address"), log_to_driver=False, runtime_env={"env_vars": here})
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise GenbenchError(
                    f"no Ray cluster: {error}", "Name one: --executor-set address=HOST:PORT."
                ) from error
        try:  # a task may die with its machine, and is then begun again with what is left; its process is used once
            self.task = ray.remote(**{"num_cpus": 1, **options, "max_retries": 0, "max_calls": 1})(perform)
        except (ValueError, TypeError) as error:
            raise GenbenchError(
                f"Ray takes no such settings: {error}", "See ray.remote for those of a task."
            ) from error

    def run(self, parts: Sequence[Part], seconds: float | None) -> Iterator[tuple[int, tuple[int, str] | Died]]:
        running = {self.task.remote(part): number for number, part in enumerate(parts)}
        since: dict[int, float] = {}
        stopped: set[int] = set()
        try:
            while running:
                done, _ = ray.wait(list(running), timeout=LOOK)
                for one in done:
                    number = running.pop(one)
                    try:
                        yield number, ray.get(one)
                    except ray.exceptions.RayError as error:
                        why = str(error).strip().split("\n")[0]
                        late = number in stopped
                        yield (
                            number,
                            Died(
                                "timeout" if late else "crashed",
                                f"stopped after {seconds:g} s"
                                if late
                                else f"its task died: {type(error).__name__}: {why}",
                                "limit" if late else LOST,
                            ),
                        )
                if seconds is None:
                    continue
                for one, number in running.items():
                    if parts[number].started.exists():
                        since.setdefault(number, time.monotonic())
                    if number not in stopped and time.monotonic() - since.get(number, time.monotonic()) > seconds:
                        stopped.add(number)
                        ray.cancel(one, force=True)
        finally:
            for one in running:
                ray.cancel(one, force=True)
