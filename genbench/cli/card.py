"""`genbench card`: bare weights become a checkpoint."""

from __future__ import annotations

import argparse
from pathlib import Path

from genbench.cli.arguments import Parser, settings_of

SUMMARY = "make a checkpoint of bare weights that fit a baseline"


def add_arguments(p: Parser) -> None:
    p.add_argument("weights", type=Path, metavar="FILE.safetensors", help="weights that fit a baseline")
    p.add_argument("--baseline", required=True, metavar="NAME")
    p.add_argument("--dataset", help="that it was trained on: a name or a path (only the space of digits)")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of the model")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")
    p.add_argument("-o", "--out", type=Path, metavar="OUT.safetensors", required=True)


def run(args: argparse.Namespace) -> int:
    from genbench import datasets
    from genbench.models.checkpoint import with_card
    from genbench.models.training import preset_of

    dataset = datasets.load(args.dataset or "digits", args.data_root)
    options = preset_of(args.baseline, dataset.name, {}).options | settings_of(args.set)
    card = with_card(args.weights, args.out, args.baseline, dataset, options, trained_on_it=args.dataset is not None)
    said = ", ".join(f"{key}={value}" for key, value in card.options.items())
    print(f"{args.out}: {card.baseline} of {card.parameters:,} parameters" + (f", {said}" if said else ""))
    return 0
