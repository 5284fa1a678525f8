"""Boards -> files for other tools: CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

from genbench.boards.columns import Board
from genbench.text import csv_cell


def flat(found: list[Board]) -> list[dict]:
    """One dictionary for each record, in the order of the boards; `reason` says why there is no value."""
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
            "reason": record.error["message"] if record.error else None,
            "warnings": record.warnings,
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
        for row in rows:
            lines = {**row, "warnings": "; ".join(row["warnings"])}
            writer.writerow({name: csv_cell(value) for name, value in lines.items()})
    return out.getvalue()


def as_json(found: list[Board]) -> str:
    """A list of the records as `flat` gives them."""
    return json.dumps(flat(found), indent=1) + "\n"


FORMATS = {"csv": as_csv, "json": as_json}
