"""`genbench env`: versions, device and threads."""

from __future__ import annotations

import argparse
import json

from genbench.cli.arguments import Parser

SUMMARY = "versions, device and threads, as records keep them"


def add_arguments(p: Parser) -> None:
    p.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    from genbench.environment import environment
    from genbench.run.preflight import pick_device

    found = environment(pick_device("auto"))
    if args.json:
        print(json.dumps(found, indent=1))
        return 0
    wide = max(map(len, found))
    for key, value in found.items():
        print(f"{key:<{wide}} {', '.join(f'{k} {v}' for k, v in value.items()) if isinstance(value, dict) else value}")
    return 0
