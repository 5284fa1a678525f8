"""`genbench statistics`: the moments of features as a file that others can compare their samples with."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from genbench.cli.arguments import Parser, add_batch_size, by_extractor
from genbench.errors import GenbenchError

SUMMARY = "write the statistics of data or samples (mu, sigma), for --reference"


def add_arguments(p: Parser) -> None:
    p.add_argument("data", metavar="DATASET", help="a name, a path to a folder, .npz or .npy, or samples:PATH")
    p.add_argument("-o", "--out", type=Path, metavar="FILE.npz", required=True)
    p.add_argument("--extractor", help="a name, or a function in code as FILE.py:NAME (that of the dataset's suite)")
    p.add_argument(
        "--extractor-weights", action="append", default=[], metavar="[NAME=]FILE", help="weights that do not ship"
    )
    p.add_argument("--split", choices=["train", "validation", "test"], default="train", help="of a dataset (train)")
    p.add_argument("--features", action="store_true", help="the features too, for metrics that need rows")
    add_batch_size(p)
    p.add_argument("--device", default="auto")
    p.add_argument("--plugin", action="append", metavar="MODULE_OR_FILE")
    p.add_argument("--data-root", type=Path, help="folder of data sets (GENBENCH_DATA)")
    p.add_argument("--offline", action="store_true", help="download nothing")


def run(args: argparse.Namespace) -> int:
    from genbench.run.plan import hyphenated
    from genbench.run.preflight import pick_device
    from genbench.run.protocol import suite_for
    from genbench.run.statistics import images_of, made, write

    if args.offline:
        os.environ["GENBENCH_OFFLINE"] = "1"
    if args.out.suffix != ".npz":
        raise GenbenchError(f"{args.out} is no .npz", "Name the file of statistics: -o FILE.npz.")
    images, described = images_of(args.data, args.split, args.data_root)
    name = hyphenated(args.extractor or suite_for(None, described.dataset or "").extractor)
    weights = by_extractor(args.extractor_weights, name).get(name)
    found = made(images, described, name, weights, pick_device(args.device), args.batch_size, args.features)
    write(args.out, found)
    print(
        f"{args.out}: {len(images):,} images, {len(found['mu'])} features of {name}"
        + ", with the features themselves" * args.features
    )
    return 0
