"""The command line, and nothing else: arguments in, results to stdout, progress and errors to stderr.

Exit codes: 0 all well; 1 some cells failed, the rest is recorded; 2 usage or configuration; 3 a check tripped;
4 nothing comparable; 70 a bug of genbench; 130 interrupted, state saved. Nothing heavy is imported until a command
needs it.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import os
import shlex
import shutil
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Container, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, NoReturn

from genbench import __version__, catalog
from genbench.errors import GenbenchError, unknown
from genbench.reading import Count, Malformed, Seed, Within, legible, shape_of
from genbench.text import one_line

FAILED, USAGE, TRIPPED, INCOMPARABLE, BUG, INTERRUPTED = 1, 2, 3, 4, 70, 130


class Parser(argparse.ArgumentParser):
    """Errors in two lines: what, and what to do."""

    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {one_line(message)}\n  See `{self.prog} --help`.\n")


def main(argv: list[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    # Before torch is loaded: its threads then wait for each other by spinning a few microseconds, then asleep. By
    # default they spin for long, and where another process holds a core small models take twenty times as long.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    arguments = sys.argv[1:] if argv is None else argv
    if argv is None:
        del sys.argv[1:]  # they are read; a model's code, or a child process of it, would take them for its own
    debug = "--debug" in arguments
    open_streams()
    warnings.showwarning = show_warning
    try:
        code = run(arguments)
        sys.stdout.flush()  # while a full disk can still be told
        return code
    except GenbenchError as error:
        return complain(error, debug)
    except KeyboardInterrupt:
        print("interrupted; what was finished is saved, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `genbench list | head`
        silence(sys.stdout)
        return 0
    except OSError as error:
        silence(sys.stdout)
        where = f"{error.filename}: " if error.filename else ""
        reason = GenbenchError(
            f"{where}{error.strerror or error}", "Check the path, its permissions and the free space."
        )
        reason.__cause__ = error
        return complain(reason, debug)
    except MemoryError as error:
        reason = GenbenchError(f"there is not enough memory{f': {error}' * bool(str(error))}", "Take less at once.")
        reason.__cause__ = error
        return complain(reason, debug)
    except Exception as error:
        return confess(error, debug)


def run(arguments: list[str]) -> int:
    """The command that the arguments name."""
    parser = make_parser()
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise unknown("command", arguments[0], COMMANDS)
    args = parser.parse_args(arguments)
    if not args.command:
        parser.print_help()
        return 0
    args.line = legible(shlex.join(["genbench", *arguments]))
    for plugin in getattr(args, "plugin", None) or []:
        catalog.use_plugin(plugin)
    return COMMANDS[args.command][0](args)


def open_streams() -> None:
    """Streams that the caller closed lead nowhere, and none ends a command for a character that its encoding lacks."""
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:  # else the next file to be opened would stand in for it
        pass
    os.close(handle)
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does anyway


def silence(stream: Any) -> None:
    """Leads a stream nowhere, so that what is left in it fails no second time when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(error: GenbenchError, debug: bool) -> int:
    """The error in two lines, below its traceback if that was asked for."""
    if debug:
        traceback.print_exception(error.__cause__ or error)
    print(f"genbench: {error}", file=sys.stderr)
    return USAGE


def name_unreadable(runs: Iterable[Any], cells: Container[str] | None = None) -> bool:
    """Whether runs have files that cannot be read; they are named on stderr, and what can be read is shown.

    Arguments:
        cells: only the records of these.
    """
    found = {path: why for run in runs for path, why in run.unreadable() if cells is None or path.stem in cells}
    for why in found.values():
        print(f"error: {why}", file=sys.stderr)
    return bool(found)


def confess(error: Exception, debug: bool) -> int:
    """Two lines for what should not happen, below its traceback if that was asked for."""
    if debug:
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    frame = next((f for f in reversed(frames) if "genbench" in f.filename), frames[-1])
    what = f"{type(error).__name__}: {error}".split("\n")[0]
    print(f"genbench: internal error: {what} ({Path(frame.filename).name}:{frame.lineno})", file=sys.stderr)
    how = "with what --debug printed" if debug else "with what the same command prints with --debug"
    print(f"  This is a bug of genbench {__version__}: please report it, {how}.", file=sys.stderr)
    return BUG


