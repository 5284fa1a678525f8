"""Log-likelihoods of data under a model, each labelled exact, bound or estimate.

`log_likelihood` takes the strongest statement that a model can make: its log-probability, else a sum over all of its
few codes, else an importance-weighted bound, else its variational bound, else its mass over an estimated sum. `ais` and
`probability_flow` are methods that are asked for by name. All give a `LogLikelihood`, which says what it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from genbench.blocks import ROWS, Keep, Progress, afresh, silent
from genbench.likelihood.elbo import elbo
from genbench.likelihood.enumerated import can_enumerate, enumerated
from genbench.likelihood.exact import exact, round_trip
from genbench.likelihood.iwae import iwae
from genbench.likelihood.partition import estimated
from genbench.likelihood.result import LogLikelihood
from genbench.models.capabilities import HasElbo, HasLogProb, HasLogWeights, Unnormalised, refusal


def log_likelihood(
    model: Any,
    x: np.ndarray,
    k: int,
    seed: int,
    block_size: int,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> LogLikelihood:
    """log p of every example of `x` `[N, *shape]`, N >= 1.

    Arguments:
        k: importance samples per example, where the model needs them.
        seed, block_size: the noise of examples i * block_size ... is seeded by (seed, i).
        keep: how finished blocks are remembered, see `genbench.blocks`.

    Raises:
        Unavailable: the model has none of log_prob, log_weights, elbo, log_unnormalised.
        ModelError: a log-likelihood has the wrong shape.
    """
    if isinstance(model, HasLogProb):
        found = exact(model, x, device, keep, progress)
    elif can_enumerate(model):
        found = enumerated(model, x, device, keep, progress)
    elif isinstance(model, HasLogWeights):
        found = iwae(model, x, k, seed, block_size, device, keep, progress)
    elif isinstance(model, HasElbo):
        found = elbo(model, x, seed, block_size, device, keep, progress)
    elif isinstance(model, Unnormalised):
        found = estimated(model, x, seed, device, keep, progress)
    else:
        raise refusal("metric 'nll' needs log_prob, log_weights or elbo", model)
    return replace(found, details={**found.details, **round_trip(model, x[:ROWS], device)})
