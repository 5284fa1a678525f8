"""How well each score of a model tells other data from test data, by what the others are, from a published board.

python tests/metrics/anomalies.py leaderboards/uses digits gated-pixelcnn
"""

from __future__ import annotations

import sys
from pathlib import Path

from tabulate import tabulate

from genbench.boards.seeds import shown_rows
from genbench.run.records import open_run

SCORES = ("likelihood", "complexity", "ratio", "typicality", "reconstruction")


def table(folder: Path, dataset: str, model: str) -> list[list[str]]:
    """A row for every kind of other data: the areas, each with its interval."""
    found: dict[str, dict[str, str]] = {}
    for record in shown_rows([open_run(folder)]):
        score = record.metric["name"].removeprefix("auroc-")
        if score in SCORES and (record.dataset["name"], record.model["name"]) == (dataset, model):
            low, high = record.ci95 or (float("nan"), float("nan"))
            value = f"{record.value:.3f} [{low:.3f}, {high:.3f}]" if record.status == "ok" else "n/a"
            found.setdefault(record.protocol["outside"], {})[score] = value
    return [[kind, *(by_score.get(score, "") for score in SCORES)] for kind, by_score in found.items()]


if __name__ == "__main__":
    folder, dataset, model = Path(sys.argv[1]), *sys.argv[2:]
    rows = table(folder, dataset, model)
    print(tabulate(rows, ["other data", *SCORES], tablefmt="pipe", disable_numparse=True))