def show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    print(f"warning: {one_line(message)}", file=sys.stderr)


def number(hint: Any) -> Callable[[str], Any]:
    """The type of an argument that is a number, with the bounds of its annotation."""

    def read(text: str) -> Any:
        value: Any = text
        with contextlib.suppress(ValueError):
            value = float(text) if hint is MINUTES else int(text)
        try:
            return value if value == math.inf and hint is MINUTES else shape_of(hint).read(value, text)
        except Malformed as error:
            raise argparse.ArgumentTypeError(f"expected {error.expected}, got '{text}'") from error

    return read


THREADS = Annotated[int, Within(1, 4096)]
MINUTES = Annotated[float, Within(above=0)]


def make_parser() -> Parser:
    parser = Parser(prog="genbench", description="Measure generative models of every family by one protocol.")
    parser.add_argument("--version", action="version", version=f"genbench {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for name, (_, add_arguments, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=summary)
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
        add_arguments(command)
    return parser


def add_list(p: Parser) -> None:
    p.add_argument("kind", choices=[*catalog.KINDS, "artifacts", "plugins"])
    p.add_argument("--json", action="store_true")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")


def run_list(args: argparse.Namespace) -> int:
    from tabulate import tabulate

    if args.kind == "artifacts":
        return list_artifacts(args)
    kinds = catalog.KINDS if args.kind == "plugins" else (args.kind,)
    found = [e for kind in kinds for e in catalog.entries(kind).values()]
    if args.kind == "plugins":
        found = [e for e in found if e.origin != "genbench"]
    if args.json:
        rows = [{"name": e.name, "kind": e.kind, "summary": e.summary, "origin": e.origin} for e in found]
        print(json.dumps(rows, indent=1))
    elif found:
        print(tabulate([[e.name, *extra_columns(e), e.summary] for e in found], tablefmt="plain"))
    else:
        print("none", file=sys.stderr)
    return 0


def list_artifacts(args: argparse.Namespace) -> int:
    """What a metric may need: of whom it is asked, what of the protocol decides it, what it is."""
    from tabulate import tabulate

    from genbench.run.artifacts import ARTIFACTS

    rows = [
        {"name": name, "asks": a.asks, "fields": [*a.fields, *["extractor"] * a.extracted], "summary": a.summary}
        for name, a in ARTIFACTS.items()
    ]
    if args.json:
        print(json.dumps(rows, indent=1))
    else:
        headers = {"name": "name", "asks": "asks", "fields": "decided by", "summary": "what it is"}
        print(tabulate([{**row, "fields": ", ".join(row["fields"])} for row in rows], headers, tablefmt="simple"))
    return 0


def extra_columns(entry: catalog.Entry) -> list[str]:
    """A baseline's family, a metric's outputs, an outside member's origin."""
    shown = []
    if entry.kind == "baselines":
        shown.append(entry.family)
    if "OUTPUTS" in entry.constants:
        shown.append(", ".join(o.replace("_", "-") for o in entry.constants["OUTPUTS"]))
    return [*shown, *([entry.origin] if entry.origin != "genbench" else [])]


def add_describe(p: Parser) -> None:
    p.add_argument("name", help="a member of the catalog, FILE.safetensors, or data: a folder, .npz or .npy")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")


def run_describe(args: argparse.Namespace) -> int:
    if args.name.endswith(".safetensors"):
        from genbench.models.checkpoint import read_card

        print(json.dumps(json.loads(read_card(Path(args.name)).to_json()), indent=1))
        return 0
    name = args.name.replace("_", "-")
    found = [members[name] for kind in catalog.KINDS if name in (members := catalog.entries(kind))]
    if found:
        for i, entry in enumerate(found):  # a dataset and its suite share a name
            print("\n" * (i > 0), end="")
            describe_entry(entry, args)
    elif is_data(args.name):
        describe_data(args.name, args.data_root)
    else:
        raise catalog.absent("name", args.name, {name for kind in catalog.KINDS for name in catalog.names(kind)})
    return 0


def is_data(name: str) -> bool:
    from genbench.datasets import is_path

    return is_path(name)


def describe_entry(entry: catalog.Entry, args: argparse.Namespace) -> None:
    """One member of the catalog: what its file says, and of a dataset what it holds."""
    print(f"{entry.kind[:-1]} {entry.name} ({entry.origin})\n")
    if entry.kind == "suites":
        assert entry.path is not None
        print(entry.path.read_text(encoding="utf-8"))
        return
    print(entry.constants.get("__doc__", ""))
    if entry.kind == "baselines":
        print(f"\nfamily: {entry.family}")
    for constant in ("VERSION", "NEEDS", "OUTPUTS", "REFERENCE"):
        if constant in entry.constants:
            print(f"\n{constant.lower()}: {entry.constants[constant]}")
    if entry.kind == "metrics" and entry.parameters:
        print(f"\nparameters: {entry.parameters}")
    if entry.kind == "baselines":
        print(f"\noptions: {catalog.options_of(entry.name)}")
        for dataset, preset in getattr(catalog.load("baselines", entry.name), "PRESETS", {}).items():
            print(f"preset {dataset}: {preset}")
    if entry.kind == "datasets":
        print()
        describe_data(entry.name, args.data_root)


def describe_data(name: str, root: Path | None) -> None:
    from tabulate import tabulate

    from genbench import datasets

    print(tabulate(list(datasets.load(name, root).facts().items()), tablefmt="plain", disable_numparse=True))


def add_train(p: Parser) -> None:
    p.add_argument("baseline")
    p.add_argument("--dataset", default="digits", help="a name, or a path to a folder, .npz or .npy (digits)")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of model or training")
    p.add_argument("--steps", type=int)
    p.add_argument("--minutes", type=number(MINUTES), default=math.inf, help="stop after so long, annealing in time")
    p.add_argument("--seed", type=number(Seed), default=0)
    p.add_argument("--device", default="auto")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")
    p.add_argument("-o", "--out", type=Path, metavar="FILE.safetensors")


def run_train(args: argparse.Namespace) -> int:
    from genbench import datasets
    from genbench.models.training import preset_of, train
    from genbench.run.evaluate import pick_device

    settings = settings_of(args.set)
    if args.steps is not None:
        settings["steps"] = args.steps
    preset = preset_of(args.baseline, args.dataset, settings)
    dataset = datasets.load(args.dataset, args.data_root)
    out = args.out or Path(f"{dataset.name}-{args.baseline}.safetensors")
    started = time.monotonic()
    device = pick_device(args.device)
    card = train(args.baseline, dataset, preset, out, args.seed, args.minutes, device, args.line)
    reached = ", ".join(f"{k} {v}" for k, v in card.training.items() if k not in ("command", "seed", "environment"))
    print(f"{out}: {card.parameters:,} parameters, {out.stat().st_size / 1000:.0f} kB; {reached}")
    print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0


def settings_of(pairs: list[str]) -> dict[str, Any]:
    """{key: value} of KEY=VALUE arguments."""
    from genbench.models.adapters import literal

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise GenbenchError(f"--set {pair} has no value", "Write --set key=value.")
        found[key] = literal(value, key)
    return found


def add_evaluate(p: Parser) -> None:
    p.add_argument("models", nargs="*", metavar="CKPT", help="[name=]FILE.safetensors, samples:PATH or FILE.py:OBJECT")
    p.add_argument("--suite", help="a name or a TOML file (digits)")
    p.add_argument("--dataset", help="instead of the suite's: a name, or a path to a folder, .npz or .npy")
    p.add_argument("--metrics", help="instead of the suite's: names with commas, or all")
    p.add_argument("--extractor", help="instead of the suite's: a name, or a function in code as FILE.py:NAME")
    p.add_argument(
        "--extractor-weights", action="append", default=[], metavar="[NAME=]FILE", help="weights that do not ship"
    )
    p.add_argument("--samples", type=int, metavar="N", help="samples from each model")
    p.add_argument("--seed", type=number(Seed))
    p.add_argument("--k", type=int, help="importance samples per example")
    p.add_argument("--limit", type=int, metavar="N", help="only N test examples, chosen by their contents")
    add_batch_size(p)
    p.add_argument("--device", default="auto")
    p.add_argument("--rerun", choices=["only-missing", "failed", "always", "never"], default="only-missing")
    p.add_argument("--fail-fast", action="store_true")
    p.add_argument("--dry-run", action="store_true", help="only say what would be measured")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--offline", action="store_true", help="download nothing")
    p.add_argument("--unsafe-load", action="store_true", help="unpickle .pt and .pkl files: they can run any code")
    shown = p.add_mutually_exclusive_group()
    shown.add_argument("--wide", action="store_true", help="whole tables as a page has them, however wide the terminal")
    shown.add_argument("--json", action="store_true", help="every record, as `genbench leaderboard --format json`")
    p.add_argument("-o", "--out", type=Path, metavar="RUN", help="the run's folder (runs/SUITE)")


def add_batch_size(p: Parser) -> None:
    what = "images that an extractor holds in memory at once, as far as its blocks allow; changes no value"
    p.add_argument("--batch-size", type=number(Count), default=500, help=what)


def run_evaluate(args: argparse.Namespace) -> int:
    from genbench import datasets
    from genbench.boards.columns import boards
    from genbench.boards.markdown import markdown
    from genbench.boards.pages import as_json
    from genbench.boards.terminal import terminal
    from genbench.models.adapters import parse
    from genbench.run.evaluate import evaluate, missing
    from genbench.run.plan import plan
    from genbench.run.protocol import fitted, suite_for
    from genbench.run.records import DONE, Run

    if args.offline:
        os.environ["GENBENCH_OFFLINE"] = "1"
    metrics = args.metrics.split(",") if args.metrics else None
    protocol = {"n_samples": args.samples, "seed": args.seed, "k": args.k, "limit": args.limit}
    suite = suite_for(args.suite, args.dataset, metrics, args.extractor, **protocol)
    dataset = datasets.load(suite.dataset, args.data_root)
    specs = args.models or shipped(dataset.name)
    if not specs:
        raise GenbenchError(f"no checkpoint ships for dataset '{dataset.name}'", "Name the models to measure.")
    sources = [parse(spec, dataset, args.unsafe_load) for spec in ["data:test", *specs]]
    if args.samples is None:
        suite = fitted(suite, dataset, sources)
    todo = plan(suite, dataset, sources, weights_of(args.extractor_weights, suite.extractor))
    run = Run(args.out or Path("runs") / (Path(args.suite).stem if args.suite else dataset.name))
    if args.dry_run:
        for source in sources:
            left = missing(todo, run, source, args.rerun)
            print(f"{one_line(source.name)}: {len(left)} of {len(todo.cells(source))} cells to measure")
        return 0
    started = time.monotonic()
    outcome = evaluate(todo, run, args.device, args.batch_size, args.rerun, args.fail_fast, args.line)
    records = todo.rows(run)
    found = boards(records, suite.sort, strict=False)
    if args.json:
        print(as_json(found), end="")
    elif found:
        width = shutil.get_terminal_size().columns
        print(markdown(found) if args.wide else terminal(found, width, suite.sort), end="")
    else:
        print(f"no table: {run.folder} has none of the planned records", file=sys.stderr)
    unread = name_unreadable([run], {cell.id for source in todo.sources for cell in todo.cells(source)})
    if outcome.measured + outcome.failed + outcome.skipped == 0:
        print(f"nothing to measure: all {outcome.kept} cells are in {run.folder}", file=sys.stderr)
    else:
        print(
            f"{outcome.measured} cells measured, {outcome.skipped} not applicable, {outcome.failed} failed, "
            f"{outcome.kept} kept; records in {run.folder}; {time.monotonic() - started:.0f} s",
            file=sys.stderr,
        )
    return FAILED if unread or any(record.status not in DONE for record in records) else 0


def weights_of(given: list[str], extractor: str) -> dict[str, Path]:
    """{extractor: file} of `[NAME=]FILE` arguments; without a name it is the suite's extractor."""
    from genbench.run.plan import hyphenated

    found = {}
    for spec in given:
        name, equals, path = spec.partition("=")
        if equals and hyphenated(name) in catalog.names("extractors"):
            found[hyphenated(name)] = Path(path)
        else:
            found[hyphenated(extractor)] = Path(spec)
    return found


def shipped(dataset: str) -> list[str]:
    """The checkpoints that ship with the package for a dataset."""
    return [str(p) for p in sorted((catalog.BASELINES / "checkpoints" / dataset).glob("*.safetensors"))]


def add_audit(p: Parser) -> None:
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


def run_audit(args: argparse.Namespace) -> int:
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
    names = args.faults.split(",") if args.faults else None
    try:
        strengths = None if args.strengths is None else [float(s) for s in args.strengths.split(",")]
    except ValueError as error:
        raise GenbenchError(f"--strengths {args.strengths}: {error}", "Write --strengths 0.1,0.2,0.5.") from error
    weights = weights_of(args.extractor_weights, suite.extractor)
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


def add_status(p: Parser) -> None:
    p.add_argument("run", type=Path, metavar="RUN")


def run_status(args: argparse.Namespace) -> int:
    from tabulate import tabulate

    from genbench.run.records import in_rows, open_run

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
        if record.status == "error" and record.error:
            where = f"{record.model['name']}, {record.metric['name']}"
            print(one_line(f"error: {where}: {record.error['type']}: {record.error['message']}"), file=sys.stderr)
    headers += sorted({status for row in rows.values() for status in row} - {*headers})
    if rows:
        table = [[one_line(name), *(row.get(status, 0) for status in headers)] for name, row in rows.items()]
        print(tabulate(table, ["model", *headers], tablefmt="simple", disable_numparse=[0]))
    else:
        print(f"no table: {run.folder} has no records, and none are planned", file=sys.stderr)
    left = sum(row["missing"] for row in rows.values())
    print(f"{len(records)} of {len(records) + left} cells recorded", file=sys.stderr)
    return FAILED if name_unreadable([run]) else 0


def add_leaderboard(p: Parser) -> None:
    p.add_argument("runs", nargs="+", type=Path, metavar="RUN")
    p.add_argument("--sort", metavar="METRIC")
    p.add_argument("--format", choices=["md", "csv", "json", "html"], default="md")
    p.add_argument("-o", "--out", type=Path, metavar="FILE")
    p.add_argument("--check", action="store_true", help="compare with FILE instead of writing it; exit 3 if it differs")


def run_leaderboard(args: argparse.Namespace) -> int:
    from genbench.boards.columns import boards
    from genbench.boards.markdown import markdown
    from genbench.boards.pages import FORMATS
    from genbench.boards.pareto import draw_all
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
        if pictures and folder and not args.check:
            draw_all(found, pictures)
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


def add_compare(p: Parser) -> None:
    p.add_argument("base", metavar="BASE", help="RUN, or RUN:MODEL, or a profile's FILE.json")
    p.add_argument("new", metavar="NEW", help="the same kind")
    p.add_argument("--fail-if", action="append", default=[], metavar="METRIC:+2%", help="exit 3 if it changed so far")
    p.add_argument("--json", action="store_true")


def run_compare(args: argparse.Namespace) -> int:
    if args.base.endswith(".json") and args.new.endswith(".json"):
        return compare_profiles(args)
    from genbench.boards.compare import Gate, as_dicts, compare, table, tripped

    gates = [Gate.read(text) for text in args.fail_if]
    found = compare(args.base, args.new)
    unread = name_unreadable(found.runs)
    for line in found.left_out():
        print(f"not compared: {line}", file=sys.stderr)
    if args.json:
        print(json.dumps(as_dicts(found), indent=1))
    elif found.differences:
        print(table(found.differences), end="")
    for gate in gates:
        if gate.forbids_better(found.differences):
            print(f"warning: gate {gate.text} forbids that {gate.metric} becomes better", file=sys.stderr)
    failed = [d for gate in gates for d in tripped(found, gate)]
    for d in failed:
        print(f"gate: {d.said}", file=sys.stderr)
    if failed:
        return TRIPPED
    if not found.differences:
        print("genbench: nothing in the two can be compared", file=sys.stderr)
        print(
            "  Values compare if data, metric, extractor and protocol agree, for models of one name.", file=sys.stderr
        )
        return INCOMPARABLE
    return FAILED if unread else 0


def compare_profiles(args: argparse.Namespace) -> int:
    from genbench.studies.profiling.compare import as_dicts, compare, table, tripped

    found = compare(Path(args.base), Path(args.new))
    if not found:
        print("genbench: nothing in the two profiles can be compared", file=sys.stderr)
        print("  Times compare if kernel, implementation, shape, dtype, device and threads agree.", file=sys.stderr)
        return INCOMPARABLE
    print(json.dumps(as_dicts(found), indent=1) if args.json else table(found), end="")
    failed = [c for gate in args.fail_if for c in tripped(found, gate)]
    for c in failed:
        print(f"gate: {c.kernel}, {c.size}: {c.base_s:.4g} s -> {c.new_s:.4g} s, p = {c.p:.2g}", file=sys.stderr)
    return TRIPPED if failed else 0


def add_profile(p: Parser) -> None:
    p.add_argument("kernels", nargs="*", metavar="KERNEL", help="a name, or the words it begins with (sample); all")
    p.add_argument("--list", action="store_true", help="only say which kernels there are")
    p.add_argument("--device", default="auto")
    p.add_argument("--threads", type=number(THREADS), metavar="N", help="of the CPU (all)")
    p.add_argument("--quick", action="store_true", help="small sizes, few runs: to see that it works")
    p.add_argument("--sweep", action="store_true", help="also fit how the cost grows with n, d and K")
    p.add_argument("--json", type=Path, metavar="FILE", help="keep all times, for `genbench compare`")


def run_profile(args: argparse.Namespace) -> int:
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


def add_new(p: Parser) -> None:
    from genbench.models.scaffold import SCAFFOLDS

    p.add_argument("kind", choices=list(SCAFFOLDS))
    p.add_argument("name")


def run_new(args: argparse.Namespace) -> int:
    from genbench.models.scaffold import write

    path, commands = write(args.kind, args.name, Path.cwd())
    print(f"{path.name}; try")
    for command in commands:
        print(f"  {command}")
    return 0


def add_split(p: Parser) -> None:
    p.add_argument("data", type=Path, metavar="DATA", help="a folder of images, an .npz or an .npy with one array")
    p.add_argument("-o", "--out", type=Path, metavar="OUT.npz", required=True)
    p.add_argument("--test", type=float, default=0.1, metavar="SHARE", help="of the examples (0.1)")
    p.add_argument("--validation", type=float, default=0.1, metavar="SHARE", help="of the examples (0.1)")
    p.add_argument("--seed", type=int, default=0, help="of the permutation (0, that of a file without splits)")


def run_split(args: argparse.Namespace) -> int:
    from genbench.datasets import SPLITS
    from genbench.datasets._files import split_path, write_npz

    for name in ("test", "validation"):
        if not 0 < getattr(args, name) < 1:
            raise GenbenchError(f"--{name} is {getattr(args, name)}", "Give a share between 0 and 1, such as 0.1.")
    if not 0 <= args.seed < 2**32:
        raise GenbenchError(f"--seed is {args.seed}", "Give a whole number from 0 to 2^32 - 1.")
    if args.out.suffix != ".npz":
        raise GenbenchError(f"{args.out} is no .npz", "Name the file of splits: -o FILE.npz.")
    data = split_path(args.data, args.test, args.validation, args.seed)
    write_npz(args.out, data)
    print(f"{args.out}: " + ", ".join(f"{len(data.split(split)):,} {split}" for split in SPLITS))
    return 0


def add_card(p: Parser) -> None:
    p.add_argument("weights", type=Path, metavar="FILE.safetensors", help="weights that fit a baseline")
    p.add_argument("--baseline", required=True, metavar="NAME")
    p.add_argument("--dataset", help="that it was trained on: a name or a path (only the space of digits)")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the model")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")
    p.add_argument("-o", "--out", type=Path, metavar="OUT.safetensors", required=True)


