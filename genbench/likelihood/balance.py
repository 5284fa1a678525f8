"""Does the sampler draw from what is scored? Detailed balance between an observation and a changed one.

Let q(x' | x) be a symmetric change: a value drawn at random goes one level up or down (modulo L), to another word of a
vocabulary, or by +-e on real numbers. With r = p(x') / p(x) and x ~ p,

    E[sign(log r) min(1, r)] = sum_x sum_x' q(x' | x) sign(log p(x')/p(x)) min(p(x), p(x')) = 0,

since the sum changes its sign when x and x' change places. The statistic lies in [-1, 1], so its mean has an honest
interval in any dimension, however wild log p is. If draws are sharper than p (a temperature below 1), changed ones are
less probable more often than they should be, and the mean is below 0; if they are flatter, it is above 0.

It is local: it sees neither the normalisation of p, nor modes that the sampler has dropped, nor the weights of classes,
because no change of one value leads from one to another.

References:
    Equation of state calculations by fast computing machines (Metropolis et al., 1953): min(1, r).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import Unavailable
from genbench.likelihood.exact import checked
from genbench.models.sampling import derive, to_tensor
from genbench.space import Space

PILOT = 200  # training examples that choose the step on real numbers
STEPS = 2.0 ** -np.arange(0, 16)  # of a standard deviation, tried from the largest
HALF = 0.5  # the mean of min(1, r) that a step should have: far from 0 and 1 it says most


@torch.no_grad()
def balance(
    model: Any,
    x: np.ndarray,
    train: np.ndarray,
    seed: int,
    vocabulary: bool = False,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> np.ndarray:
    """sign(log r) min(1, r) of every row of `x` `[n, *shape]`: `[n]` float64.

    Arguments:
        x: draws of the model, or data.
        train: `[m, *shape]`, for the scale of real numbers.
        vocabulary: levels have no order.

    Raises:
        Unavailable: the model has no exact log_prob.
        ModelError: a log-probability is no real number.
    """
    if not callable(getattr(model, "log_prob", None)):
        raise Unavailable("detailed balance needs log_prob")
    space: Space = model.space
    rng = np.random.default_rng(derive(seed, "balance"))
    place, sign = rng.integers(space.dim, size=len(x)), rng.choice([-1, 1], len(x))
    other = rng.integers(1, space.levels, len(x)) if vocabulary and space.levels else None

    def log_ratio(rows: np.ndarray, at: np.ndarray, change: np.ndarray) -> np.ndarray:
        moved = changed(rows, at, change, space)
        log_p = [checked(model.log_prob(to_tensor(a, space, device)), len(a)) for a in (rows, moved)]
        with np.errstate(invalid="ignore"):  # two impossible ones are equally probable
            return np.where(log_p[0] == log_p[1], 0.0, log_p[1] - log_p[0])

    if space.levels is None:
        sd = train.reshape(len(train), -1).std(0)
        pilot = train[: min(PILOT, len(train))]
        at = rng.integers(space.dim, size=len(pilot))
        way = rng.choice([-1, 1], len(pilot))
        tried = ((s, np.exp(np.minimum(log_ratio(pilot, at, s * sd[at] * way), 0)).mean()) for s in STEPS)
        scale = next((s for s, accepted in tried if accepted >= HALF), STEPS[-1])
        change = scale * sd[place] * sign
    else:
        change = sign if other is None else other

    def make(number: int, rows: slice) -> Arrays:
        log_r = log_ratio(x[rows], place[rows], change[rows])
        return {"values": np.sign(log_r) * np.exp(np.minimum(log_r, 0))}

    return in_blocks(len(x), rows_of(space.shape), make, keep, progress)["values"]


def changed(x: np.ndarray, place: np.ndarray, change: np.ndarray, space: Space) -> np.ndarray:
    """The rows of `x` with the value at `place` `[n]` changed by `change` `[n]`, modulo L where there are levels."""
    flat = x.reshape(len(x), -1).copy()
    rows = np.arange(len(x))
    if space.levels is None:
        flat[rows, place] += change.astype(flat.dtype)
    else:
        flat[rows, place] = ((flat[rows, place].astype(np.int64) + change) % space.levels).astype(flat.dtype)
    return flat.reshape(x.shape)
