"""`genbench profile`: what each kernel costs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genbench.cli.arguments import THREADS, Parser, number
from genbench.cli.ending import FAILED
from genbench.errors import GenbenchError

SUMMARY = "what each kernel costs, beside its peers and the machine's limits"


def add_arguments(p: Parser) -> None:
    p.add_argument("kernels", nargs="*", metavar="KERNEL", help="a name, or the words it begins with (sample); all")
    p.add_argument("--list", action="store_true", help="only say which kernels there are")
    p.add_argument("--device", default="auto")
    p.add_argument("--threads", type=number(THREADS), metavar="N", help="of the CPU (all)")
    p.add_argument("--quick", action="store_true", help="small sizes, few runs: to see that it works")
    p.add_argument(
        "--at", type=size, action="append", default=[], metavar="n=N,d=D", help="at this size instead; again for more"
    )
    p.add_argument("--own", action="store_true", help="leave the peers out")
    p.add_argument("--runs", type=number(THREADS), metavar="N", help="no more than so many of each")
    p.add_argument("--sweep", action="store_true", help="also fit how the cost grows; with --show, its table")
    p.add_argument(
        "--update",
        type=Path,
        metavar="FILE",
        help="put what is measured into this profile, the rest stays; made if absent",
    )
    p.add_argument(
        "--show", type=Path, metavar="FILE", help="measure nothing, print this profile: one page, the rest folded"
    )
    p.add_argument(
        "--times", type=Path, metavar="RUN", help="measure nothing, say where the time of this run (or kept FILE) went"
    )
    p.add_argument("--page", type=Path, metavar="FILE", help="also put it into this page, between its marks")
    p.add_argument("--json", type=Path, metavar="FILE", help="keep all times, for `genbench compare`")


def size(text: str) -> dict[str, int]:
    """The lengths of the axes, from `n=1000,d=64`."""
    try:
        found = {axis: int(length) for axis, length in (part.split("=") for part in text.split(","))}
    except ValueError:
        found = {}
    if not found or min(found.values()) < 1:
        raise argparse.ArgumentTypeError(f"write the lengths of its axes, n=1000,d=64, not {text!r}")
    return found


def run(args: argparse.Namespace) -> int:
    if args.times:
        return show_times(args.times, args.json, args.page)
    if args.show:
        from genbench.studies.profiling import report, results

        kept = results.read(args.show)
        if args.sweep:
            return put(report.sweep(kept), args.page, report.SWEEP)
        return put(report.page(kept), args.page, (report.BEGIN, report.END))
    from tabulate import tabulate

    from genbench.environment import threads
    from genbench.run.preflight import pick_device
    from genbench.studies.profiling import fit, kernel, measure, report, results

    known = kernel.kernels()
    chosen = kernel.select(args.kernels, known)
    if args.list:
        print(tabulate([[one.name, one.summary] for one in chosen], tablefmt="plain"))
        return 0
    base = results.read(args.update) if args.update and args.update.exists() else None
    device, n_threads = pick_device(args.device), args.threads or threads()
    if args.at and not any(set(axes) == set(one.quick) for axes in args.at for one in chosen):
        raise GenbenchError(
            "none of these kernels has the axes of --at", "Their sizes stand in `genbench profile --quick`."
        )
    found = measure.profile(chosen, device, n_threads, args.quick, args.at, args.own, args.runs, base is not None)
    found.command = args.line
    if args.sweep:
        found.growth = fit.sweep(chosen, device, n_threads, args.quick)
    if args.json:
        results.write(args.json, found)
    if args.update:
        results.write(args.update, results.merged(base, found) if base else found)
    print(report.table(found), end="")
    wrong = [*(f"failed: {what}" for what in found.failed), *found.impossible()]
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return FAILED if wrong else 0


def show_times(path: Path, keep: Path | None, into: Path | None) -> int:
    """Of a run, or of what was kept of one."""
    from genbench.studies.profiling import phases

    found = phases.of(path)
    if keep:
        phases.write(keep, found)
    return put(phases.page(found), into, (phases.BEGIN, phases.END))


def put(made: str, into: Path | None, marks: tuple[str, str]) -> int:
    """Into a page between its marks, or printed."""
    from genbench.files import write_atomically
    from genbench.studies.profiling import report

    if into is None:
        print(made, end="")
        return 0
    try:
        text = report.put(into.read_text(encoding="utf-8"), made, marks)
    except (OSError, ValueError) as error:
        raise GenbenchError(f"cannot put a table into {into}: {error}", f"It needs a line {marks[0]}.") from error
    write_atomically(into, text.encode())
    return 0
