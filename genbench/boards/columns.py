"""Records -> ranked tables. Nothing is measured here: a page says what its records say.

Two values stand in one column only if the metric, its version and parameters, the extractor, the
data and the protocol agree; where they do not, the metric has several columns, each with a note.
"""

from __future__ import annotations

import csv
import html
import io
import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path

from tabulate import tabulate

from genbench.errors import unknown
from genbench.run.records import Record, canonical, slug

SIGNS = {"exact": "=", "upper_bound": "≤", "lower_bound": "≥", "estimate": "~"}
UNITS = ("bits/dim", "bits/char", "nats", "1/s", "ms")  # named in a header; shares and counts speak for themselves
ARROWS = {"lower": "↓", "higher": "↑", "none": ""}
ORDER = [
    "nll", "nll-ais", "ais-gap", "nll-ode", "nll-given-label", "accuracy", "modes", "high-quality", "modes-kl",
    "fd", "fd-infinity", "kd", "cmmd", "mind", "sliced-wasserstein", "mifid", "fld", "fld-gap", "is",
    "precision", "recall", "density", "coverage", "vendi", "classes", "classes-kl", "ndb", "jsd", "realism",
    "memorisation", "authenticity", "data-copying", "copies", "near-duplicates", "self-duplicates",
    "fd-per-class", "precision-per-class", "recall-per-class", "coverage-per-class", "class-agreement",
    "mse", "psnr", "ssim", "rfd", "ppl", "throughput", "latency", "parzen",
]  # fmt: skip
MOST = 13  # metrics in one table


def column_key(record: Record) -> str:
    """What has to agree for two values to stand in one column."""
    metric = {name: record.metric.get(name) for name in ("name", "version", "params", "extractor_sha256")}
    data = {name: record.dataset.get(name) for name in ("sha256", "split", "n", "space")}
    return canonical([metric, data, record.protocol])


@dataclass
class Column:
    """One metric under one protocol: a record for every model that has one."""

    name: str
    records: dict[str, Record]

    @property
    def direction(self) -> str:
        return next(iter(self.records.values())).metric["direction"]

    @property
    def unit(self) -> str:
        return next(iter(self.records.values())).metric["unit"]

    @property
    def title(self) -> str:
        unit = f" ({self.unit})" if self.unit in UNITS else ""
        return f"{self.name}{unit} {ARROWS[self.direction]}".strip()


@dataclass
class Board:
    """The models of one dataset, ranked, and the columns they are compared in."""

    dataset: str
    models: list[str]
    columns: list[Column]

    def record(self, model: str, column: Column) -> Record | None:
        return column.records.get(model)

    def any_record(self, model: str) -> Record:
        return next(c.records[model] for c in self.columns if model in c.records)

    @property
    def wide(self) -> bool:
        """Many metrics of few models read better with a row for each metric."""
        return len(self.columns) > max(8, 3 * len(self.models))

    def parts(self) -> list[Board]:
        """The columns that at least half of the models have a value in; then the others, with the models that do.

        One table of everything would be mostly "n/a" where a metric is made for one family.
        """
        if self.wide:
            return [self]

        def measured(column: Column) -> set[str]:
            return {model for model, r in column.records.items() if r.status != "skipped"}

        special = [c for c in self.columns if 2 * len(measured(c)) < len(self.models)]
        common = [c for c in self.columns if c not in special]
        tables = [replace(self, columns=columns) for columns in split(common)]
        for columns in split(special) if common else [special]:
            some = set().union(*map(measured, columns)) if common else set(self.models)
            tables.append(Board(self.dataset, [m for m in self.models if m in some], columns))
        return [table for table in tables if table.columns]


