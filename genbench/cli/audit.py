"""`genbench audit`: which metric sees which fault."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from genbench import catalog
from genbench.cli.arguments import Parser, add_batch_size, by_extractor, number
from genbench.cli.ending import FAILED
from genbench.errors import GenbenchError
from genbench.reading import Count

SUMMARY = "which metric sees which fault: known ones, planted in real data"


def add_arguments(p: Parser) -> None:
    p.add_argument("--dataset", default="digits", help="a name, or a path to a folder, .npz or .npy (digits)")
    p.add_argument("--metrics", default="all", help="names with commas (all that measure samples)")
    p.add_argument("--extractor", help="instead of that of the dataset's suite")
    p.add_argument(
        "--extractor-weights", action="append", default=[], metavar="[NAME=]FILE", help="weights that do not ship"
    )
    p.add_argument("--faults", help="names with commas (all)")
    p.add_argument("--strengths", metavar="S,S,...", help="of every fault, instead of its own")
    p.add_argument("--samples", type=int, metavar="N", help="in each draw (a third of the pool, at most 1,000)")
    p.add_argument(
        "--seeds", type=number(Count), default=5, metavar="S", help="draws at each strength; 4 S of real data (5)"
    )
    add_batch_size(p)
    p.add_argument("--device", default="auto")
    p.add_argument("--rerun", choices=["only-missing", "failed", "always", "never"], default="only-missing")
    p.add_argument("--json", action="store_true", help="every value and verdict")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--offline", action="store_true", help="download nothing")
    p.add_argument("-o", "--out", type=Path, metavar="RUN", help="the run's folder (runs/audit-DATASET)")


def run(args: argparse.Namespace) -> int:
    from genbench import datasets
    from genbench.boards import pictures
    from genbench.run.evaluate import evaluate
    from genbench.run.protocol import Suite
    from genbench.run.records import Run
    from genbench.studies import audit

    if args.offline:
        os.environ["GENBENCH_OFFLINE"] = "1"
    dataset = datasets.load(args.dataset, args.data_root)
    path = catalog.find("suites", args.dataset).path if args.dataset in catalog.entries("suites") else None
    suite = Suite.read(path) if path else Suite(args.dataset, ())
    suite = replace(suite, metrics=tuple(args.metrics.split(",")), extractor=args.extractor or suite.extractor)
    names = None if args.faults is None else args.faults.split(",")
    try:
        strengths = None if args.strengths is None else [float(s) for s in args.strengths.split(",")]
    except ValueError as error:
        raise GenbenchError(f"--strengths {args.strengths}: {error}", "Write --strengths 0.1,0.2,0.5.") from error
    weights = by_extractor(args.extractor_weights, suite.extractor)
    todo = audit.prepare(dataset, suite, names, strengths, args.seeds, args.samples, weights)
    run = Run(args.out or Path("runs") / f"audit-{dataset.name}")
    started = time.monotonic()
    outcome = evaluate(todo.todo, run, args.device, args.batch_size, args.rerun, command=args.line, pictures=False)
    found, missing = audit.findings(todo, run)
    if found:
        run.write(run.folder / "audit.png", pictures.audit(found))
    if args.json:
        print(json.dumps(audit.as_dict(todo, found, missing), indent=1))
    else:
        print(audit.markdown(todo, found, missing), end="")
    print(
        f"{outcome.measured} cells measured, {outcome.skipped} not applicable, {outcome.failed} failed, "
        f"{outcome.kept} kept; records and picture in {run.folder}; {time.monotonic() - started:.0f} s",
        file=sys.stderr,
    )
    return FAILED if outcome.failed else 0
