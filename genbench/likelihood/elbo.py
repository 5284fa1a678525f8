"""The variational bound that a model gives of itself: one unbiased draw for each example, whose exp is no weight."""

from __future__ import annotations

import numpy as np
import torch

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, silent
from genbench.likelihood.at_most_one import above_one
from genbench.likelihood.exact import checked, unsteady
from genbench.likelihood.result import LogLikelihood
from genbench.models import steady
from genbench.models.capabilities import HasElbo
from genbench.models.sampling import seeded, to_tensor


@torch.no_grad()
def elbo(
    model: HasElbo,
    x: np.ndarray,
    seed: int,
    block_size: int,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> LogLikelihood:
    """The bound on log p of every example of `x` `[N, *shape]`.

    Arguments:
        seed, block_size: the noise of examples i * block_size ... is seeded by (seed, i).

    Raises:
        ModelError: a bound has the wrong shape.
    """

    def ask(examples: np.ndarray, number: int = 0) -> np.ndarray:
        block = to_tensor(examples, model.space, device)
        return checked(model.elbo(block, seeded(seed, "elbo", number, device=device)), len(block))

    def make(number: int, rows: slice) -> Arrays:
        return {"values": ask(x[rows], number)}

    rows = in_blocks(len(x), block_size, make, keep, progress)
    warnings, details = above_one(rows["values"], model.space, x), getattr(model, "elbo_details", {})
    warnings += unsteady(steady.change_of_draws(ask, x, model.space.dim), "lower_bound", "elbo")
    return LogLikelihood.of(rows, "lower_bound", "variational bound", details=dict(details), warnings=warnings)
