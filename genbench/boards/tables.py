"""Boards -> tables: how a value, its interval and what has to be said about it are written."""

from __future__ import annotations

import math

from genbench.boards.columns import Board
from genbench.run.records import Record

SIGNS = {"exact": "=", "upper_bound": "≤", "lower_bound": "≥", "estimate": "~"}


def number(value: float, places: int) -> str:
    """Rounded to `places` decimals, to tens (-1) or hundreds (-2) where that is negative.

    Example:
        >>> number(1234.567, 1), number(1234.567, -2), number(1.5e9, 0)
        ('1,234.6', '1,200', '1.50e+09')
    """
    return f"{round(value, places):,.{max(0, places)}f}" if abs(value) < 1e9 else f"{value:.2e}"


def compact(record: Record) -> str:
    """`= 1.873 ±0.021`: the sign of its kind, the value, and the wider half of its 95 % interval.

    The interval decides the places: two significant digits of the half-width, and at most six decimals. Without an
    interval a whole number stands as it is, and any other with three decimals.
    """
    assert record.kind is not None
    sign = SIGNS[record.kind]
    if record.value is None:
        return f"{sign} not finite"
    value = record.value
    if record.ci95 is None or None in record.ci95:
        text = number(value, 0 if value == round(value) else 3)
        return text if record.kind == "exact" and record.metric["name"] != "nll" else f"{sign} {text}"
    half = max(record.ci95[1] - value, value - record.ci95[0])
    places = min(6, 1 - math.floor(math.log10(half))) if half > 0 else 2
    return f"{sign} {number(value, places)} ±{number(half, places)}"


class Notes:
    """Footnotes, numbered in the order in which they are first needed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"


def cell(record: Record | None, notes: Notes) -> str:
    """A value with the footnotes that it needs, or a footnote that says why there is none."""
    if record is None:
        return f"n/a {notes.mark('not measured in these runs')}"
    if record.status != "ok":
        word = "n/a" if record.status == "skipped" else record.status
        return f"{word} {notes.mark(reason(record))}"
    text = compact(record)
    if record.details.get("flagged"):
        text += f" ⚑ {notes.mark(record.details.get('flag', 'flagged by this metric'))}"
    if "note" in record.details:
        text += f" {notes.mark(record.details['note'])}"
    if not record.complete:
        cut = f"only the first {record.dataset['n']} test examples (--limit)"
        text += f" {notes.mark(cut)}"
    for warning in record.warnings:
        text += f" {notes.mark(warning)}"
    return text


def reason(record: Record) -> str:
    """Why a record has no value, in one line; of an error, with its type."""
    message = (record.error or {}).get("message", record.status).split("\n")[0]
    return f"{record.error['type']}: {message}" if record.status == "error" and record.error else message


def parameters(record: Record) -> str:
    """How many parameters the model has, empty where that is not known."""
    count = record.model["parameters"]
    return "" if count is None else f"{count:,}"


def table(b: Board, notes: Notes) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of a board: a row for each model, or for each metric if it is wide."""
    if b.wide:
        found = [b.any_record(model) for model in b.models]
        rows = [["family", *(r.model["family"] for r in found)]]
        if any(parameters(r) for r in found):
            rows.append(["parameters", *map(parameters, found)])
        return ["metric", *b.models], rows + [
            [c.title, *(cell(b.record(m, c), notes) for m in b.models)] for c in b.columns
        ]
    headers = ["model", "family", "parameters", *(c.title for c in b.columns)]
    rows = []
    for model in b.models:
        model_cells = [cell(b.record(model, c), notes) for c in b.columns]
        first = b.any_record(model)
        rows.append([model, first.model["family"], parameters(first), *model_cells])
    return headers, rows


def legend(b: Board) -> list[str]:
    """What the signs mean, and under which protocol the numbers were measured."""
    records = [r for c in b.columns for r in c.records.values()]
    n = sorted({r.dataset["n"] for r in records} - {None})
    samples = sorted({r.protocol["n_samples"] for r in records if "n_samples" in r.protocol})
    seeds = sorted({r.protocol["seed"] for r in records if "seed" in r.protocol})
    devices = sorted(
        {f"{r.env['device']}, {r.env['threads']} threads" for r in records if {"device", "threads"} <= {*r.env}}
    )
    return [
        "`=` exact, `≤` upper bound, `≥` lower bound, `~` estimate; ± is the wider half of the 95 % interval; "
        "↓ lower is better, ↑ higher is better; ⚑ flagged.",
        f"Data: {b.dataset}, test split, {', '.join(map(str, n))} examples, "
        f"sha256 {records[0].dataset['sha256'][:16]}. Samples: {', '.join(map(str, samples)) or 'none'} "
        f"from each model, seed {', '.join(map(str, seeds)) or 'none'}. Measured on {'; '.join(devices) or 'unknown'}.",
    ]
