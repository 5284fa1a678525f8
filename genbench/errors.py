"""Errors that say what went wrong and what to do next, in two lines."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from genbench.text import capped, one_line

LONGEST = 2000  # characters of either line: what was given may be of any length, and is quoted


class GenbenchError(Exception):
    """A problem that the user can fix. The command line prints it in two lines and exits with 2.

    Arguments:
        problem: what went wrong, and where.
        remedy: what to do next.
    """

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        problem, remedy = (capped(one_line(text), LONGEST) for text in (self.problem, self.remedy))
        return f"{problem}\n  {remedy}"


class ModelError(Exception):
    """A model broke its contract while it was measured: the cell becomes a record with status `error`."""


class Unavailable(Exception):
    """A metric does not apply to this model or dataset: the cell becomes a record with status `skipped`."""


class Died(Exception):
    """The process of a model died, or was stopped at a limit: its cells become records with this status.

    Arguments:
        status: `crashed` or `timeout`.
        phase: what it was at: an artifact, opening the model, a metric.
        traceback: where it was, as far as the process could still say.
    """

    def __init__(self, status: str, message: str, phase: str, traceback: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.phase, self.traceback = status, message, phase, traceback


def unknown(kind: str, name: str, known: Iterable[str]) -> GenbenchError:
    """The error for a name that does not exist, with the nearest one that does."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"Did you mean '{close[0]}'?" if close else f"Known: {', '.join(names) or 'none'}."
    return GenbenchError(f"unknown {kind} '{name}'", hint)
