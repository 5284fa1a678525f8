"""`genbench list`: what there is."""

from __future__ import annotations

import argparse
import json
import sys

from genbench import catalog
from genbench.cli.arguments import Parser

SUMMARY = "what there is: baselines, datasets, metrics, extractors, suites, plugins"


def add_arguments(p: Parser) -> None:
    p.add_argument("kind", choices=[*catalog.KINDS, "artifacts", "plugins"])
    p.add_argument("--json", action="store_true")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")


def run(args: argparse.Namespace) -> int:
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
