"""A run that is stopped goes on later: signals wait for the end of a step, and a file holds the state."""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import torch

from genbench.errors import GenbenchError
from genbench.models.checkpoint import write_atomically


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


class Resume:
    """The file from which a run goes on, if its settings are still the same."""

    def __init__(self, path: Path, settings: list[Any]) -> None:
        self.path, self.settings = path, json.dumps(settings, sort_keys=True, default=str)

    def save(self, stage: int, values: dict[str, Any], loop: dict[str, Any]) -> None:
        """Stage number `stage` is at state `loop`; those before it reached `values`."""
        file = io.BytesIO()
        torch.save({"settings": self.settings, "stage": stage, "values": values, "loop": loop}, file)
        write_atomically(self.path, file.getvalue())

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """What `save` was given; None where there is no file.

        Raises:
            GenbenchError: the file is of a run with other settings.
        """
        if not self.path.is_file():
            return None
        saved = torch.load(self.path, map_location=device, weights_only=True)
        if saved["settings"] != self.settings:
            raise GenbenchError(f"{self.path} belongs to a run with other settings", "Delete it to start afresh.")
        print(f"resuming from step {saved['loop']['step']} of stage {saved['stage'] + 1}", file=sys.stderr)
        return saved
