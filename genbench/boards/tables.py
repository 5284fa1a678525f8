"""Boards -> tables: how a value, its interval and what has to be said about it are written."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from genbench.boards.columns import Board
from genbench.errors import GenbenchError, ModelError
from genbench.run.records import Record
from genbench.text import one_line

NO_INTERVAL = " (no interval)"  # behind a value whose interval was not asked for
SIGNS = {"exact": "=", "upper_bound": "≤", "lower_bound": "≥", "estimate": "~"}


LARGE = 1e9  # numbers from here on, and those whose digits begin behind DECIMALS, are in scientific notation
DECIMALS = 6  # at most, of a number that is not


def number(value: float, places: int) -> str:
    """Rounded to `places` decimals, to tens (-1) or hundreds (-2) where that is negative.

    Example:
        >>> number(1234.567, 1), number(1234.567, -2), number(1.5e9, 0), number(-0.001, 2)
        ('1,234.6', '1,200', '1.50e+09', '0.00')
    """
    if abs(value) >= LARGE:
        return f"{value:.2e}"
    return f"{round(value, places) + 0.0:,.{max(0, places)}f}"  # -0.0 + 0.0 is 0.0


def exponent(value: float | Decimal, digits: int = 2) -> int:
    """The power of ten of the first digit of a value that is not 0, once it is rounded to so many digits.

    Example:
        >>> exponent(0.0994), exponent(0.0996)
        (-2, -1)
    """
    return int(f"{abs(value):.{digits - 1}e}".partition("e")[2])


def rounded(value: float, places: int) -> str:
    """As `number` has it, but with one significant digit where all that `places` leave of it would be 0.

    Example:
        >>> rounded(-0.0004, 2), rounded(44.0, -2), rounded(1e-15, 2), rounded(0.0, 2)
        ('-0.0004', '40', '1e-15', '0.00')
    """
    text = number(value, places)
    if value == 0 or any(digit in text for digit in "123456789"):
        return text
    first = -exponent(value, 1)
    return number(value, first) if first <= DECIMALS else f"{value:.0e}"


def alone(value: float) -> str:
    """A number without an interval: a whole one as it is, any other with three decimals and three digits at least.

    Example:
        >>> alone(12345.0), alone(2.25), alone(0.00012345), alone(1.2345e-12)
        ('12,345', '2.250', '0.000123', '1.23e-12')
    """
    if value == round(value):
        return number(value, 0)
    places = max(3, 2 - exponent(value))
    return number(value, places) if places <= DECIMALS else f"{value:.2e}"


def with_half(value: float, half: float) -> str:
    """A value and the half-width of its interval: the two significant digits of the half-width decide both.

    Where that takes more than six decimals, or a number is large, both are in scientific notation with one power of
    ten; where the half-width is less than about a millionth of the value, the value has seven digits and the
    half-width a power of its own. What is not 0 is never written as 0.

    Example:
        >>> with_half(1.8734, 0.0214), with_half(1.234e-12, 3.4e-14), with_half(2.0, 3.1e-9), with_half(2.5, 0.0)
        ('1.873 ±0.021', '(1.234 ±0.034)e-12', '2.000000 ±3.1e-09', '2.500 ±0')
    """
    if half == 0:
        return f"{alone(value)} ±0"
    last = exponent(half) - 1
    top = max(exponent(half), exponent(value)) if value else exponent(half)
    if -last <= DECIMALS and max(abs(value), half) < LARGE:
        return f"{rounded(value, -last)} ±{number(half, -last)}"
    if top - last <= DECIMALS:
        mantissas = [float(Decimal(x).scaleb(-top)) for x in (value, half)]
        return f"({rounded(mantissas[0], top - last)} ±{number(mantissas[1], top - last)})e{top:+03d}"
    return f"{number(value, DECIMALS - top) if 0 <= top < 9 else f'{value:.6e}'} ±{half:.1e}"


def compact(record: Record, sign: bool = True) -> str:
    """`= 1.873 ±0.021`: the sign of its kind if wanted, the value, and the wider half of its 95 % interval.

    A value that was measured without the interval that there is of it says so: `~ 1.873 (no interval)`.
    """
    assert record.kind is not None
    before = f"{SIGNS[record.kind]} " if sign else ""
    if record.value is None:
        return f"{before}not finite"
    half = record.half_width
    if half is None:
        return before + alone(record.value) + NO_INTERVAL * record.alone
    return before + with_half(record.value, half)


ONE_NETWORK = (
    "Samples are compared with data in the features of one network alone, {}: a model can be trained on its distances "
    "directly, so a rank by samples is to be confirmed in other features."
)


class Notes:
    """Footnotes of a line each, numbered in the order in which they are first needed."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, text: str) -> str:
        text = one_line(text)
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"


