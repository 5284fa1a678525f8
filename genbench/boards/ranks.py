"""Columns -> standings: the ranks that the data allow each model, for all models of a column at once.

Likelihoods are compared example by example: their errors have the covariance of the values over the test examples,
which a run keeps, and a published board in `replicates.npz`. Other numbers count as independent, by their standard
errors.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from genbench.boards.columns import Board, Column, Standing
from genbench.errors import GenbenchError
from genbench.files import write_atomically
from genbench.numerics.ranks import rank_sets
from genbench.numpy_files import read_arrays
from genbench.run.records import Record, Run
from genbench.space import Space

FILE = "replicates.npz"
PER_EXAMPLE = {"nll": "log_likelihood", "nll-ais": "ais", "nll-ode": "probability_flow"}  # metric: array of log p
OF_SAMPLES = ("fidelity", "diversity", "modes")  # groups in which a copy of the training data says nothing
SAME = 1e-5  # relative: what float32 leaves of a mean


class Replicates:
    """The log-likelihoods of every test example, by the content keys of their arrays."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = list(runs)
        self.packed: dict[str, np.ndarray] = {}
        for run in self.runs:
            if (run.folder / FILE).is_file():
                try:
                    self.packed |= read_arrays(run.folder / FILE)
                except GenbenchError:  # without it, models are compared as if they were independent
                    continue

    def get(self, key: str) -> np.ndarray | None:
        """`[n]` float32, in nats; None where no run has them."""
        if key in self.packed:
            return self.packed[key]
        found = next((arrays for run in self.runs if (arrays := run.get_arrays(key)) is not None), {})
        values = found.get("values")
        return values.astype(np.float32) if values is not None and values.ndim == 1 else None

    def write(self, found: list[Board], path: Path) -> None:
        """Keeps beside a board's records what its ranks need."""
        keys = {key for b in found for c in b.columns for r in c.records.values() if (key := key_of(r))}
        kept = {key: values for key in sorted(keys) if (values := self.get(key)) is not None}
        if kept:
            out = io.BytesIO()
            np.savez(out, allow_pickle=False, **kept)
            write_atomically(path, out.getvalue())


def key_of(record: Record) -> str:
    """The content key of the log-likelihoods behind a value, empty if it rests on none."""
    return record.arrays.get(PER_EXAMPLE.get(record.metric["name"], ""), "")


def rank(found: list[Board], replicates: Replicates) -> None:
    """Gives every column that has a better side the ranks of its models."""
    for b in found:
        copying = {m for c in b.columns for m, r in c.records.items() if r.details.get("flagged")}
        for c in b.columns:
            ranked = {
                model: record
                for model in b.models
                if (record := c.records.get(model))
                and record.status == "ok"
                and b.info[model]["family"] != "reference"
                and not (model in copying and c.group in OF_SAMPLES)
            }
            c.standing = standing(c, ranked, replicates)


def standing(column: Column, ranked: dict[str, Record], replicates: Replicates) -> Standing | None:
    """The ranks of some models of a column; None where fewer than two have a value with a standard error.

    A value that is not finite is worse than any that is.
    """
    ranked = {m: r for m, r in ranked.items() if r.value is None or r.stderr is not None}
    if column.direction not in ("lower", "higher") or len(ranked) < 2 or all(r.value is None for r in ranked.values()):
        return None
    worst = math.inf if column.direction == "lower" else -math.inf
    values = np.array([worst if r.value is None else r.value for r in ranked.values()])
    covariance = paired(list(ranked.values()), values, replicates)
    said = "example by example"
    if covariance is None:
        covariance = np.diag(
            [r.stderr**2 if r.value is not None and r.stderr is not None else 0.0 for r in ranked.values()]
        )
        said = "as if independent"
    sets = rank_sets(values, covariance, direction=column.direction)
    ends = {m: (int(low), int(high)) for m, low, high in zip(ranked, sets.low, sets.high, strict=True)}
    best = [m for m, (low, _) in ends.items() if low == 1]
    best.sort(key=lambda m: values[list(ranked).index(m)], reverse=column.direction == "higher")
    return Standing(ends, tuple(best), said)


def paired(records: list[Record], values: np.ndarray, replicates: Replicates) -> np.ndarray | None:
    """The covariance of mean log-likelihoods over the same examples `[p, p]`, in the unit of the values.

    None where the log-likelihoods of a model are not at hand, or are not those that its value is the mean of.
    """
    finite = np.isfinite(values)
    found = [replicates.get(key) if (key := key_of(r)) and ok else None for r, ok in zip(records, finite, strict=True)]
    rows = [row for row, ok in zip(found, finite, strict=True) if ok and row is not None]
    if len(rows) < finite.sum() or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return None
    per_example = -Space.from_dict(records[0].dataset["space"]).bits_per_dim(1.0) * np.array(rows, np.float64)
    if not np.allclose(per_example.mean(1), values[finite], rtol=SAME, atol=SAME):
        return None
    covariance = np.zeros((len(values), len(values)))
    covariance[np.ix_(finite, finite)] = np.atleast_2d(np.cov(per_example)) / per_example.shape[1]
    return covariance