def split(columns: list[Column]) -> list[list[Column]]:
    """In parts of nearly one length, of at most `MOST` columns."""
    parts = -(-len(columns) // MOST)
    return [columns[i * len(columns) // parts : (i + 1) * len(columns) // parts] for i in range(parts)]


def boards(records: list[Record], sort: str | None = None, strict: bool = True) -> list[Board]:
    """One board for each dataset, models ranked by `sort` (a metric's name; none: the first column).

    Raises:
        GenbenchError: no record has that metric.
    """
    names = {r.metric["name"] for r in records}
    if strict and sort and records and not any(matches(name, sort) for name in names):
        raise unknown("metric to sort by", sort, names)
    by_dataset: dict[str, list[Record]] = {}
    for record in records:
        by_dataset.setdefault(record.dataset["name"], []).append(record)
    return [board(name, found, sort) for name, found in sorted(by_dataset.items())]


def matches(name: str, wanted: str) -> bool:
    """`fd[digits-cnn]` answers to its full name and to `fd`."""
    return wanted in (name, name.partition("[")[0])


def board(dataset: str, records: list[Record], sort: str | None) -> Board:
    groups: dict[str, Column] = {}
    for record in sorted(records, key=lambda r: r.ended):
        column = groups.setdefault(column_key(record), Column(record.metric["name"], {}))
        column.records[record.model["name"]] = record
    columns = sorted(groups.values(), key=lambda c: (rank_of(c.name), c.name, -len(c.records)))
    models = {r.model["name"]: r.model["family"] for r in records}
    by = next((c for c in columns if sort and matches(c.name, sort)), columns[0])
    tie = next((c for c in columns if c.name.startswith("fd")), by)

    def place(model: str) -> tuple:
        reference = models[model] != "reference"  # reference rows stand on top
        return (reference, *order_by(by, model), *order_by(tie, model), model)

    return Board(dataset, sorted(models, key=place), columns)


def rank_of(name: str) -> int:
    base = name.partition("[")[0]
    return ORDER.index(base) if base in ORDER else len(ORDER)


def order_by(column: Column, model: str) -> tuple[bool, float]:
    """Best first; models without a finite value last."""
    record = column.records.get(model)
    if record is None or record.value is None:
        return (True, 0.0)
    return (False, -record.value if column.direction == "higher" else record.value)


def number(value: float, places: int) -> str:
    """Rounded to `places` decimals, to tens or hundreds where they are negative."""
    return f"{round(value, places):,.{max(0, places)}f}" if abs(value) < 1e9 else f"{value:.2e}"


def compact(record: Record) -> str:
    """`= 1.873 ±0.021`: the sign of its kind, the value, and the wider half of its 95 % interval.

    The interval decides the places: two significant digits of the half-width.
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
    """A value, or why there is none."""
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
    message = (record.error or {}).get("message", record.status).split("\n")[0]
    return f"{record.error['type']}: {message}" if record.status == "error" and record.error else message


def parameters(record: Record) -> str:
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
    n = sorted({r.dataset["n"] for r in records})
    samples = sorted({r.protocol["n_samples"] for r in records if "n_samples" in r.protocol})
    seeds = sorted({r.protocol["seed"] for r in records if "seed" in r.protocol})
    devices = sorted({f"{r.env['device']}, {r.env['threads']} threads" for r in records})
    return [
        "`=` exact, `≤` upper bound, `≥` lower bound, `~` estimate; ± is the wider half of the 95 % interval; "
        "↓ lower is better, ↑ higher is better; ⚑ flagged.",
        f"Data: {b.dataset}, test split, {', '.join(map(str, n))} examples, "
        f"sha256 {records[0].dataset['sha256'][:16]}. Samples: {', '.join(map(str, samples)) or 'none'} "
        f"from each model, seed {', '.join(map(str, seeds)) or 'none'}. Measured on {'; '.join(devices)}.",
    ]


def markdown(found: list[Board], pictures: Path | None = None, folder: Path | None = None) -> str:
    """The page: for each dataset a table, what it means, footnotes, and pictures where there are any.

    Arguments:
        pictures: the run's folder of pictures.
        folder: where the page will stand, for relative links.
    """
    parts = []
    for b in found:
        notes = Notes()
        parts.append(f"# {b.dataset}")
        for part in b.parts():
            headers, rows = table(part, notes)
            align = ["left", "right" if part.wide else "left", *["right"] * (len(headers) - 2)]
            parts.append(tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True))
        parts += legend(b)
        parts += ["\n".join(f"- [{i}] {text}" for i, text in enumerate(notes.texts, 1))] if notes.texts else []
        parts += gallery(b, pictures, folder)
    return "\n\n".join(parts) + "\n"


def gallery(b: Board, pictures: Path | None, folder: Path | None) -> list[str]:
    """A row for every model that has a picture of its samples."""
    if pictures is None or folder is None:
        return []
    rows, texts = [], []
    for model in b.models:
        grid, near = pictures / f"{slug(model)}.png", pictures / f"{slug(model)}-neighbours.png"
        if grid.is_file():
            rows.append([model, *(f"![{p.stem}]({relative(p, folder)})" if p.is_file() else "" for p in (grid, near))])
        text = pictures / f"{slug(model)}.txt"
        if text.is_file():
            texts.append(f"### {model}\n\n```text\n{text.read_text(encoding='utf-8').rstrip()}\n```")
    headers = ["model", "samples", "samples above their nearest training examples"]
    if rows and not any(row[2] for row in rows):
        headers, rows = headers[:2], [row[:2] for row in rows]
    shown = [tabulate(rows, headers, tablefmt="pipe")] if rows else []
    return ["## Samples", *shown, *texts] if shown or texts else []


def relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()


def flat(found: list[Board]) -> list[dict]:
    """One dictionary for each record, in the order of the boards."""
    return [
        {
            "dataset": b.dataset,
            "model": model,
            "family": record.model["family"],
            "metric": column.name,
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
    rows = flat(found)
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return out.getvalue()


def as_json(found: list[Board]) -> str:
    return json.dumps(flat(found), indent=1) + "\n"


def as_html(found: list[Board]) -> str:
    """A page of its own, no scripts."""
    parts = ["<!doctype html><meta charset='utf-8'><title>genbench</title>", STYLE]
    for b in found:
        notes = Notes()
        parts.append(f"<h1>{html.escape(b.dataset)}</h1>")
        for part in b.parts():
            headers, rows = table(part, notes)
            parts.append(tabulate(rows, headers, tablefmt="html", disable_numparse=True))
        parts += [f"<p>{html.escape(line)}</p>" for line in legend(b)]
        parts += [f"<p>[{i}] {html.escape(text)}</p>" for i, text in enumerate(notes.texts, 1)]
    return "\n".join(parts) + "\n"


STYLE = """<style>
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em; color: #1b1b1b; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3em .8em; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
</style>"""
FORMATS = {"csv": as_csv, "json": as_json, "html": as_html}
