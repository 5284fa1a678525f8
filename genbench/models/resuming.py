"""A run that is stopped goes on later: signals wait for the end of a step, and a file holds the state."""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypedDict

import torch

from genbench import reading
from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.reading import Within

Whole = Annotated[int, Within(0)]


class Interrupt:
    """Within this context Ctrl-C and SIGTERM are only noted: a step is finished before it is left."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interrupt:
        self.before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():  # handlers can be set nowhere else
            for number in (signal.SIGINT, signal.SIGTERM):
                self.before[number] = signal.signal(number, self.note)
        return self

    def note(self, number: int, frame: Any) -> None:
        self.asked = True

    def __exit__(self, *_: object) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)


class Progress(TypedDict):
    """How far a run is: its stage, and within that the state of its loop, as far as the reader can judge it."""

    stage: Whole
    step: Whole
    best_step: Whole
    averaged: Whole
    seconds: Annotated[float, Within(0)]


class Resume:
    """The file from which a run goes on, if its settings are still the same."""

    def __init__(self, path: Path, settings: list[Any]) -> None:
        self.path, self.settings = path, json.dumps(settings, sort_keys=True, default=str)

    def save(self, stage: int, values: dict[str, Any], loop: dict[str, Any]) -> None:
        """Stage number `stage` is at state `loop`; those before it reached `values`. A full disk stops no training."""
        file = io.BytesIO()
        torch.save({"settings": self.settings, "stage": stage, "values": values, "loop": loop}, file)
        try:
            write_atomically(self.path, file.getvalue())
        except OSError as error:
            warnings.warn(f"nothing to resume from: cannot write {self.path}: {error.strerror or error}", stacklevel=2)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """What `save` was given; None where there is no file.

        Raises:
            GenbenchError: the file is damaged, or of a run with other settings.
        """
        if not self.path.is_file():
            return None
        try:
            saved = torch.load(self.path, map_location=device, weights_only=True)
            settings, values, loop = saved["settings"], dict(saved["values"]), saved["loop"]
            said = {name: loop[name] for name in Progress.__annotations__ if name != "stage"}
            progress = {"stage": saved["stage"], **said}
        except Exception as error:  # on damaged files torch's reader raises many kinds
            raise self.damaged(error) from error
        if settings != self.settings:
            raise GenbenchError(f"{self.path} belongs to a run with other settings", "Delete it to start afresh.")
        found = reading.read(Progress, progress, str(self.path), "Delete it to start afresh.")
        print(f"resuming from step {found['step']} of stage {found['stage'] + 1}", file=sys.stderr)
        return {"stage": found["stage"], "values": values, "loop": loop}

    @contextmanager
    def restoring(self) -> Iterator[None]:
        """Within this context an error is one of the file: its state is not that of this run."""
        try:
            yield
        except Exception as error:
            raise self.damaged(error) from error

    def damaged(self, error: Exception) -> GenbenchError:
        why = f"{error or type(error).__name__}".split("\n")[0]
        return GenbenchError(f"{self.path} cannot be resumed from: {why}", "Delete it to start afresh.")
