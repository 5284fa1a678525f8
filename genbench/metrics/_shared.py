"""How a value moves with the training examples, which it shares with those of all other models.

Two models that are compared with the same training examples err alike: where these happen to lie close together, both
have the lower precision. Each value says by `PARTS` deviations how it moves with them, and `numerics/joint.py` makes of
those of two models their covariance. What is left out and what is taken is drawn by contents, so that it is the same
for all models.

`of_rows` is for values whose dependence on single rows is known to first order, and leaves out one part after another.
What is quadratic in the rows is counted twice by the first order (`_halves.py`), so it takes the corrected variance
too. `of_halves` is for values that neighbours decide, of which leaving out a few rows shows up to three times the
variance there is: it measures random halves of both sets.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from genbench.numerics.joint import PARTS
from genbench.numerics.points import Points

LARGEST = 5000  # rows: to measure the halves of larger sets takes too long
SEED = 1000  # first of those of this file, away from those of `_groups` and `_inputs`


def of_rows(influence: np.ndarray, y: Points, share: float = 1.0) -> tuple[float, ...]:
    """Of a value that is, to first order, the mean of the influences `[m]` of the rows of y; empty for few rows.

    Arguments:
        share: of the variance that the influences give, how much there is.
    """
    m = len(influence)
    if m < 2 * PARTS:
        return ()
    order = y.remember(("order of parts", SEED), lambda: y.shuffled(SEED))
    parts = [order[g::PARTS] for g in range(PARTS)]
    total = float(influence.sum())
    without = np.array([(total - float(influence[rows].sum())) / (m - len(rows)) for rows in parts])
    return tuple((math.sqrt(share * (PARTS - 1) / PARTS) * (without - without.mean())).tolist())


def of_halves(judged: Callable[[Points, Points], np.ndarray], x: Points, y: Points, at_least: int) -> tuple[float, ...]:
    """Of the mean of `judged(x, y)`; empty for sets that are too large, or too small.

    Arguments:
        at_least: the fewest rows of either set that can be measured with.
    """
    if max(len(x), len(y)) > LARGEST or min(len(x), len(y)) < max(2 * at_least, PARTS):
        return ()
    pairs = zip(halves(x, SEED), halves(y, SEED + PARTS), strict=True)
    values = np.array([judged(a, b).mean() for a, b in pairs], np.float64)
    return tuple(((values - values.mean()) / math.sqrt(PARTS - 1)).tolist())


def halves(x: Points, seed: int) -> list[Points]:
    """`PARTS` random halves: those of n rows vary as n rows do among all that might have been drawn."""
    return x.pieces(
        f"{PARTS} halves from seed {seed}",
        lambda: [x.shuffled(s)[: len(x) // 2] for s in range(seed, seed + PARTS)],
    )
