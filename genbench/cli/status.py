"""`genbench status`: how far a run is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from genbench.cli.arguments import Parser
from genbench.cli.ending import FAILED, name_unreadable
from genbench.text import one_line

if TYPE_CHECKING:
    from genbench.run.records import Run

SUMMARY = "how far a run is"


def add_arguments(p: Parser) -> None:
    p.add_argument("run", type=Path, metavar="RUN")
    p.add_argument("--times", action="store_true", help="where the time went, by model and by metric")


def show_times(run: Run) -> None:
    """Two tables of seconds: by model, and by metric."""
    from tabulate import tabulate

    from genbench.run.records import in_rows
    from genbench.run.times import KINDS, span, times

    records = list(in_rows([run]))
    for what, table in zip(("model", "metric"), times(records), strict=True):
        total = {kind: sum(kinds[kind] for kinds in table.values()) for kind in KINDS}
        spent = sum(total.values())
        rows = sorted(table.items(), key=lambda row: -sum(row[1].values()))
        lines = [
            [one_line(name), *(f"{seconds:.2f}" for seconds in (*kinds.values(), sum(kinds.values())))]
            for name, kinds in [*rows, ("all", total)]
        ]
        if spent > 0:
            lines.append(["", *(f"{seconds / spent:.0%}" for seconds in total.values()), ""])
        print(tabulate(lines, [f"seconds by {what}", *KINDS, "all"], tablefmt="simple", disable_numparse=True,
                       colalign=("left", *["right"] * 5)) + "\n")  # fmt: skip
    print(f"{span(records):.0f} s from the first cell to the last, the pauses between calls included", file=sys.stderr)


def run(args: argparse.Namespace) -> int:
    from tabulate import tabulate

    from genbench.run.records import DONE, in_rows, open_run

    run = open_run(args.run)
    if args.times:
        show_times(run)
        return FAILED if name_unreadable([run]) else 0
    records = {record.cell_id: record for record in run.records()}
    unread = {path.stem for path, _ in run.unreadable()}
    rows: dict[str, dict[str, int]] = {}
    headers = ["ok", "skipped", "error", "missing"]

    def count(name: str, status: str) -> None:
        row = rows.setdefault(name, dict.fromkeys(headers, 0))
        row[status] = row.get(status, 0) + 1

    for planned in run.rows().values():
        for cell_id in planned["cells"]:
            found = records[cell_id].status if cell_id in records else "missing"
            count(planned["name"], "unreadable" if cell_id in unread else found)
    planned_cells = {cell_id for planned in run.rows().values() for cell_id in planned["cells"]}
    for record in in_rows([run]):
        if record.cell_id not in planned_cells:  # of a manifest that is lost, or of version 0.1
            count(record.model["name"], record.status)
        if record.status not in DONE and record.error:
            where = f"{record.model['name']}, {record.metric['name']}"
            why = f"{record.error['type']}: {record.error['message']}"
            print(one_line(f"{record.status}: {where}: {why}"), file=sys.stderr)
    headers += sorted({status for row in rows.values() for status in row} - {*headers})
    if rows:
        table = [[one_line(name), *(row.get(status, 0) for status in headers)] for name, row in rows.items()]
        print(tabulate(table, ["model", *headers], tablefmt="simple", disable_numparse=[0]))
    else:
        print(f"no table: {run.folder} has no records, and none are planned", file=sys.stderr)
    left = sum(row["missing"] for row in rows.values())
    print(f"{len(records)} of {len(records) + left} cells recorded", file=sys.stderr)
    return FAILED if name_unreadable([run]) else 0
