"""Discrete latents summed out: log p(x) = log sum_c p(c) p(x|c) over every code c, where there are few enough."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import ModelError
from genbench.likelihood.at_most_one import refuse_above_one, refuse_mass_above_one
from genbench.likelihood.exact import unsteady
from genbench.likelihood.result import LogLikelihood
from genbench.models import steady
from genbench.models.sampling import real, to_tensor
from genbench.numerics.logmeanexp import LogMeanExp
from genbench.space import Space

LARGEST = 2**12  # codes: each is decoded once, and scored against every example
CHUNK = 64  # codes scored at once
ROUNDING = 1e-5  # nats by which the logarithm of all codes' mass may be above 0: that of 4,096 float32 logarithms


def can_enumerate(model: Any) -> bool:
    """Whether the model has discrete latents (`latent_space`) of which there are at most 4,096."""
    space = getattr(model, "latent_space", None)
    return isinstance(space, Space) and space.levels is not None and space.levels**space.dim <= LARGEST


@torch.no_grad()
def enumerated(
    model: Any,
    x: np.ndarray,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> LogLikelihood:
    """log p of every example of `x` `[N, *shape]`, exact.

    Raises:
        ModelError: the codes have more mass than 1, or p(x|c) is that of integers and above 1; or the wrong shape; or
            p(x|c) changes when it is asked for again, or with the examples beside x.
    """
    space = model.latent_space
    states = np.array(list(itertools.product(range(space.levels), repeat=space.dim)))
    codes = to_tensor(states.reshape(-1, *space.shape), space, device)  # [C, ...]
    log_prior = real(model.log_prior(codes), (len(codes),), "log_prior")  # [C]
    mass = float(np.logaddexp.reduce(log_prior.double().cpu().numpy()))
    if mass > ROUNDING * space.dim:
        raise ModelError(f"log_prior: the {len(codes)} codes have a mass of exp({mass:.4g}) together, above 1")

    def score(examples: np.ndarray) -> np.ndarray:
        """log sum over the codes for each of some examples `[B, *shape]`: `[B]`."""
        batch, mean = to_tensor(examples, model.space, device), None
        for part in torch.arange(len(codes), device=device).split(CHUNK):
            pairs = codes[part].repeat_interleave(len(batch), 0)  # [c B, ...]
            repeated = batch.repeat(len(part), *[1] * (batch.dim() - 1))  # [c B, ...]
            log_p = real(model.log_likelihood(repeated, pairs), (len(pairs),), "log_likelihood")
            refuse_above_one(log_p.double().cpu().numpy(), model.space, "log_likelihood of a code")
            joint = log_prior[part, None] + log_p.view(len(part), len(batch))  # [c, B]
            state = LogMeanExp.of(joint.double().cpu().numpy())
            mean = state if mean is None else mean.merge(state)
        assert mean is not None
        return mean.log_mean + np.log(len(codes))  # a sum, not a mean

    def make(number: int, rows: slice) -> Arrays:
        return {"values": score(x[rows])}

    rows = in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)
    refuse_mass_above_one(rows["values"], x, model.space, "log_likelihood of a code")
    warnings = unsteady(steady.change(score, x, rows["values"], model.space.dim), "exact", "log_likelihood of a code")
    return LogLikelihood.of(rows, "exact", "sum over all codes", warnings=warnings)
