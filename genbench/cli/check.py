"""`genbench check`: a baseline put through the contract."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from genbench import catalog
from genbench.cli.arguments import Parser
from genbench.cli.ending import FAILED
from genbench.errors import GenbenchError

SUMMARY = "put a baseline through the contract tests"


def add_arguments(p: Parser) -> None:
    p.add_argument("what", metavar="NAME_OR_FILE", help="a baseline in the catalog, or a plugin file")


# How one tries what is no baseline, with the name that the catalog gives to FILE.
TRIED = {
    None: "genbench evaluate FILE:OBJECT, or --extractor FILE:FUNCTION",
    "datasets": "genbench describe NAME --plugin FILE",
    "metrics": "genbench evaluate data:test --metrics NAME --plugin FILE",
    "extractors": "genbench evaluate data:test --metrics fd --extractor NAME --plugin FILE",
    "adapters": "genbench evaluate WHAT --plugin FILE",
}


def refuse_others(path: Path) -> None:
    """
    Raises:
        GenbenchError: a file that is there and defines something else than a baseline.
    """
    kind = catalog.kind_of(path) if path.is_file() else "baselines"
    if kind != "baselines":
        tried = TRIED[kind].replace("NAME", catalog.spelt(path.stem)).replace("FILE", str(path))
        what = f"one of {kind}" if kind else "nothing in the catalog"
        raise GenbenchError(f"{path} is no baseline, which has build(space), but {what}", f"Try it: {tried}")


def run(args: argparse.Namespace) -> int:
    from genbench.models.conformance import check

    name = args.what
    if name.endswith(".py"):
        refuse_others(Path(name))
        catalog.use_plugin(name)
        name = catalog.spelt(Path(name).stem)
    results = check(name)
    for result in results:
        print(
            f"{'ok  ' if result.ok else 'FAIL'}  {result.space:<12}  {result.what}"
            + (f": {result.why}" * (not result.ok))
        )
    failed = sum(not result.ok for result in results)
    print(f"{name}: {len(results) - failed} of {len(results)} checks passed", file=sys.stderr)
    return FAILED if failed else 0
