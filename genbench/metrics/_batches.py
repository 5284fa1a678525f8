"""The mean over test examples, also over pieces of one sequence, which depend on each other.

What is hard in a text stays hard over whole scenes: under the shipped LSTM a window of 128 characters of
tinyshakespeare's test text correlates by 0.46 with the next, by 0.32 with the twentieth after it, and an interval that
takes windows for independent is some five times too narrow. So the sequence is cut into 10 batches of consecutive
examples, whose means are taken for independent (Schmeiser, 1982: 10 to 30). Where dependence reaches beyond a batch, a
tenth of the sequence, even this is too narrow (docs/coverage.md); the details give the correlation of neighbouring
batches.

References:
    Batch size effects in the analysis of simulation output (Schmeiser, 1982): batch means and how many.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genbench.metrics import Measure, holding, mean
from genbench.numerics import student
from genbench.numerics.batches import batch_means

METHOD = "t over the means of {} batches of consecutive examples (Schmeiser 1982)"


def mean_of_examples(
    values: np.ndarray,
    sequence: np.ndarray | None,
    kind: str = "estimate",
    least: float = -math.inf,
    most: float = math.inf,
    details: dict[str, Any] | None = None,
    **rest: Any,
) -> Measure:
    """The mean of the values of test examples `[n]`, with an interval that is cut like that of `mean`.

    Arguments:
        sequence: where in one sequence the examples lie `[n]`; None for independent ones.
    """
    details = details or {}
    found = mean(values, kind, least, most, details=details, **rest)
    if sequence is None or found.ci95 is None:
        return found
    means = batch_means(np.asarray(values, np.float64)[np.argsort(sequence, kind="stable")])
    batches = len(means)
    stderr = float(means.std(ddof=1)) / math.sqrt(batches)
    half = student.quantile(0.975, batches - 1) * stderr
    off = means - means.mean()
    squares = float((off**2).sum())
    correlation = float((off[1:] * off[:-1]).sum()) / squares if squares > 0 else 0.0
    details = {**details, "batches": batches, "correlation_of_neighbouring_batches": correlation}
    ci = holding(found.value, found.value - half, found.value + half, least, most)
    return Measure(found.value, kind, stderr, ci, METHOD.format(batches), details=details, **rest)
