"""`genbench leaderboard`: a page from the records of runs, or whether a page is what they say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genbench.cli.arguments import Parser
from genbench.cli.ending import FAILED, TRIPPED, name_unreadable
from genbench.errors import GenbenchError

SUMMARY = "a ranked table from the records of runs"


def add_arguments(p: Parser) -> None:
    p.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    p.add_argument("--sort", metavar="METRIC")
    p.add_argument("--format", choices=["md", "csv", "json", "html"], default="md")
    p.add_argument("-o", "--out", type=Path, metavar="FILE")
    p.add_argument("--check", action="store_true", help="compare with FILE instead of writing it; exit 3 if it differs")


def run(args: argparse.Namespace) -> int:
    from genbench.boards.columns import boards
    from genbench.boards.pages import FORMATS, markdown
    from genbench.files import write_atomically
    from genbench.run.records import in_rows, open_run

    runs = [open_run(path) for path in args.runs]
    unread = name_unreadable(runs)
    found = boards(in_rows(runs), args.sort)
    if not found:
        where = " and ".join(map(str, args.runs))
        raise GenbenchError(
            f"no page: no record in {where}", f"See `genbench status {args.runs[0]}` for what is planned."
        )
    if args.format == "md":
        folder = args.out.parent if args.out else None
        pictures = runs[0].pictures if len(runs) == 1 else None
        text = markdown(found, pictures, folder)
    else:
        text = FORMATS[args.format](found)
    if args.check:
        if not args.out:
            raise GenbenchError("--check compares with a file, and none is named", "Add -o FILE.")
        if not args.out.is_file() or args.out.read_text(encoding="utf-8") != text:
            line = " ".join(map(str, args.runs))
            print(f"genbench: {args.out} is not what its records say", file=sys.stderr)
            print(f"  Make it anew: genbench leaderboard {line} -o {args.out}", file=sys.stderr)
            return TRIPPED
        print(f"{args.out} agrees with its records", file=sys.stderr)
    elif args.out:
        try:
            write_atomically(args.out, text.encode())
        except OSError as error:
            raise GenbenchError(f"cannot write {args.out}: {error.strerror}", "Choose another file with -o.") from error
    else:
        print(text, end="")
    return FAILED if unread else 0
