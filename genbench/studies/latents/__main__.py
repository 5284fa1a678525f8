"""Measures the variance of gradients into docs/latents.jsonl, and makes docs/latents.md and its plot of records."""

from __future__ import annotations

import argparse
from pathlib import Path

from tqdm import tqdm

from genbench.studies.latents.gradients import MODELS, STEPS, measure
from genbench.studies.latents.tables import PAGE, PLOT, RECORDS, page, plot, read


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m genbench.studies.latents")
    parser.add_argument("--measure", action="store_true", help=f"gradients anew, into {RECORDS}; half a minute")
    parser.add_argument("--root", type=Path, default=Path(), help="the clone, by default the folder that you are in")
    given = parser.parse_args()
    if given.measure:
        lines = [v.line() + "\n" for v in tqdm(measure(), total=len(STEPS) * (3 * len(MODELS) - 1), unit="variances")]
        (given.root / RECORDS).write_text("".join(lines), encoding="utf-8")
    (given.root / PLOT).write_bytes(plot(read(given.root / RECORDS)))
    (given.root / PAGE).write_text(page(given.root), encoding="utf-8")


if __name__ == "__main__":
    main()
