"""`genbench new`: a working file to begin with."""

from __future__ import annotations

import argparse
from pathlib import Path

from genbench.cli.arguments import Parser

SUMMARY = "write a working file: a baseline, model, metric, extractor or dataset"


def add_arguments(p: Parser) -> None:
    from genbench.models.scaffold import SCAFFOLDS

    p.add_argument("kind", choices=list(SCAFFOLDS))
    p.add_argument("name")


def run(args: argparse.Namespace) -> int:
    from genbench.models.scaffold import write

    path, commands = write(args.kind, args.name, Path.cwd())
    print(f"{path.name}; try")
    for command in commands:
        print(f"  {command}")
    return 0
