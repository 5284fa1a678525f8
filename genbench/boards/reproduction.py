"""Published figures -> beside each of them what a board here says, and how far apart the two are.

The figures are a file that people write, `leaderboards/reproduction.toml`; values, intervals and training commands come
from the boards and from the cards of their checkpoints. Data and binarisation stand on both sides, since a difference
between two of them is no difference between two models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from genbench import reading
from genbench.boards.markdown import pipes
from genbench.boards.seeds import shown_rows
from genbench.boards.tables import SIGNS, alone, with_half
from genbench.errors import GenbenchError
from genbench.models.checkpoint import read_card
from genbench.reading import Name, Size
from genbench.run.records import Record, Run
from genbench.text import markdown as shown

FIGURES, PAGE = "reproduction.toml", "reproduction.md"
REMEDY = "See leaderboards/reproduction.toml for the fields."


@dataclass(frozen=True)
class Figure:
    """One published value, and which value of ours stands beside it.

    Arguments:
        what: the model, as its source calls it.
        source: authors, year, table.
        published: the value; `bound` says whether it is itself an upper bound.
        unit: "nats" or "bits/dim" for a likelihood, else that of the metric.
        data: on which data and which split it was measured, as far as the source says.
        board, model, metric: of the value here.
        why: what explains the difference, where there is one to explain.
    """

    what: Name
    source: Name
    published: float
    unit: Name
    data: Name
    board: Name
    model: Name
    metric: Name = "nll"
    bound: bool = False
    why: str = ""


@dataclass(frozen=True)
class Figures:
    ours: dict[Name, Name]  # of each board, on which data its values were measured
    figure: Annotated[tuple[Figure, ...], Size(1)]


Verdict = Literal["better", "level", "worse", "not decided", "not measured"]


def figures_of(path: Path) -> Figures:
    """The figures in a TOML file.

    Raises:
        GenbenchError: it is no TOML, or a field is not what it should be.
    """
    content = reading.parse_toml(reading.text_of(path, "file of figures", REMEDY), str(path), REMEDY)
    figures = reading.read(Figures, content, str(path), REMEDY)
    for figure in figures.figure:
        if figure.board not in figures.ours:
            raise GenbenchError(f"{path}: nothing says on which data '{figure.board}' is measured", REMEDY)
    return figures


def in_unit(record: Record, unit: str) -> tuple[float, float | None]:
    """The value of a record and the half-width of its interval, in `unit`.

    Nats of a whole example are bits per dimension times D log 2.

    Raises:
        GenbenchError: the record has another unit, which does not turn into this one.
    """
    assert record.value is not None
    factor = 1.0
    if unit != record.metric["unit"]:
        if {unit, record.metric["unit"]} != {"nats", "bits/dim"} or unit != "nats":
            raise GenbenchError(
                f"a figure in {unit} is held against {record.metric['name']} in {record.metric['unit']}", REMEDY
            )
        factor = math.prod(record.dataset["space"]["shape"]) * math.log(2)
    half = record.half_width
    return record.value * factor, None if half is None else half * factor


def verdict(figure: Figure, record: Record | None) -> Verdict:
    """Whether ours is better than the published value, level with it within our interval, or worse.

    A value without an interval decides nothing.
    """
    if record is None or record.value is None:
        return "not measured"
    value, half = in_unit(record, figure.unit)
    difference = (value - figure.published) * (-1 if record.metric["direction"] == "higher" else 1)
    if half is None:
        return "not decided"
    if abs(difference) <= half:
        return "level"
    return "better" if difference < 0 else "worse"


def chosen(figure: Figure, runs: Mapping[str, Run]) -> Record | None:
    """The record beside a figure: of its model and metric the one over all test examples, None if there is none."""
    if figure.board not in runs:
        return None
    found = [
        r
        for r in shown_rows([runs[figure.board]])
        if r.model["name"] == figure.model and r.metric["name"] == figure.metric and r.status == "ok" and r.complete
    ]
    return max(found, key=lambda r: (r.protocol.get("k", 0), r.ended), default=None)


def reproduction(figures: Figures, runs: Mapping[str, Run], repository: Path) -> str:
    """The page in markdown.

    Arguments:
        runs: the boards by name.
        repository: the folder from which the records name their checkpoints.
    """
    parts = [
        "# Published figures, and ours",
        "Each published value beside the one that a board here holds, with its 95 % interval. *Better*, *worse*: "
        "beyond our interval; *level*: within it; *not decided*: ours has none. Published values have no intervals, "
        "other data and other budgets: the notes say which. Two kinds of binarisation are two data sets, so a "
        "difference across them is not one of models.",
    ]
    for board in dict.fromkeys(f.board for f in figures.figure):
        rows, notes = [], []
        for figure in (f for f in figures.figure if f.board == board):
            record = chosen(figure, runs)
            notes.append(note(figure, record, repository))
            value, difference = "", ""
            if record is not None and record.value is not None:
                ours, half = in_unit(record, figure.unit)
                value = f"{SIGNS[record.kind or 'estimate']} {alone(ours) if half is None else with_half(ours, half)}"
                difference = f"{ours - figure.published:+.3g}"
            published = f"{'≤ ' * figure.bound}{figure.published:g} {figure.unit}"
            row = [shown(figure.what), published, value, difference, verdict(figure, record), f"[{len(notes)}]"]
            rows.append(row)
        title = f"[{shown(board)}]({board}.md)" if board in runs else shown(board)
        parts.append(f"## {title}: {shown(figures.ours[board])}")
        parts.append(pipes(rows, ["model", "published", "ours", "difference", "ours is", "note"], 1))
        parts.append("\n".join(f"- [{i}] {text}" for i, text in enumerate(notes, 1)))
    return "\n\n".join(parts) + "\n"


def note(figure: Figure, record: Record | None, repository: Path) -> str:
    """Where a figure comes from, on which data, and how ours was trained."""
    said = [f"{shown(figure.source)}: {shown(figure.data)}."]
    said += [shown(figure.why)] if figure.why else []
    trained = training(record, repository) if record is not None else {}
    if command := trained.get("command"):
        budget = [f"{trained[key]:,} {key}" for key in ("steps",) if key in trained]
        said.append(f"Ours: `{command}`" + (f" ({', '.join(budget)})" if budget else "") + ".")
    return " ".join(said)


def training(record: Record, repository: Path) -> dict[str, Any]:
    """What the card of a record's checkpoint says of its training; nothing where the file is not there."""
    path = repository / record.model.get("source", "")
    return read_card(path).training if path.suffix == ".safetensors" and path.is_file() else {}
