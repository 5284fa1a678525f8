"""`genbench train`: a baseline becomes a checkpoint."""

from __future__ import annotations

import argparse
import math
import sys
import time
from pathlib import Path

from genbench.cli.arguments import MINUTES, Parser, number, settings_of
from genbench.reading import Count, Seed

SUFFIX = ".safetensors"
SUMMARY = "train a baseline and write its checkpoint"


def add_arguments(p: Parser) -> None:
    p.add_argument("baseline")
    p.add_argument("--dataset", default="digits", help="a name, or a path to a folder, .npz or .npy (digits)")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="an option of model or training")
    p.add_argument("--steps", type=int)
    p.add_argument("--minutes", type=number(MINUTES), default=math.inf, help="stop after so long, annealing in time")
    p.add_argument("--seed", type=number(Seed), default=0)
    p.add_argument("--seeds", type=number(Count), metavar="N", help="N checkpoints, FILE-seed0.safetensors and so on")
    p.add_argument("--device", default="auto")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")
    p.add_argument("-o", "--out", type=Path, metavar="FILE.safetensors")


def run(args: argparse.Namespace) -> int:
    from genbench import datasets
    from genbench.models.training import preset_of, train
    from genbench.run.preflight import pick_device

    settings = settings_of(args.set)
    if args.steps is not None:
        settings["steps"] = args.steps
    preset = preset_of(args.baseline, args.dataset, settings)
    dataset = datasets.load(args.dataset, args.data_root)
    out = args.out or Path(f"{dataset.name}-{args.baseline}.safetensors")
    device = pick_device(args.device)
    seeds = [args.seed] if args.seeds is None else range(args.seed, args.seed + args.seeds)
    for seed in seeds:
        path = out if args.seeds is None else out.with_name(f"{out.name.removesuffix(SUFFIX)}-seed{seed}{SUFFIX}")
        started = time.monotonic()
        card = train(args.baseline, dataset, preset, path, seed, args.minutes, device, args.line)
        reached = ", ".join(f"{k} {v}" for k, v in card.training.items() if k not in ("command", "seed", "environment"))
        size = f"{path}: {card.parameters:,} parameters, {path.stat().st_size / 1000:.0f} kB"
        print("; ".join(filter(None, [size, reached])), flush=True)
        print(f"{time.monotonic() - started:.0f} s", file=sys.stderr)
    return 0
