"""How a command ends: exit codes, errors in two lines, and streams that do not fail a second time.

0 all well; 1 some cells failed, the rest is recorded; 2 usage or configuration; 3 a check tripped; 4 nothing
comparable; 70 a bug of genbench; 130 interrupted, state saved.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from genbench import __version__
from genbench.errors import GenbenchError
from genbench.text import one_line

FAILED, USAGE, TRIPPED, INCOMPARABLE, BUG, INTERRUPTED = 1, 2, 3, 4, 70, 130


def open_streams() -> None:
    """Streams that the caller closed lead nowhere, and none ends a command for a character that its encoding lacks."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:  # else the next file to be opened would stand in for it
        pass
    os.close(handle)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does anyway


def silence(stream: Any) -> None:
    """Leads a stream nowhere, so that what is left in it fails no second time when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(error: GenbenchError, debug: bool) -> int:
    """The error in two lines, below its traceback if that was asked for."""
    if debug:
        traceback.print_exception(error.__cause__ or error)
    print(f"genbench: {error}", file=sys.stderr)
    return USAGE


def name_unreadable(runs: Iterable[Any], cells: Container[str] | None = None) -> bool:
    """Whether runs have files that cannot be read; they are named on stderr, and what can be read is shown.

    Arguments:
        cells: only the records of these.
    """
    found = {path: why for run in runs for path, why in run.unreadable(cells)}
    for why in found.values():
        print(f"error: {why}", file=sys.stderr)
    return bool(found)


def confess(error: Exception, debug: bool) -> int:
    """Two lines for what should not happen, below its traceback if that was asked for."""
    if debug:
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((f for f in reversed(frames) if "genbench" in f.filename), frames[-1])
    what = f"{type(error).__name__}: {error}".split("\n")[0]
    print(f"genbench: internal error: {what} ({Path(frame.filename).name}:{frame.lineno})", file=sys.stderr)
    how = "with what --debug printed" if debug else "with what the same command prints with --debug"
    print(f"  This is a bug of genbench {__version__}: please report it, {how}.", file=sys.stderr)
    return BUG


def show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    print(f"warning: {one_line(message)}", file=sys.stderr)
