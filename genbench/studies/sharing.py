"""How much do the errors of models share that are compared with the same training examples?

    genbench evaluate --suite digits --metrics fd,fd-infinity,kd,precision,recall,density,coverage -o RUN
    python -m genbench.studies.sharing RUN

prints, for every column whose values say how they move with the training examples (`metrics/_shared.py`), the
correlation of the errors of two models, and the mean number of ranks in a set: as if they were independent, and with
what they share.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tabulate import tabulate

from genbench.boards.columns import Board, Column, boards
from genbench.boards.ranks import TRAINING, kept, rank
from genbench.boards.seeds import shown_rows
from genbench.run.records import SHARED, Run, open_run

HEADERS = ["metric", "models", "correlation", "5 %", "95 %", "ranks if independent", "ranks"]


def of_column(column: Column, runs: list[Run]) -> list[str] | None:
    """A row of the table; None where nothing is shared."""
    standing = column.standing
    if standing is None or standing.said != TRAINING:
        return None
    records = [column.records[m] for m in standing.ranks]
    found = [(kept(r, SHARED, runs), r.stderr) for r in records]
    correlations = np.array([e / stderr for e, stderr in found if e is not None and stderr])
    pairs = (correlations @ correlations.T)[np.triu_indices(len(correlations), 1)]
    rank([Board("", list(standing.ranks), [column], {m: {"family": ""} for m in standing.ranks})], [])
    alone, column.standing = column.standing, standing
    sizes = [np.mean([1 + high - low for low, high in s.ranks.values()]) for s in (alone, standing) if s]
    numbers = [pairs.mean(), *np.quantile(pairs, [0.05, 0.95])]
    return [column.name, str(len(records)), *(f"{x:.2f}" for x in numbers), *(f"{x:.1f}" for x in sizes)]


def table(runs: list[Run]) -> str:
    found = boards(shown_rows(runs))
    rank(found, runs)
    rows = [row for b in found for c in b.columns if (row := of_column(c, runs))]
    return tabulate(rows, HEADERS, tablefmt="pipe", disable_numparse=True)


if __name__ == "__main__":
    print(table([open_run(Path(path)) for path in sys.argv[1:]]))