def cell(record: Record | None, notes: Notes, sign: bool = True) -> str:
    """A value with the footnotes that it needs, or a footnote that says why there is none."""
    if record is None:
        return f"n/a {notes.mark('not measured in these runs')}"
    if record.status != "ok":
        word = "n/a" if record.status == "skipped" else record.status
        return f"{word} {notes.mark(reason(record))}"
    text = compact(record, sign)
    if record.details.get("flagged"):
        text += f" ⚑ {notes.mark(record.details.get('flag', 'flagged by this metric'))}"
    if "note" in record.details:
        text += f" {notes.mark(record.details['note'])}"
    if not record.complete:
        cut = f"only {record.dataset['n']} test examples (--limit)"
        text += f" {notes.mark(cut)}"
    marks = dict.fromkeys(notes.mark(warning) for warning in record.warnings)  # what a model repeats is said once
    return " ".join([text, *marks])


def reason(record: Record) -> str:
    """Why a record has no value, in one line; of an error that does not explain itself, with its type."""
    error = record.error or {}
    message = error.get("message", record.status).strip().partition("\n")[0]
    explained = record.status != "error" or not error or error["type"] in (GenbenchError.__name__, ModelError.__name__)
    return message if explained else f"{error['type']}: {message}"


def parameters(model: dict[str, Any]) -> str:
    """How many parameters a model has, empty where that is not known."""
    count = model["parameters"]
    return "" if count is None else f"{count:,}"


def table(b: Board, notes: Notes) -> tuple[list[str], list[list[str]]]:
    """Headers and rows of a board, each cell a line: a row for each model, or for each metric if it is wide."""
    names, titles = [one_line(model) for model in b.models], [one_line(column.title) for column in b.columns]
    infos = [b.info[model] for model in b.models]
    families = [one_line(model["family"]) for model in infos]
    if b.wide:
        rows = [["family", *families]]
        if any(map(parameters, infos)):
            rows.append(["parameters", *map(parameters, infos)])
        return ["metric", *names], rows + [
            [title, *(cell(b.record(m, c), notes) for m in b.models)]
            for title, c in zip(titles, b.columns, strict=True)
        ]
    rows = []
    for model, name, family, info in zip(b.models, names, families, infos, strict=True):
        rows.append([name, family, parameters(info), *(cell(b.record(model, c), notes) for c in b.columns)])
    return ["model", "family", "parameters", *titles], rows


def left_out(b: Board, notes: Notes) -> list[str]:
    """A line for every metric that applies to no model, with the footnotes that say why."""
    return [
        f"No model has {one_line(column.title)}: "
        + " ".join(dict.fromkeys(cell(b.record(model, column), notes).removeprefix("n/a ") for model in b.models))
        for column in b.unmeasured
    ]


def legend(b: Board, shown: Callable[[str], str] = one_line) -> list[str]:
    """What the signs mean, and under which protocol the numbers were measured.

    Arguments:
        shown: how the page writes what is not our own, the names of data and of devices.
    """
    records = [r for c in b.columns for r in c.records.values()]
    n = sorted({r.dataset["n"] for r in records} - {None})
    examples = f", {', '.join(map(str, n))} examples" if n else ""
    hashes = dict.fromkeys(r.dataset["sha256"][:16] for r in records)
    samples = sorted({r.protocol["n_samples"] for r in records if "n_samples" in r.protocol})
    seeds = sorted({r.protocol["seed"] for r in records if "seed" in r.protocol})
    devices = sorted(
        {f"{r.env['device']}, {r.env['threads']} threads" for r in records if {"device", "threads"} <= {*r.env}}
    )
    published: dict[str, list[str]] = {}
    for c in b.columns:
        if said := c.any_record.metric.get("reference"):
            size = "of unknown size" if said["count"] is None else f"of {said['count']:,} images"
            published.setdefault(f"{shown(said['file'])} ({size}, sha256 {said['sha256'][:16]})", []).append(c.name)
    return [
        *([ONE_NETWORK.format(shown(b.sole_extractor))] if b.sole_extractor else []),
        "`=` exact, `≤` upper bound, `≥` lower bound, `~` estimate; ± is the wider half of the 95 % interval; "
        "↓ lower is better, ↑ higher is better; ⚑ flagged.",
        f"Data: {shown(b.dataset)}, test split{examples}, "
        f"sha256 {' and '.join(hashes)}. Samples: {', '.join(map(str, samples)) or 'none'} "
        f"from each model, seed {', '.join(map(str, seeds)) or 'none'}. "
        f"Measured on {shown('; '.join(devices)) or 'unknown'}.",
        *(
            f"Against the published statistics in {what}, not against training data: {', '.join(map(shown, names))}."
            for what, names in published.items()
        ),
    ]
