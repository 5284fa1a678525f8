"""Prints the tables of docs/coverage.md."""

from __future__ import annotations

import argparse

from tabulate import tabulate
from tqdm import tqdm

from genbench.errors import unknown
from genbench.studies.calibration import Case, Row, distances, likelihoods, neighbours, ranks, shares, simulate, uses

FAMILIES = {
    "Likelihoods": likelihoods.cases,
    "Distances and scores": distances.cases,
    "Neighbours": neighbours.cases,
    "Shares and means": shares.cases,
    "Rank sets": ranks.cases,
    "Representations and uses": uses.cases,
}
HEADERS = ["output", "data", "n", "truth", "known by", "coverage, %"]


def table(rows: list[Row]) -> str:
    cells = [[r.output, r.case.what, r.case.n, f"{r.truth.value:.4g}", r.truth.known, shown(r)] for r in rows]
    alignment = ("left", "left", "right", "right", "left", "right")
    return tabulate(cells, HEADERS, tablefmt="pipe", colalign=alignment, disable_numparse=True)


def shown(row: Row) -> str:
    """The coverage and its error; in bold where it is outside the band."""
    text = f"{row.coverage:.1f} ±{row.error:.1f}" + (f", {row.without} without" if row.without else "")
    return f"**{text}, {row.outside} {row.band[0]}-{row.band[1]}**" if row.outside else text


def chosen(only: str | None) -> dict[str, list[Case]]:
    """The cases by family: all, or those of one output.

    Raises:
        GenbenchError: no case has that output.
    """
    families = {name: make() for name, make in FAMILIES.items()}
    known = {output for cases in families.values() for case in cases for output in case.outputs}
    if only is not None and only not in known:
        raise unknown("output", only, known)
    found = {name: [c for c in cases if only is None or only in c.outputs] for name, cases in families.items()}
    return {name: cases for name, cases in found.items() if cases}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m genbench.studies.calibration")
    parser.add_argument("--only", metavar="NAME", help="the cases of one output")
    parser.add_argument("--replicates", type=int, metavar="N", help="of every case, in place of its own number")
    given = parser.parse_args()
    families = chosen(given.only)
    total = sum(given.replicates or case.replicates for cases in families.values() for case in cases)
    with tqdm(total=total, unit="replicates") as bar:
        for name, cases in families.items():
            rows = []
            for case in cases:
                bar.set_description(case.outputs[0])
                rows += simulate(case, given.replicates, progress=bar.update)
            print(f"\n## {name}\n\n{table(rows)}", flush=True)


if __name__ == "__main__":
    main()
