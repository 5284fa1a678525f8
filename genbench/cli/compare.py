"""`genbench compare`: two runs, models or profiles."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from genbench.cli.arguments import Parser
from genbench.cli.ending import FAILED, INCOMPARABLE, TRIPPED, name_unreadable

SUMMARY = "two runs, models or profiles, with intervals or tests"


def add_arguments(p: Parser) -> None:
    p.add_argument("base", metavar="BASE", help="RUN, or RUN:MODEL, or a profile's FILE.json")
    p.add_argument("new", metavar="NEW", help="the same kind")
    p.add_argument("--fail-if", action="append", default=[], metavar="METRIC:+2%", help="exit 3 if it changed so far")
    p.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
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
        for one in gate.undecided(found.differences):
            print(f"warning: gate {gate.text} cannot judge {one.said}", file=sys.stderr)
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
