"""Columns -> standings: the ranks that the data allow each model, for all models of a column at once.

Likelihoods are compared example by example: their errors have the covariance of the values over the test examples,
which a run keeps, and a published board in `replicates.npz`. Other numbers count as independent, by their standard
errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from genbench.boards.columns import Board, Column, Standing
from genbench.numerics.ranks import rank_sets
from genbench.run.records import Record, Run
from genbench.space import Space

PER_EXAMPLE = {"nll": "log_likelihood", "nll-ais": "ais", "nll-ode": "probability_flow"}  # metric: array of log p
OF_SAMPLES = ("fidelity", "diversity", "modes")  # groups in which a copy of the training data says nothing
SAME = 1e-5  # relative: what float32 leaves of a mean


class Replicates:
    """The log-likelihoods of every test example, by the content keys of their arrays."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self.runs = list(runs)

    def get(self, key: str) -> np.ndarray | None:
        """`[n]` float32, as a published board keeps them, in nats; None where no run has them."""
        found = next((v for run in self.runs if (v := run.example_values(key)) is not None), None)
        return found.astype(np.float32) if found is not None and found.ndim == 1 else None

    def behind(self, record: Record) -> tuple[np.ndarray | None, float]:
        """Of every test example what a value is the mean of, `[n]` in nats, and the variance that is not of examples.

        A row of several checkpoints has the mean over them, and the variance between them.
        """
        keys = record.details.get("arrays", [key_of(record)])
        found = [values for key in keys if key and (values := self.get(key)) is not None]
        if not found or len(found) < len(keys) or len({len(values) for values in found}) > 1:
            return None, 0.0
        return np.mean(np.array(found, np.float64), axis=0), record.details.get("between_variance", 0.0)


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
    found = [replicates.behind(r) for r, ok in zip(records, finite, strict=True) if ok]
    rows = [row for row, _ in found if row is not None]
    if len(rows) < finite.sum() or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return None
    per_example = -Space.from_dict(records[0].dataset["space"]).bits_per_dim(1.0) * np.array(rows, np.float64)
    if not np.allclose(per_example.mean(1), values[finite], rtol=SAME, atol=SAME):
        return None
    covariance = np.zeros((len(values), len(values)))
    of_examples = np.atleast_2d(np.cov(per_example)) / per_example.shape[1]
    covariance[np.ix_(finite, finite)] = of_examples + np.diag([between for _, between in found])
    return covariance
