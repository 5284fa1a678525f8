"""Boards -> pages: markdown with footnotes and pictures, HTML, CSV and JSON."""

from __future__ import annotations

import csv
import html
import io
import json
import os
from pathlib import Path
from urllib.parse import quote

from tabulate import tabulate

from genbench.boards.columns import Board
from genbench.boards.tables import Notes, left_out, legend, table
from genbench.text import NEIGHBOURS, csv_cell, fenced, one_line, slug
from genbench.text import markdown as shown


def markdown(found: list[Board], pictures: Path | None = None, folder: Path | None = None) -> str:
    """The page: for each dataset its tables, what their signs mean, footnotes, and pictures where there are any.

    Arguments:
        pictures: the run's folder of pictures, None for a page without.
        folder: the folder that the page will lie in, from which links to pictures start; without one there are none.
    """
    parts = []
    for b in found:
        notes = Notes()
        parts.append(f"# {shown(b.dataset)}")
        for part in b.parts():
            headers, rows = table(part, notes)
            align = ["left", "right" if part.wide else "left", *["right"] * (len(headers) - 2)]
            parts.append(pipes(rows, headers, align))
        parts += map(shown, left_out(b, notes))
        parts += legend(b, shown)
        parts += ["\n".join(f"- [{i}] {shown(text)}" for i, text in enumerate(notes.texts, 1))] if notes.texts else []
        parts += gallery(b, pictures, folder)
    return "\n\n".join(parts) + "\n"


def pipes(rows: list[list[str]], headers: list[str], align: list[str] | None = None) -> str:
    """A table of markdown, in which nothing that a cell holds is more than text."""
    cells = [[shown(one) for one in row] for row in rows]
    return tabulate(cells, [*map(shown, headers)], tablefmt="pipe", colalign=align, disable_numparse=True)


def gallery(b: Board, pictures: Path | None, folder: Path | None) -> list[str]:
    """The section of samples: a row for every model that has a picture of them, and the texts of those that write."""
    if pictures is None or folder is None:
        return []
    rows, texts = [], []
    for model in b.models:
        grid, near = pictures / f"{slug(model)}.png", pictures / f"{slug(model)}{NEIGHBOURS}.png"
        if grid.is_file():
            links = [f"![{p.stem}]({relative(p, folder)})" if p.is_file() else "" for p in (grid, near)]
            rows.append([shown(model), *links])
        text = pictures / f"{slug(model)}.txt"
        if text.is_file():
            texts.append(f"### {shown(model)}\n\n{fenced(text.read_text(encoding='utf-8').rstrip())}")
    headers = ["model", "samples", "samples above their nearest training examples"]
    if rows and not any(row[2] for row in rows):
        headers, rows = headers[:2], [row[:2] for row in rows]
    table_of = [tabulate(rows, headers, tablefmt="pipe", disable_numparse=True)] if rows else []
    return ["## Samples", *table_of, *texts] if rows or texts else []


def relative(path: Path, folder: Path) -> str:
    """The way from a folder to a file, as a link writes it."""
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def flat(found: list[Board]) -> list[dict]:
    """One dictionary for each record, in the order of the boards."""
    return [
        {
            "dataset": b.dataset,
            "model": model,
            "family": record.model["family"],
            "metric": column.name,
            "differs": column.differs,
            "unit": column.unit,
            "status": record.status,
            "kind": record.kind,
            "value": record.value,
            "stderr": record.stderr,
            "ci95_low": record.ci95[0] if record.ci95 else None,
            "ci95_high": record.ci95[1] if record.ci95 else None,
            "cell_id": record.cell_id,
        }
        for b in found
        for model in b.models
        for column in b.columns
        if (record := column.records.get(model))
    ]


def as_csv(found: list[Board]) -> str:
    """A line for each record, below one of names; nothing at all without records."""
    rows = flat(found)
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)
    return out.getvalue()


def as_json(found: list[Board]) -> str:
    """A list of the records as `flat` gives them."""
    return json.dumps(flat(found), indent=1) + "\n"


def as_html(found: list[Board]) -> str:
    """A page of its own, without scripts and without pictures."""
    parts = ["<!doctype html><meta charset='utf-8'><title>genbench</title>", STYLE]
    for b in found:
        notes = Notes()
        parts.append(f"<h1>{html.escape(one_line(b.dataset))}</h1>")
        for part in b.parts():
            headers, rows = table(part, notes)
            parts.append(tabulate(rows, headers, tablefmt="html", disable_numparse=True))
        parts += [f"<p>{html.escape(line)}</p>" for line in (*left_out(b, notes), *legend(b))]
        parts += [f"<p>[{i}] {html.escape(text)}</p>" for i, text in enumerate(notes.texts, 1)]
    return "\n".join(parts) + "\n"


STYLE = """<style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em; color: #1b1b1b; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3em .8em; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
</style>"""
FORMATS = {"csv": as_csv, "json": as_json, "html": as_html}
