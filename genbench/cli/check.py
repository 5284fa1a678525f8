"""`genbench check`: a baseline put through the contract."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genbench import catalog
from genbench.cli.arguments import Parser
from genbench.cli.ending import FAILED

SUMMARY = "put a baseline through the contract tests"


def add_arguments(p: Parser) -> None:
    p.add_argument("what", metavar="NAME_OR_FILE", help="a baseline in the catalog, or a plugin file")


def run(args: argparse.Namespace) -> int:
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
