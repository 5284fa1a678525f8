"""Boards -> files for other tools: CSV, JSON and HTML."""

from __future__ import annotations

import csv
import html
import io
import json

from tabulate import tabulate

from genbench.boards.columns import Board
from genbench.boards.tables import Notes, left_out, legend, table
from genbench.text import csv_cell, one_line


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
