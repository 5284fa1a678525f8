"""Discrete latents summed out: log p(x) = log sum_c p(c) p(x|c) over every code c, where there are few enough."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from genbench.models.sampling import to_tensor
from genbench.numerics.logmeanexp import LogMeanExp
from genbench.space import Space

LARGEST = 2**12  # codes: each is decoded once, and scored against every example
CHUNK = 64  # codes scored at once


def can_enumerate(model: Any) -> bool:
    """Whether the model has discrete latents (`latent_space`) of which there are at most 4,096."""
    space = getattr(model, "latent_space", None)
    return isinstance(space, Space) and space.levels is not None and space.levels**space.dim <= LARGEST


@torch.no_grad()
def enumerated(
    model: Any,
    x: np.ndarray,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """log p of every example of `x` `[N, *shape]`, exact: `[N]` float64."""
    space = model.latent_space
    states = np.array(list(itertools.product(range(space.levels), repeat=space.dim)))
    codes = to_tensor(states.reshape(-1, *space.shape), space, device)  # [C, ...]
    log_prior = model.log_prior(codes)  # [C]
    values = []
    for i in range(0, len(x), batch_size):
        batch = to_tensor(x[i : i + batch_size], model.space, device)
        states_of_sum = None
        for part in torch.arange(len(codes), device=device).split(CHUNK):
            pairs = codes[part].repeat_interleave(len(batch), 0)  # [c B, ...]
            log_p = model.log_likelihood(batch.repeat(len(part), *[1] * (batch.dim() - 1)), pairs)
            joint = log_prior[part, None] + log_p.view(len(part), len(batch))  # [c, B]
            state = LogMeanExp.of(joint.double().cpu().numpy())
            states_of_sum = state if states_of_sum is None else states_of_sum.merge(state)
        assert states_of_sum is not None
        values.append(states_of_sum.log_mean + np.log(len(codes)))  # a sum, not a mean
        progress(min(len(x), i + batch_size))
    return np.concatenate(values)
