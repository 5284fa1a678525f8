"""Columns -> standings: the ranks that the data allow each model, for all models of a column at once.

Likelihoods are compared example by example: their errors have the covariance of the values over the test examples (of
pieces of one text, over batches of them), which a run keeps, and a published board in `replicates.npz`. Of samples
that are compared with training examples a run keeps how values move with these, which all models share: see
`metrics/_shared.py`. Other numbers count as independent, by their standard errors. A standing says on which of the
three it rests. How well the variance of a difference is known, its degrees of freedom, comes of its parts: test
examples, training seeds, and what the interval of a value says of its own standard error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from genbench.boards.columns import Board, Column, Standing
from genbench.numerics.batches import batch_means
from genbench.numerics.intervals import spread
from genbench.numerics.joint import joint
from genbench.numerics.ranks import freedoms, rank_sets
from genbench.run.records import SHARED, Record, Run, example_values
from genbench.space import Space

# metric: array of log p
PER_EXAMPLE = {"nll": "log_likelihood", "nll-stream": "stream", "nll-ais": "ais", "nll-ode": "probability_flow"}
OF_SAMPLES = ("fidelity", "diversity", "modes")  # groups in which a copy of the training data says nothing
EXAMPLES, TRAINING, ALONE = "example by example", "with the training examples that they share", "as if independent"
SAME = 1e-5  # relative: what float32 leaves of a mean


@dataclass
class Row(Record):
    """The record of a row of several checkpoints, which stands nowhere on disk.

    Arguments:
        behind: the content keys of the arrays behind the values of its checkpoints, by artifact.
        between: the part of its variance that is between them.
        freedom: the degrees of freedom of its variance, which few checkpoints leave small.
    """

    behind: dict[str, list[str]] = field(default_factory=dict)
    between: float = 0.0
    freedom: float = math.inf


def per_example(record: Record, runs: list[Run]) -> np.ndarray | None:
    """The log-likelihoods behind a value `[n]`, in nats; None if it rests on none, or no run keeps them.

    In float32, as a published board has them, so that its page is that of the run. Of a row of several checkpoints it
    is the mean over them.
    """
    artifact = PER_EXAMPLE.get(record.metric["name"])
    return kept(record, artifact, runs) if artifact else None


def kept(record: Record, artifact: str, runs: list[Run]) -> np.ndarray | None:
    """One of the arrays behind a value, or the mean of those behind the values of its checkpoints."""
    keys = record.behind.get(artifact, [""]) if isinstance(record, Row) else [record.arrays.get(artifact, "")]
    found = [example_values(runs, key) for key in keys if key]
    rows = [values.astype(np.float32) for values in found if values is not None]
    if not rows or len(rows) < len(keys) or len({len(row) for row in rows}) > 1:
        return None
    return rows[0] if len(rows) == 1 else np.mean(np.array(rows, np.float64), axis=0)


def rank(found: list[Board], runs: list[Run], some: Callable[[Board], list[Column]] | None = None) -> None:
    """Gives every column that has a better side the ranks of its models.

    Arguments:
        some: names those columns of a board that are to have them, where not all are.
    """
    for b in found:
        copying = {m for c in b.columns for m, r in c.records.items() if r.details.get("flagged")}
        for c in some(b) if some else b.columns:
            ranked = {
                model: record
                for model in b.models
                if (record := c.records.get(model))
                and record.status == "ok"
                and b.info[model]["family"] != "reference"
                and not (model in copying and c.group in OF_SAMPLES)
            }
            c.standing = standing(c, ranked, runs)


def standing(column: Column, ranked: dict[str, Record], runs: list[Run]) -> Standing | None:
    """The ranks of some models of a column; None where fewer than two have a value with a standard error.

    A value that is not finite is worse than any that is. Beside values that certify how good a model is at least, a
    bound on the other side of the truth has no rank: the model may be as much worse as it likes.
    """
    ranked = {m: r for m, r in ranked.items() if r.value is None or r.stderr is not None}
    hopeful = flattering(ranked, column.direction)
    ranked = {m: r for m, r in ranked.items() if m not in hopeful}
    if column.direction not in ("lower", "higher") or len(ranked) < 2 or all(r.value is None for r in ranked.values()):
        return None
    worst = math.inf if column.direction == "lower" else -math.inf
    values = np.array([worst if r.value is None else r.value for r in ranked.values()])
    found, said = paired(list(ranked.values()), values, runs), EXAMPLES
    if found is None:
        found, said = of_training(list(ranked.values()), runs), TRAINING
    if found is None:
        found, said = independent(list(ranked.values())), ALONE
    sets = rank_sets(values, found.covariance, direction=column.direction, freedom=found.freedom)
    ends = {m: (int(low), int(high)) for m, low, high in zip(ranked, sets.low, sets.high, strict=True)}
    best = [m for m, (low, _) in ends.items() if low == 1]
    best.sort(key=lambda m: values[list(ranked).index(m)], reverse=column.direction == "higher")
    return Standing(ends, tuple(best), said)


def flattering(records: Mapping[str, Record], direction: str) -> list[str]:
    """The models whose values are bounds that say only how good they are at most, beside others that say more."""
    side = "lower_bound" if direction == "lower" else "upper_bound"
    found = [model for model, record in records.items() if record.kind == side]
    return found if len(found) < len(records) else []


class Errors(NamedTuple):
    """Those of several values: their covariance `[p, p]`, and the degrees of freedom of every difference `[p, p]`."""

    covariance: np.ndarray
    freedom: np.ndarray


def spread_of(record: Record) -> tuple[float, float]:
    """The standard error of a value and its degrees of freedom; 0 of a value that is not there, or not finite."""
    if record.value is None or record.stderr is None:
        return 0.0, math.inf
    return (record.stderr, record.freedom) if isinstance(record, Row) else spread(record.stderr, record.ci95)


def independent(records: list[Record]) -> Errors:
    """The errors of values that share nothing."""
    stderr, freedom = np.array([spread_of(r) for r in records]).T
    covariance = np.diag(stderr**2)
    return Errors(
        covariance, freedoms(covariance, (np.zeros_like(covariance), math.inf), (stderr[:, None] ** 2, freedom))
    )


def of_training(records: list[Record], runs: list[Run]) -> Errors | None:
    """The errors of values that move with the same training examples; None where one says nothing of it.

    A standard error of 0 is of a value that moves with nothing.
    """
    moving = np.array([r.value is not None and (r.stderr or 0.0) > 0 for r in records])
    found = [kept(r, SHARED, runs) for r, ok in zip(records, moving, strict=True) if ok]
    rows = [row for row in found if row is not None]
    if len(rows) < moving.sum() or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return None
    deviations = np.zeros((len(records), len(rows[0])))
    deviations[moving] = rows
    stderr, freedom = np.array([spread_of(r) for r in records]).T
    covariance, shared = joint(stderr, deviations)
    own = np.maximum(stderr[:, None] ** 2 - shared, 0)  # the better two values agree, the less one's spread decides
    return Errors(covariance, freedoms(covariance, (shared, len(rows[0]) - 1), (own, freedom)))


def paired(records: list[Record], values: np.ndarray, runs: list[Run]) -> Errors | None:
    """The errors of mean log-likelihoods over the same examples, in the unit of the values.

    Of pieces of one sequence, which depend on each other, they are those of the means of batches. A row of several
    checkpoints has the variance between them as well, which it shares with no other.
    None where the log-likelihoods of a model are not at hand, or are not those that its value is the mean of.
    """
    finite = np.isfinite(values)
    found = [per_example(r, runs) if ok else None for r, ok in zip(records, finite, strict=True)]
    rows = [row for row, ok in zip(found, finite, strict=True) if ok and row is not None]
    if len(rows) < finite.sum() or len({len(row) for row in rows}) != 1 or len(rows[0]) < 2:
        return None
    bits = -Space.from_dict(records[0].dataset["space"]).bits_per_dim(1.0) * np.array(rows, np.float64)
    if not np.allclose(bits.mean(1), values[finite], rtol=SAME, atol=SAME):
        return None
    if all("batches" in record.details for record in records):
        bits = batch_means(bits)
    n, p = bits.shape[1], len(values)
    examples, between, trainings = np.zeros((p, p)), np.zeros(p), np.full(p, math.inf)
    examples[np.ix_(finite, finite)] = np.atleast_2d(np.cov(bits)) / n
    for i, r in enumerate(records):
        if isinstance(r, Row) and finite[i]:
            between[i], trainings[i] = r.between, len(r.details["seeds"]) - 1
    covariance = examples + np.diag(between)
    return Errors(covariance, freedoms(covariance, (examples, n - 1), (between[:, None], trainings)))
