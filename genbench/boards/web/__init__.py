"""Boards -> one file of HTML that asks for nothing else: a table, a plot, and a card for each model.

`page.html` shows all of it without scripts, by what `html` computes; `page.js` sorts, filters, draws and unfolds.
Every number stands twice: as the tables of markdown have it, and, for scripts, in a block of JSON in full.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from genbench.boards.columns import Board, Column
from genbench.boards.markdown import (
    QUESTIONS,
    TRUE,
    Drawn,
    Lead,
    about,
    described,
    in_order,
    of_ranks,
    of_true_likelihoods,
    plain,
    sentences,
    where,
)
from genbench.boards.pareto import OTHERS, STYLES, logarithmic
from genbench.boards.tables import Notes, left_out, legend, parameters
from genbench.run.records import Record, Run, commands_of
from genbench.text import PICTURED, one_line, slug

HERE = Path(__file__).parent
KINDS = ("exact", "upper_bound", "lower_bound", "estimate")
NO_BREAK = "\u00a0"  # a space at which no line ends
ENLARGED = 10  # times, at most, that the pixels of samples are drawn larger
CURVE = (260, 90)  # pixels of the picture of a bound by its number of weights


def html(found: list[Board], runs: Iterable[Run] = ()) -> str:
    """The page of one or several boards.

    Arguments:
        runs: where their records are from, for pictures of samples, commands and training seeds.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    runs = list(runs)
    env = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    script, style = ((HERE / f"page.{end}").read_text(encoding="utf-8") for end in ("js", "css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    commands = {key: one_line(line) for run in runs for key, line in commands_of(run.manifest()).items()}
    boards = [of_board(b, runs, commands, f"b{i}") for i, b in enumerate(found)]
    title = ", ".join(b["title"] for b in boards) or "no board"
    return env.get_template("page.html").render(
        boards=boards, title=title, script=script, style=style, digest=digest, bounds=TRUE
    )


def of_board(b: Board, runs: list[Run], commands: dict[str, str], name: str) -> dict[str, Any]:
    """What the template shows of a board; every text in one line, and none of it escaped.

    Arguments:
        name: what its elements are told by in the page.
    """
    lead, notes = Lead.of(b), Notes()
    ranking = [(c, c.standing) for c in lead.ranked if c.standing]
    models = in_order(b, [standing for _, standing in ranking])
    first = lead.columns
    without = {id(c) for c in (*b.unmeasured, *first)}
    columns = [*first, *(c for c in b.columns if id(c) not in without)]
    drawn = [Drawn.of(b, c, None, notes) for c in columns]
    standings = [None if any(c is one for one, _ in ranking) else c.standing for c in columns]
    cards = {m: card(b, m, runs, commands) for m in models}
    rows = [
        {
            "name": one_line(m),
            "family": one_line(b.info[m]["family"]),
            "parameters": parameters(b.info[m]),
            "ranks": [standing.text(m) for _, standing in ranking],
            "cells": [(*marked(d.cells[m]), s.text(m) if s else "") for d, s in zip(drawn, standings, strict=True)],
            "card": cards[m],
        }
        for m in models
    ]
    return {
        "name": name,
        "title": one_line(b.dataset),
        "about": about(b, one_line),
        "sentences": sentences(b, lead),
        "true": of_true_likelihoods(b, lead.likelihood),
        "by": [one_line(c.metric) for c, _ in ranking],
        "columns": [
            {"header": marked(header), "title": one_line(c.title), "says": says(c)}
            for c, header in zip(columns, headers(columns, drawn), strict=True)
        ],
        "groups": groups(columns),
        "families": list(dict.fromkeys(one_line(b.info[m]["family"]) for m in models)),
        "kinds": kinds(lead.likelihood, models),
        "rows": rows,
        "commands": list(dict.fromkeys(line for one in cards.values() for line in one["commands"])),
        "left_out": left_out(b, notes),
        "legend": legend(b),
        "ranks": of_ranks(b),
        "notes": notes.texts,
        "data": embedded(records_of(b, models, columns, lead)),
    }


def marked(cell: str) -> tuple[str, list[int]]:
    """A cell, or a header, without its footnotes; and their numbers.

    Example:
        >>> marked("= 1.5 ±0.1 [2] [3]"), marked("n/a [1]")
        (('= 1.5 ±0.1', [2, 3]), ('n/a', [1]))
    """
    marks = re.findall(r"\d+", cell[len(text := re.sub(r"( \[\d+\])+$", "", cell)) :])
    return text, [int(number) for number in marks]


def headers(columns: list[Column], drawn: list[Drawn]) -> list[str]:
    """The headers of columns, with their extractors only where they are told by nothing else."""
    count = Counter(c.heading for c in columns)
    found = [d.header.replace(c.heading, c.title, count[c.heading] > 1) for c, d in zip(columns, drawn, strict=True)]
    return [re.sub(" (?=[↓↑])", NO_BREAK, one_line(header)) for header in found]


def says(c: Column) -> dict[str, str]:
    """What a column measures, what that misses and who says so, from its metric's card."""
    titled = c.card.get("title") or c.any_record.metric.get("title", "")
    return {
        "title": one_line(titled),
        "what": one_line(c.card.get("summary", "")),
        "misses": one_line(c.card.get("misses", "")),
        "reference": one_line(c.card.get("reference", "")),
        "extractor": one_line(c.extractor),
        "better": {"lower": "lower is better", "higher": "higher is better"}.get(c.direction, "no side is better"),
        "unit": one_line(c.unit),
        "standing": c.standing.said if c.standing else "",
    }


def group_of(c: Column) -> str:
    return c.group if c.group in QUESTIONS else ""


def groups(columns: list[Column]) -> list[tuple[str, str]]:
    """The groups that there are, with the word that a question begins with."""
    there = {group_of(c) for c in columns}
    return [(group, question.partition(":")[0]) for group, question in QUESTIONS.items() if group in there]


def kinds(column: Column | None, models: list[str]) -> list[tuple[str, str]]:
    """Of which kinds the likelihoods are, with their words; nothing where all are of one kind."""
    words = {"exact": "= exact", "upper_bound": "≤ bound", "lower_bound": "≥ bound", "estimate": "~ estimate"}
    there = {kind_of(column, m) for m in models} if column else set()
    return [(kind, word) for kind, word in {**words, "": "none"}.items() if kind in there] if len(there) > 1 else []


def kind_of(column: Column | None, model: str) -> str:
    record = column.records.get(model) if column else None
    return (record.kind or "") if record and record.status == "ok" else ""


# --- The card of a model


def card(b: Board, model: str, runs: list[Run], commands: dict[str, str]) -> dict[str, Any]:
    """What a row unfolds to: where it is from, how it was measured, what was warned of, and what there is to see."""
    info = b.info[model]
    records = [(c, r) for c in b.columns if (r := c.records.get(model))]
    warned: dict[str, list[str]] = {}
    for c, r in records:
        for text in (*r.warnings, *([r.details.get("flag", "flagged")] if r.details.get("flagged") else [])):
            warned.setdefault(one_line(text), []).append(one_line(c.title))
    seeds = {row["training_seed"] for run in runs for row in run.rows().values() if trained(row, model, info)}
    trainings = info.get("trainings") or []
    curves = {one_line(c.title): curve(points) for c, r in records if len(points := curve_of(r)) > 1}
    return {
        "about": described(b, model),
        "sha256": one_line(info.get("sha256") or ""),
        "training_seeds": ", ".join(map(str, sorted(seeds))),
        "seeds": ", ".join(map(str, sorted({r.protocol["seed"] for _, r in records if "seed" in r.protocol}))),
        "commands": list(dict.fromkeys(commands[r.run_id] for _, r in records if r.run_id in commands)),
        "warned": [(", ".join(dict.fromkeys(titles)), text) for text, titles in warned.items()],
        "each": [
            (one_line(c.title), ", ".join(map(plain, r.details["seeds"]))) for c, r in records if "seeds" in r.details
        ],
        "trained": list(dict.fromkeys(one_line(one["command"]) for one in trainings if one["command"])),
        "curves": curves,
        "pictures": [
            (says, *found) for end, says in PICTURED.items() if (found := picture(runs, b.dataset, slug(model) + end))
        ],
        "text": text_of(runs, b.dataset, f"{slug(model)}.txt"),
    }


def trained(row: dict[str, Any], model: str, info: dict[str, Any]) -> bool:
    """Whether a row of a manifest says with which seed the model, or one of its checkpoints, was trained."""
    if row.get("training_seed") is None:
        return False
    return row["model"] == info.get("key") or (row.get("seeds") or {}).get("name") == model


def picture(runs: list[Run], dataset: str, name: str) -> tuple[str, tuple[int, int] | None] | None:
    """A picture of the first run that has it, as the page holds it, and the width and height of one to be enlarged."""
    path = first_of(runs, dataset, f"{name}.png")
    if not path:
        return None
    data, size = unenlarged(path.read_bytes())
    return f"data:image/png;base64,{base64.b64encode(data).decode()}", size


def unenlarged(png: bytes) -> tuple[bytes, tuple[int, int] | None]:
    """A picture whose pixels were all made k x k, without that, and the width and height that it had.

    Pictures of samples are such: the page holds each a second time, and so in half of the bytes.
    """
    from PIL import Image

    try:
        whole = Image.open(io.BytesIO(png))
        pixels = np.asarray(whole)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return png, None  # shown as what it is: no picture
    height, width = pixels.shape[:2]
    for k in range(ENLARGED, 1, -1):
        small = pixels[::k, ::k]
        if height % k or width % k or whole.mode == "P" or not np.array_equal(small.repeat(k, 0).repeat(k, 1), pixels):
            continue
        out = io.BytesIO()
        Image.fromarray(small).save(out, "PNG", optimize=True)
        return out.getvalue(), (width, height)
    return png, None


def text_of(runs: list[Run], dataset: str, name: str) -> str:
    """A text of the first run that has it; empty without."""
    path = first_of(runs, dataset, name)
    return path.read_text(encoding="utf-8").rstrip() if path else ""


def first_of(runs: list[Run], dataset: str, name: str) -> Path | None:
    """What the first run that has it keeps under a name among its pictures."""
    return next((path for run in runs if (path := where(run.pictures, dataset, name)).is_file()), None)


def curve_of(record: Record) -> list[tuple[float, float]]:
    """The importance-weighted bound by its number of weights, where a record has it."""
    found = record.details.get("curve")
    if not isinstance(found, dict):
        return []
    return sorted((float(k), float(v)) for k, v in found.items() if v is not None and math.isfinite(v))


def curve(points: list[tuple[float, float]]) -> dict[str, Any]:
    """A line in a picture of `CURVE` pixels, over the logarithm of the number of weights, with its numbers.

    Example:
        >>> curve([(1, 2.0), (100, 1.0)])["line"]
        '20.0,20.0 240.0,60.0'
    """
    (width, height), (xs, ys) = CURVE, zip(*[(math.log(k), v) for k, v in points], strict=True)
    over, span = (max(xs) - min(xs)) or 1.0, (max(ys) - min(ys)) or 1.0
    at = [
        (20 + (width - 40) * (x - min(xs)) / over, 20 + (height - 50) * (max(ys) - y) / span)
        for x, y in zip(xs, ys, strict=True)
    ]
    return {
        "size": CURVE,
        "line": " ".join(f"{x:.1f},{y:.1f}" for x, y in at),
        "points": [(f"{x:.1f}", f"{y:.1f}", f"{k:g}", f"{v:#.4g}") for (x, y), (k, v) in zip(at, points, strict=True)],
    }


# --- What scripts read


def records_of(b: Board, models: list[str], columns: list[Column], lead: Lead) -> dict[str, Any]:
    """The records in the order of `pages.flat`, as lists; columns and models by their places on the page."""
    families = list(dict.fromkeys(one_line(b.info[m]["family"]) for m in models))
    place = {id(c): i for i, c in enumerate(columns)}
    also = [*columns, *(c for c in b.columns if id(c) not in place)]  # metrics that apply to no model
    place = {id(c): i for i, c in enumerate(also)}
    plots = [place[id(c)] if c else None for c in (lead.likelihood, lead.fidelity, lead.speed)]
    return {
        "dataset": one_line(b.dataset),
        "models": [
            [one_line(m), families.index(one_line(b.info[m]["family"])), kind_of(lead.likelihood, m)] for m in models
        ],
        "families": [[family, *STYLES.get(family, OTHERS)] for family in families],
        "columns": [
            {
                "name": one_line(c.name),
                "title": one_line(c.title),
                "differs": one_line(c.differs),
                "unit": one_line(c.unit),
                "direction": c.direction,
                "group": group_of(c),
                "lead": any(c is one for one in lead.columns),
                "log": logarithmic(c),
            }
            for c in also
        ],
        "shown": len(columns),
        "plots": plots,
        "kinds": KINDS,
        "records": [
            packed(r, models.index(m), place[id(c)])
            for m in b.models
            for c in b.columns
            if (r := c.records.get(m))
        ],
    }  # fmt: skip


def packed(r: Record, model: int, column: int) -> list[Any]:
    """Model, column, cell id, status; of one with a value also kind, value, standard error and the interval's ends."""
    head = [model, column, r.cell_id, r.status]
    if r.status != "ok" or r.kind is None:
        return head
    return [*head, KINDS.index(r.kind), r.value, r.stderr, *(r.ci95 or (None, None))]


def embedded(data: dict[str, Any]) -> str:
    """Compact JSON that no reader of HTML takes for a tag or for the end of the block.

    Example:
        >>> embedded({"a": "</script>"})
        '{"a":"\\\\u003c/script\\\\u003e"}'
    """
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for c in "<>&\u2028\u2029":
        text = text.replace(c, f"\\u{ord(c):04x}")
    return text
