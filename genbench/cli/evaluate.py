"""`genbench evaluate`: models become records, and a table of them."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from genbench import catalog
from genbench.cli.arguments import (
    Parser,
    add_batch_size,
    by_extractor,
    limit,
    number,
    references_of,
    settings_of,
)
from genbench.cli.ending import FAILED, name_unreadable
from genbench.environment import threads
from genbench.errors import GenbenchError
from genbench.reading import Count, Seed
from genbench.run.limits import ENGINES, START_METHODS, Limits, seconds, size
from genbench.text import one_line, slug

if TYPE_CHECKING:
    from genbench.boards.columns import Board
    from genbench.models.adapters import Source
    from genbench.run.elsewhere import Launch
    from genbench.run.isolation import Isolation
    from genbench.run.records import Record, Run

SUMMARY = "measure models and print the leaderboard; with no argument, a model of each family"


def add_arguments(p: Parser) -> None:
    p.add_argument(
        "models",
        nargs="*",
        metavar="CKPT",
        help="[name=]FILE.safetensors, samples:PATH or FILE.py:OBJECT; "
        "name='PATH/*.safetensors': one row of one model's training seeds; "
        "'FILE?temperature=0.7,1': a row for each value, and the curve that they make",
    )
    p.add_argument(
        "--trajectory",
        action="store_true",
        help="files of a pattern are checkpoints of one training: their metrics against its steps, and RUN/NAME.svg",
    )
    p.add_argument("--suite", help="a name or a TOML file (digits)")
    p.add_argument("--dataset", help="instead of the suite's: a name, or PATH[?size=64&crop=center]")
    p.add_argument("--metrics", help="instead of the suite's: names with commas, or all")
    p.add_argument("--extractor", help="instead of the suite's: a name, or a function in code as FILE.py:NAME")
    p.add_argument(
        "--extractor-weights", action="append", default=[], metavar="[NAME=]FILE", help="weights that do not ship"
    )
    p.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="[EXTRACTOR=]FILE.npz",
        help="published statistics (mu, sigma) in place of the training set, for what compares samples with data",
    )
    p.add_argument("--reference-count", type=number(Count), metavar="N", help="of how many images the statistics are")
    p.add_argument("--samples", type=int, metavar="N", help="samples from each model")
    p.add_argument("--seed", type=number(Seed))
    p.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="classes to ask of samples, or those of given samples",
    )
    p.add_argument("--k", type=int, help="importance samples per example")
    p.add_argument("--outside", metavar="NAME", help="other data to be told from test data (noise)")
    p.add_argument("--limit", type=int, metavar="N", help="only N test examples, chosen by their contents")
    p.add_argument(
        "--no-intervals",
        action="store_true",
        help="values alone where an interval takes work of its own, as in a training loop",
    )
    add_batch_size(p)
    p.add_argument("--device", default="auto")
    p.add_argument("--rerun", choices=["only-missing", "failed", "always", "never"], default="only-missing")
    p.add_argument(
        "--workers",
        type=number(Count),
        default=1,
        metavar="N",
        help="so many models at once, or blocks of a slow one; changes no value (1)",
    )
    p.add_argument("--time-limit", type=limit(seconds), metavar="TIME", help="for each model: 90s, 15m, 2h")
    p.add_argument("--cell-time-limit", type=limit(seconds), metavar="TIME", help="for each metric of a model")
    p.add_argument("--memory-limit", type=limit(size), metavar="SIZE", help="for each model: 500M, 2G")
    p.add_argument(
        "--start-method",
        choices=[*START_METHODS, "none"],
        default="forkserver",
        help="how the process of each model starts; none: all in this one (forkserver)",
    )
    p.add_argument(
        "--executor",
        choices=["here", *ENGINES],
        help="where models are measured (here): a task of Ray or a job of Slurm each; all machines see RUN "
        "(docs/scale.md)",
    )
    p.add_argument("--executor-set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the executor")
    p.add_argument("--fail-fast", action="store_true")
    p.add_argument(
        "--dry-run", action="store_true", help="only say what would be measured; with --json, as --cells reads"
    )
    p.add_argument("--cells", type=Path, metavar="FILE", help="measure these alone: a JSON list of ids of cells")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--offline", action="store_true", help="download nothing")
    p.add_argument("--unsafe-load", action="store_true", help="unpickle .pt and .pkl files: they can run any code")
    shown = p.add_mutually_exclusive_group()
    shown.add_argument("--wide", action="store_true", help="whole tables as a page has them, however wide the terminal")
    shown.add_argument("--json", action="store_true", help="every record, as `genbench leaderboard --format json`")
    p.add_argument("-o", "--out", type=Path, metavar="RUN", help="the run's folder (runs/SUITE)")


def run(args: argparse.Namespace) -> int:
    from genbench import datasets
    from genbench.boards.columns import boards
    from genbench.boards.markdown import markdown
    from genbench.boards.pages import as_json
    from genbench.boards.seeds import pooled
    from genbench.boards.terminal import terminal
    from genbench.datasets._labels import labels_at
    from genbench.models.adapters import parse_all
    from genbench.models.adapters.samples import labelled
    from genbench.run.evaluate import evaluate, missing
    from genbench.run.isolation import used_by
    from genbench.run.plan import jobs, plan, read_cells
    from genbench.run.protocol import fitted, suite_for
    from genbench.run.records import DONE, Run

    if args.offline:
        os.environ["GENBENCH_OFFLINE"] = "1"
    apart = isolation_of(args)
    ask = apart.ask if apart else None
    out = args.out or Path("runs") / (Path(args.suite).stem if args.suite else args.dataset or "digits")
    metrics = None if args.metrics is None else args.metrics.split(",")
    labels = labels_at(args.labels) if args.labels else None
    if labels is not None and args.samples is None:
        args.samples = len(labels)
    protocol = {"n_samples": args.samples, "seed": args.seed, "k": args.k, "outside": args.outside, "limit": args.limit}
    suite = suite_for(args.suite, args.dataset, metrics, args.extractor, **protocol)
    if apart:
        apart.loads = used_by(jobs(suite.metrics, suite.extractor, suite.params))
        if not args.dry_run and not (out / "manifest.json").exists():  # else there may be nothing to do
            apart.prepare()
    dataset = datasets.load(suite.dataset, args.data_root)
    specs = args.models or (shipped(dataset.name) if args.suite else examples(dataset.name))
    if not specs:
        raise GenbenchError(f"no checkpoint ships for dataset '{dataset.name}'", "Name the models to measure.")
    sources = [one for spec in ["data:test", *specs] for one in parse_all(spec, dataset, args.unsafe_load, ask)]
    curves = trajectories(sources) if args.trajectory else {}
    sources = [replace(one, row="") if one.row in curves else one for one in sources]
    if labels is not None:
        sources = labelled(sources, labels)
    if args.samples is None:
        suite = fitted(suite, dataset, sources)
    weights = by_extractor(args.extractor_weights, suite.extractor)
    references = references_of(args.reference, suite.extractor, args.reference_count)
    todo = plan(suite, dataset, sources, weights, references, labels, ask, not args.no_intervals)
    if args.cells:
        todo = todo.restricted(read_cells(args.cells))
    launch = launch_of(args)
    run = Run(args.out or Path("runs") / (Path(args.suite).stem if args.suite else dataset.name))
    if args.dry_run and args.json:
        wanted = [(source, cell) for source in sources for cell in missing(todo, run, source, args.rerun)]
        said = [{"id": c.id, "model": source.name, "metric": c.job.label(c.output)} for source, c in wanted]
        print(json.dumps(said, indent=1))
        return 0
    if args.dry_run:
        for source in sources:
            left = missing(todo, run, source, args.rerun)
            print(f"{one_line(source.name)}: {len(left)} of {len(todo.cells(source))} cells to measure")
        return 0
    started = time.monotonic()
    outcome = evaluate(
        todo,
        run,
        args.device,
        args.batch_size,
        args.rerun,
        args.fail_fast,
        args.line,
        apart=apart,
        data_root=args.data_root,
        launch=launch,
    )
    records, width = todo.rows(run), shutil.get_terminal_size().columns
    found = boards(pooled(records, [run]), suite.sort, strict=False)
    if args.json:
        print(as_json(found), end="")
    elif curves:
        show_trajectories(curves, records, run)
        along = set().union(*curves.values())
        beside = [record for record in records if record.model["name"] not in along]
        print("\n" + terminal(boards(pooled(beside, [run]), suite.sort, strict=False), width, suite.sort), end="")
    elif found:
        print(markdown(found) if args.wide else terminal(found, width, suite.sort), end="")
    else:
        print(f"no table: {run.folder} has none of the planned records", file=sys.stderr)
    for b in found:
        show_curves(b, run, args.json)
    unread = name_unreadable([run], {cell.id for source in todo.sources for cell in todo.cells(source)})
    if outcome.measured + outcome.failed + outcome.skipped == 0:
        print(f"nothing to measure: all {outcome.kept} cells are in {run.folder}", file=sys.stderr)
    else:
        print(
            f"{outcome.measured} cells measured, {outcome.skipped} not applicable, {outcome.failed} failed, "
            f"{outcome.kept} kept; records in {run.folder}; {time.monotonic() - started:.0f} s",
            file=sys.stderr,
        )
    planned = {(source.name, cell.id) for source in todo.sources for cell in todo.cells(source)}
    absent = len(planned) - len(records)
    if absent:
        print(f"{absent} planned cells have no record", file=sys.stderr)
    return FAILED if unread or absent or any(record.status not in DONE for record in records) else 0


def isolation_of(args: argparse.Namespace) -> Isolation | None:
    """How models are kept apart, None for not at all.

    Raises:
        GenbenchError: limits that nothing can be held to.
    """
    from genbench.run.isolation import Isolation

    limits = Limits(args.time_limit, args.cell_time_limit, args.memory_limit)
    if args.start_method == "none":
        if limits != Limits():
            raise GenbenchError(
                "a limit needs a process to hold to it, and --start-method is none", "Leave one of them out."
            )
        if args.workers > 1:
            raise GenbenchError(
                f"--workers {args.workers} needs processes, and --start-method is none", "Leave one of them out."
            )
        return None
    if args.workers > 1 and args.workers * threads() > (cores := os.cpu_count() or 1):
        print(
            f"{args.workers} workers of {threads()} threads share {cores} cores: OMP_NUM_THREADS=1 is faster",
            file=sys.stderr,
        )
    return Isolation(limits, args.workers, args.start_method)


def launch_of(args: argparse.Namespace) -> Launch | None:
    """How models are measured elsewhere, None for not at all.

    Raises:
        GenbenchError: an executor that is not installed, or that cannot be with what else is asked for.
    """
    if args.executor in (None, "here"):
        if args.executor_set and args.executor is None:  # a task has those of its launcher, and is told to stay here
            raise GenbenchError("--executor-set needs an executor", f"Name one: --executor {' or '.join(ENGINES)}.")
        return None
    if args.start_method == "none":
        raise GenbenchError(
            f"--executor {args.executor} needs processes, and --start-method is none", "Leave one of them out."
        )
    if args.dry_run:
        return None
    from genbench.run.elsewhere import Launch, engine

    return Launch(engine(args.executor, settings_of(args.executor_set, "--executor-set")), args.given)


def trajectories(sources: list[Source]) -> dict[str, dict[str, int]]:
    """{name of a pattern: {name of a checkpoint: steps of training}}.

    Raises:
        GenbenchError: no pattern is given, or checkpoints do not say their steps.
    """
    from genbench.boards.trajectory import steps_of

    names = dict.fromkeys(one.row for one in sources if one.row)
    if not names:
        raise GenbenchError(
            "--trajectory needs several checkpoints", "Name them by a pattern: run='PATH/step*.safetensors'."
        )
    return {name: steps_of([one for one in sources if one.row == name]) for name in names}


def show_trajectories(curves: dict[str, dict[str, int]], records: list[Record], run: Run) -> None:
    """The table of every training; its plot is written into the run."""
    from genbench.boards.trajectory import columns, plot, table

    for count, (name, steps) in enumerate(curves.items()):
        found = columns(records, steps)
        if not found:
            print(f"no record of {one_line(name)}", file=sys.stderr)
            continue
        print("\n" * (count > 0) + table(name, found, steps, shutil.get_terminal_size().columns), end="")
        if (drawn := plot(name, found, steps)) is not None:
            run.write(path := run.folder / f"{slug(name)}.svg", drawn)
            print(f"the curve is {path}", file=sys.stderr)


def show_curves(b: Board, run: Run, quiet: bool) -> None:
    """Of every argument that was swept the table, unless a machine reads, and the plot into the run's pictures."""
    from genbench.boards.curves import curves, plot, table

    for curve in curves(b):
        if not quiet:
            print("\n" + table(b, curve, shutil.get_terminal_size().columns), end="")
        if (drawn := plot(b, curve)) is not None:
            run.write(run.pictures / curve.file, drawn)
            print(f"the curve of {curve.title} is in {run.pictures / curve.file}", file=sys.stderr)


def shipped(dataset: str) -> list[str]:
    """The checkpoints that ship with the package for a dataset."""
    return [str(p) for p in sorted((catalog.BASELINES / "checkpoints" / dataset).glob("*.safetensors"))]


def examples(dataset: str) -> list[str]:
    """Of the checkpoints that ship for a dataset those of a few models, one or two of each family; else all of them."""
    known = catalog.entries("baselines")
    paths = shipped(dataset)
    few = [path for path in paths if (entry := known.get(Path(path).stem)) and entry.name in entry.examples]
    return few or paths