def run_card(args: argparse.Namespace) -> int:
    from genbench import datasets
    from genbench.models.checkpoint import with_card
    from genbench.models.training import preset_of

    dataset = datasets.load(args.dataset or "digits", args.data_root)
    options = preset_of(args.baseline, dataset.name, {}).options | settings_of(args.set)
    card = with_card(args.weights, args.out, args.baseline, dataset, options, trained_on_it=args.dataset is not None)
    said = ", ".join(f"{key}={value}" for key, value in card.options.items())
    print(f"{args.out}: {card.baseline} of {card.parameters:,} parameters" + (f", {said}" if said else ""))
    return 0


def add_check(p: Parser) -> None:
    p.add_argument("what", metavar="NAME_OR_FILE", help="a baseline in the catalog, or a plugin file")


def run_check(args: argparse.Namespace) -> int:
    from genbench.models.conformance import check

    name = args.what
    if name.endswith(".py"):
        catalog.use_plugin(name)
        name = Path(name).stem.replace("_", "-")
    results = check(name)
    for result in results:
        print(
            f"{'ok  ' if result.ok else 'FAIL'}  {result.space:<12}  {result.what}"
            + (f": {result.why}" * (not result.ok))
        )
    failed = sum(not result.ok for result in results)
    print(f"{name}: {len(results) - failed} of {len(results)} checks passed", file=sys.stderr)
    return FAILED if failed else 0


