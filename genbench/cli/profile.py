"""`genbench profile`: what each kernel costs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genbench.cli.arguments import THREADS, Parser, number
from genbench.cli.ending import FAILED

SUMMARY = "what each kernel costs, beside its peers and the machine's limits"


def add_arguments(p: Parser) -> None:
    p.add_argument("kernels", nargs="*", metavar="KERNEL", help="a name, or the words it begins with (sample); all")
    p.add_argument("--list", action="store_true", help="only say which kernels there are")
    p.add_argument("--device", default="auto")
    p.add_argument("--threads", type=number(THREADS), metavar="N", help="of the CPU (all)")
    p.add_argument("--quick", action="store_true", help="small sizes, few runs: to see that it works")
    p.add_argument("--sweep", action="store_true", help="also fit how the cost grows with n, d and K")
    p.add_argument("--json", type=Path, metavar="FILE", help="keep all times, for `genbench compare`")


def run(args: argparse.Namespace) -> int:
    from tabulate import tabulate

    from genbench.environment import threads
    from genbench.run.evaluate import pick_device
    from genbench.studies.profiling import fit, kernel, measure, report, results

    known = kernel.kernels()
    chosen = kernel.select(args.kernels, known)
    if args.list:
        print(tabulate([[one.name, one.summary] for one in chosen], tablefmt="plain"))
        return 0
    device, n_threads = pick_device(args.device), args.threads or threads()
    found = measure.profile(chosen, device, n_threads, args.quick)
    found.command = args.line
    if args.sweep:
        found.growth = fit.sweep(chosen, device, n_threads, args.quick)
    if args.json:
        results.write(args.json, found)
    print(report.table(found), end="")
    wrong = [*(f"failed: {what}" for what in found.failed), *found.impossible()]
    for line in wrong:
        print(f"error: {line}", file=sys.stderr)
    return FAILED if wrong else 0
