"""`genbench list`: what there is."""

from __future__ import annotations

import argparse
import json
import re
import sys
from typing import Any

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
        rows = [
            {"name": e.name, "kind": e.kind, "summary": e.summary, "origin": e.origin, **said_of_data(e)} for e in found
        ]
        print(json.dumps(rows, indent=1))
    elif found:
        print(tabulate([[e.name, *extra_columns(e), e.summary] for e in found], *looks(args.kind)))
    else:
        print("none", file=sys.stderr)
    return 0


def looks(kind: str) -> tuple[list[str], str]:
    """The headers and the format of a list."""
    headers = ["name", "downloads", "licence", "what it is"] if kind == "datasets" else []
    return headers, "simple" if headers else "plain"


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


def said_of_data(entry: catalog.Entry) -> dict[str, Any]:
    """The licence, the source and the bytes of downloads that the file of a dataset says, None where it does not."""
    if entry.kind != "datasets":
        return {}
    return {name: entry.constants.get(name.upper()) for name in ("licence", "source", "download")}


def download_in_words(size: Any) -> str:
    """How much is downloaded, where the dataset is not at hand."""
    if not isinstance(size, int):
        return "not said"
    return f"{size / 1e6:,.1f} MB" if size else "nothing"


def extra_columns(entry: catalog.Entry) -> list[str]:
    """A baseline's family, a metric's outputs, what a dataset downloads and its licence, an outside member's origin."""
    shown = []
    if entry.kind == "baselines":
        shown.append(entry.family)
    if entry.kind == "datasets":
        said = said_of_data(entry)
        shown += [download_in_words(said["download"]), re.split("[:;]", str(said["licence"] or "not said"))[0]]
    if "OUTPUTS" in entry.constants:
        shown.append(", ".join(o.replace("_", "-") for o in entry.constants["OUTPUTS"]))
    origin = [entry.origin] if entry.origin != "genbench" and entry.kind != "datasets" else []
    return [*shown, *origin]
