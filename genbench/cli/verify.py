"""`genbench verify`: cells of a board measured once more."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from genbench.cli.arguments import Parser, add_batch_size, number
from genbench.cli.ending import INCOMPARABLE, TRIPPED, USAGE
from genbench.errors import GenbenchError, unknown
from genbench.reading import Seed

if TYPE_CHECKING:
    from genbench.run.records import Record

SUMMARY = "measure cells of a board again, and compare them with what it says"


def share(text: str) -> float | int:
    """`5%` as a share of all, `12` as so many, `all` as the whole."""
    try:
        if text == "all":
            return 1.0
        found = float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        found = 0
    if found <= 0 or (isinstance(found, float) and found > 1):
        raise argparse.ArgumentTypeError(f"expected a share such as 5%, a number of cells, or all, got '{text}'")
    return found


def add_arguments(p: Parser) -> None:
    p.add_argument("board", nargs="?", type=Path, metavar="leaderboards/PAGE", help="a published board, or a run")
    p.add_argument("models", nargs="*", type=Path, metavar="FILE.safetensors", help="checkpoints that do not ship")
    p.add_argument("--all", action="store_true", help="every board in a folder (leaderboards)")
    p.add_argument("--cells", type=share, default=0.05, metavar="5%|N|all", help="how many, drawn by the seed (5%%)")
    p.add_argument("--seed", type=number(Seed), default=0, help="of the draw (0)")
    p.add_argument("--metrics", metavar="NAMES", help="only cells of these metrics: names with commas")
    p.add_argument("--model", action="append", metavar="NAME", help="only cells of the row of this name")
    p.add_argument("--device", default="auto")
    add_batch_size(p)
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")
    p.add_argument("-o", "--out", type=Path, metavar="RUN", help="keep what is measured, to go on from there")


def run(args: argparse.Namespace) -> int:
    from genbench.boards.publishing import published

    if not args.all:
        if args.board is None:
            raise GenbenchError("no board is named", "Name one, or every board with --all.")
        return of_board(args, args.board)
    if args.board is not None and not args.board.is_dir():  # a checkpoint
        args.models, args.board = [args.board, *args.models], None
    codes = []
    for board in published(args.board or Path("leaderboards")):
        print(f"{board}:", file=sys.stderr)
        try:
            codes.append(of_board(args, board))
        except GenbenchError as error:  # the others are verified all the same
            print(f"genbench: {error}", file=sys.stderr)
            codes.append(USAGE)
    worst = [code for code in (TRIPPED, USAGE) if code in codes]
    return worst[0] if worst else min(codes)


def refuse_unknown(
    what: Literal["metric", "model"], names: list[str], records: list[Record], of: Callable[[str], list[Record]]
) -> None:
    """Raises GenbenchError for a name of which there is no record."""
    for name in names:
        if not of(name):
            raise unknown(what, name, {getattr(record, what)["name"] for record in records})


def of_board(args: argparse.Namespace, board: Path) -> int:
    """Measures cells of one board again, and prints what became of each."""
    from genbench import datasets
    from genbench.run.preflight import pick_device
    from genbench.run.records import Run, open_run
    from genbench.studies.verification import (
        CLOCK,
        DIFFERENT,
        NO_REFERENCE,
        NO_SOURCE,
        Verdict,
        checkpoints,
        chosen,
        comparable,
        drawn,
        table,
        verify,
    )

    every, clocks = comparable(open_run(board))
    metrics, models = [] if args.metrics is None else args.metrics.split(","), args.model or []
    if not args.all:  # of several boards not each has them
        cells = [*every, *clocks]
        refuse_unknown("metric", metrics, cells, lambda name: chosen(cells, [name], []))
        refuse_unknown("model", models, cells, lambda name: chosen(cells, [], [name]))
    every, clocks = (chosen(some, metrics, models) for some in (every, clocks))
    records = drawn(every, args.cells, args.seed)
    known = checkpoints(args.models)
    device = pick_device(args.device)
    started = time.monotonic()
    found: list[Verdict] = []
    with tempfile.TemporaryDirectory() as scratch:
        kept = Run(args.out or Path(scratch))
        kept.check()
        for name in dict.fromkeys(record.dataset["name"] for record in records):
            dataset = datasets.load(name, args.data_root)
            mine = [record for record in records if record.dataset["name"] == name]
            for verdict in verify(mine, kept, dataset, known, device, args.batch_size):
                found.append(verdict)
                print(f"{len(found)} of {len(records)}: {verdict.line}", file=sys.stderr)
    counts = Counter(verdict.verdict for verdict in found)
    print(table([*found, *(Verdict(record, None, CLOCK) for record in clocks)]), end="")
    said = ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
    took = f"{time.monotonic() - started:.0f} s"
    print(f"{len(found)} of {len(every)} cells: {said or 'none'}; {took}", file=sys.stderr)
    if counts[DIFFERENT]:
        return TRIPPED
    return 0 if len(found) > counts[NO_SOURCE] + counts[NO_REFERENCE] else INCOMPARABLE
