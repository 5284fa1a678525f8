"""`genbench split`: data of one's own in three splits."""

from __future__ import annotations

import argparse
from pathlib import Path

from genbench.cli.arguments import Parser
from genbench.errors import GenbenchError

SUMMARY = "split data of your own into train, validation and test"


def add_arguments(p: Parser) -> None:
    p.add_argument("data", metavar="DATA", help="images (a folder, parquet, .tar), an .npz or an .npy with one array")
    p.add_argument("-o", "--out", type=Path, metavar="OUT.npz", required=True)
    p.add_argument("--test", type=float, default=0.1, metavar="SHARE", help="of the examples (0.1)")
    p.add_argument("--validation", type=float, default=0.1, metavar="SHARE", help="of the examples (0.1)")
    p.add_argument("--seed", type=int, default=0, help="of the permutation (0, that of a file without splits)")


def run(args: argparse.Namespace) -> int:
    from genbench.datasets import SPLITS
    from genbench.datasets._files import asked, split_path, write_npz
    from genbench.query import parted

    for name in ("test", "validation"):
        if not 0 < getattr(args, name) < 1:
            raise GenbenchError(f"--{name} is {getattr(args, name)}", "Give a share between 0 and 1, such as 0.1.")
    if not 0 <= args.seed < 2**32:
        raise GenbenchError(f"--seed is {args.seed}", "Give a whole number from 0 to 2^32 - 1.")
    if args.out.suffix != ".npz":
        raise GenbenchError(f"{args.out} is no .npz", "Name the file of splits: -o FILE.npz.")
    path, given = parted(args.data)
    data = split_path(Path(path), args.test, args.validation, args.seed, asked(given, path))
    write_npz(args.out, data)
    print(f"{args.out}: " + ", ".join(f"{len(data.split(split)):,} {split}" for split in SPLITS))
    return 0
