"""`genbench leaderboard`: a page from the records of runs, or whether a page is what they say."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genbench.cli.arguments import Parser
from genbench.cli.ending import FAILED, TRIPPED, name_unreadable
from genbench.errors import GenbenchError, unknown

SUMMARY = "a ranked table from the records of runs"
SUFFIXES = {".md": "md", ".csv": "csv", ".json": "json", ".html": "html", ".htm": "html", ".tex": "latex"}


def add_arguments(p: Parser) -> None:
    p.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    p.add_argument("--sort", metavar="METRIC")
    p.add_argument(
        "--format",
        choices=["md", "csv", "json", "html", "latex", "hub", "model-index"],
        help="what the name of FILE ends in, .md .csv .json .html or .tex; without one md",
    )
    p.add_argument("--model", action="append", metavar="NAME", help="only the row of this name")
    p.add_argument("-o", "--out", type=Path, metavar="FILE")
    p.add_argument("--check", action="store_true", help="compare with FILE instead of writing it; exit 3 if it differs")
    p.add_argument(
        "--all", action="store_true", help="the pages of every board in a folder (leaderboards), and their index"
    )


def run(args: argparse.Namespace) -> int:
    from genbench.boards.columns import boards
    from genbench.boards.hub import eval_results, model_index
    from genbench.boards.latex import latex
    from genbench.boards.markdown import markdown
    from genbench.boards.pages import FORMATS
    from genbench.boards.pareto import draw_all
    from genbench.boards.ranks import rank
    from genbench.boards.seeds import shown_rows
    from genbench.boards.web import html
    from genbench.files import write_atomically
    from genbench.run.records import commands_of, open_run

    if args.all:
        return every_page(args)
    form = args.format or SUFFIXES.get(args.out.suffix.lower() if args.out else "", "md")
    if not args.runs:
        raise GenbenchError("no run is named", "Name one, or every board with --all.")
    runs = [open_run(path) for path in args.runs]
    unread = name_unreadable(runs)
    records = shown_rows(runs)
    if args.model:
        for name in args.model:
            if name not in (known := {record.model["name"] for record in records}):
                raise unknown("model", name, known)
        records = [record for record in records if record.model["name"] in args.model]
    found = boards(records, args.sort)
    if not found:
        where = " and ".join(map(str, args.runs))
        raise GenbenchError(
            f"no page: no record in {where}", f"See `genbench status {args.runs[0]}` for what is planned."
        )
    rank(found, runs)
    if form == "md":
        folder = args.out.parent if args.out else None
        pictures = runs[0].pictures if len(runs) == 1 else None
        if pictures and folder and not args.check:
            draw_all(found, pictures)
        text = markdown(found, pictures, folder)
    elif form == "html":
        text = html(found, runs)
    elif form == "latex":
        text = latex(found)
    elif form in ("hub", "model-index"):
        commands = {key: line for run in runs for key, line in commands_of(run.manifest()).items()}
        text = (eval_results if form == "hub" else model_index)(found, commands)
    else:
        text = FORMATS[form](found)
    if args.check:
        if not args.out:
            raise GenbenchError("--check compares with a file, and none is named", "Add -o FILE.")
        line = " ".join(map(str, args.runs))
        if not agrees(args.out, text.encode(), f"genbench leaderboard {line} -o {args.out}"):
            return TRIPPED
    elif args.out:
        try:
            write_atomically(args.out, text.encode())
        except OSError as error:
            raise GenbenchError(f"cannot write {args.out}: {error.strerror}", "Choose another file with -o.") from error
    else:
        print(text, end="")
    return FAILED if unread else 0


def every_page(args: argparse.Namespace) -> int:
    """Writes or checks the files of every board in a folder, and their index."""
    from genbench.boards.publishing import all_pages, draw, published
    from genbench.files import write_atomically

    if len(args.runs) > 1 or args.out or args.sort or args.model or args.format not in (None, "md"):
        raise GenbenchError("--all takes a folder of boards and --check alone", "Leave the other arguments out.")
    root = args.runs[0] if args.runs else Path("leaderboards")
    if not args.check:
        for folder in published(root):
            draw(folder)
    found = all_pages(root)
    if not args.check:
        for path, data in found.items():
            write_atomically(path, data)
        return 0
    again = f"genbench leaderboard --all{f' {root}' * bool(args.runs)}"
    wrong = sum(not agrees(path, data, again) for path, data in found.items())  # all of them are named
    return TRIPPED if wrong else 0


def agrees(path: Path, data: bytes, again: str) -> bool:
    """Whether a file is what its records say; says so, and if not with which command it is made."""
    if path.is_file() and path.read_bytes() == data:
        print(f"{path} agrees with its records", file=sys.stderr)
        return True
    print(f"genbench: {path} is not what its records say", file=sys.stderr)
    print(f"  Make it anew: {again}", file=sys.stderr)
    return False