def add_env(p: Parser) -> None:
    p.add_argument("--json", action="store_true")


def run_env(args: argparse.Namespace) -> int:
    from genbench.environment import environment
    from genbench.run.evaluate import pick_device

    found = environment(pick_device("auto"))
    if args.json:
        print(json.dumps(found, indent=1))
        return 0
    for key, value in found.items():
        print(f"{key:<10}{', '.join(f'{k} {v}' for k, v in value.items()) if isinstance(value, dict) else value}")
    return 0


COMMANDS = {
    "list": (run_list, add_list, "what there is: baselines, datasets, metrics, extractors, suites, plugins"),
    "describe": (run_describe, add_describe, "one member of the catalog, or a checkpoint's card"),
    "train": (run_train, add_train, "train a baseline and write its checkpoint"),
    "evaluate": (run_evaluate, add_evaluate, "measure models and print the leaderboard; with no argument, what ships"),
    "audit": (run_audit, add_audit, "which metric sees which fault: known ones, planted in real data"),
    "status": (run_status, add_status, "how far a run is"),
    "leaderboard": (run_leaderboard, add_leaderboard, "a ranked table from the records of runs"),
    "compare": (run_compare, add_compare, "two runs, models or profiles, with intervals or tests"),
    "profile": (run_profile, add_profile, "what each kernel costs, beside its peers and the machine's limits"),
    "new": (run_new, add_new, "write a working file: a baseline, model, metric, extractor or dataset"),
    "split": (run_split, add_split, "split data of your own into train, validation and test"),
    "card": (run_card, add_card, "make a checkpoint of bare weights that fit a baseline"),
    "check": (run_check, add_check, "put a baseline through the contract tests"),
    "env": (run_env, add_env, "versions, device and threads, as records keep them"),
}


if __name__ == "__main__":
    sys.exit(main())
