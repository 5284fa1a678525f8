"""`genbench status`: how far a run is."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genbench.cli.arguments import Parser
from genbench.cli.ending import FAILED, name_unreadable
from genbench.text import one_line

SUMMARY = "how far a run is"


def add_arguments(p: Parser) -> None:
    p.add_argument("run", type=Path, metavar="RUN")


def run(args: argparse.Namespace) -> int:
    from tabulate import tabulate

    from genbench.run.records import DONE, in_rows, open_run

    run = open_run(args.run)
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
