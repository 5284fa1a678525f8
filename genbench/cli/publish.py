"""`genbench publish`: runs become a board that can be shown and checked."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genbench.cli.arguments import Parser

SUMMARY = "pack runs into a board: one file of records, pictures, and the pages made from them"


def add_arguments(p: Parser) -> None:
    p.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run, or a board to add to")
    p.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="leaderboards/PAGE",
        required=True,
        help="the board; PAGE.md and PAGE.html lie beside it",
    )


def run(args: argparse.Namespace) -> int:
    from genbench.boards.publishing import publish
    from genbench.run.records import open_run

    written = publish([open_run(path) for path in args.runs], args.out)
    for path in written:
        print(f"{path}: {path.stat().st_size / 1000:,.0f} kB", file=sys.stderr)
    return 0
