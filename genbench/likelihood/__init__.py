"""Log-likelihoods of data under a model, each labelled exact, lower bound or estimate.

`log_likelihood` takes the strongest statement a model can make: its log-probability, else an
importance-weighted bound, else its variational bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from genbench.errors import ModelError, Unavailable
from genbench.likelihood.enumerated import can_enumerate, enumerated
from genbench.likelihood.iwae import Bound, importance_weighted
from genbench.models.capabilities import HasElbo, HasLogProb, HasLogWeights, capabilities
from genbench.models.sampling import seeded, to_tensor

Progress = Callable[[int], None]


@dataclass(frozen=True)
class LogLikelihood:
    """log p(x), or a statement about it, for every example, in nats.

    Arguments:
        values: `[N]` float64. For a lower bound, an unbiased draw of the bound.
        kind: "exact", "lower_bound" or "estimate" of log p.
        method: how, in words.
        mc_stderr: `[N]` Monte Carlo standard error of each value, where there is one.
        ess: `[N]` effective sample size of the importance weights, where there are any.
        bias: `[N]` estimated bias of the bound, at most 0.
        jackknife: `[N]` estimates of log p with less bias, which are no bounds.
        curve_k, curve: `[c]` and `[c, N]`: the bound for fewer weights, from the same pass.
        round_trip: the largest round-trip error of a flow, in units of the space.
    """

    values: np.ndarray
    kind: str
    method: str
    mc_stderr: np.ndarray | None = None
    ess: np.ndarray | None = None
    bias: np.ndarray | None = None
    jackknife: np.ndarray | None = None
    curve_k: np.ndarray | None = None
    curve: np.ndarray | None = None
    round_trip: float | None = None


@torch.no_grad()
def log_likelihood(
    model: Any,
    x: np.ndarray,
    k: int,
    seed: int,
    block_size: int,
    batch_size: int,
    device: torch.device | str = "cpu",
    progress: Progress = lambda done: None,
) -> LogLikelihood:
    """log p of every example of `x` `[N, *shape]`.

    Arguments:
        k: importance samples per example, where the model needs them.
        seed, block_size: the noise of examples i * block_size ... is seeded by (seed, i).
        batch_size: examples at once where there is no noise; changes rounding only.

    Raises:
        Unavailable: the model has none of log_prob, log_weights, elbo.
        ModelError: a log-likelihood has the wrong shape.
    """
    if isinstance(model, HasLogProb):
        values = exact(model, x, batch_size, device, progress)
        return LogLikelihood(values, "exact", "log_prob", round_trip=round_trip(model, x, batch_size, device))
    if can_enumerate(model):
        return LogLikelihood(enumerated(model, x, batch_size, device, progress), "exact", "sum over all codes")
    if not isinstance(model, HasLogWeights | HasElbo):
        provided = ", ".join(capabilities(model)) or "fixed samples"
        raise Unavailable(f"metric 'nll' needs log_prob, log_weights or elbo; the model provides: {provided}")
    blocks, bounds = [], []
    for i in range(-(-len(x) // block_size)):
        block = to_tensor(x[i * block_size : (i + 1) * block_size], model.space, device)
        if isinstance(model, HasLogWeights):
            bound = importance_weighted(model, block, k, partial(chunk_seed, seed, i, device))
            bounds.append(bound)
        else:
            blocks.append(checked(model.elbo(block, seeded(seed, "elbo", i, device=device)), len(block)))
        progress(min(len(x), (i + 1) * block_size))
    if bounds:
        return replace(of_bounds(bounds, k), round_trip=round_trip(model, x, batch_size, device))
    return LogLikelihood(np.concatenate(blocks), "lower_bound", "variational bound")


def of_bounds(bounds: list[Bound], k: int) -> LogLikelihood:
    """The blocks' bounds as one."""
    return LogLikelihood(
        values=np.concatenate([b.state.log_mean for b in bounds]),
        kind="lower_bound",
        method=f"log-mean-exp of {k} weights",
        mc_stderr=np.concatenate([np.sqrt(b.state.variance) for b in bounds]),
        ess=np.concatenate([b.state.ess for b in bounds]),
        bias=np.concatenate([b.bias for b in bounds]),
        jackknife=None if k == 1 else np.concatenate([b.jackknife for b in bounds if b.jackknife is not None]),
        curve_k=np.array(list(bounds[0].curve)),
        curve=np.stack([np.concatenate([b.curve[size] for b in bounds]) for size in bounds[0].curve]),
    )


def chunk_seed(seed: int, block: int, device: Any, chunk: int) -> torch.Generator:
    return seeded(seed, "weights", block, chunk, device=device)


def exact(model: HasLogProb, x: np.ndarray, batch_size: int, device: Any, progress: Progress) -> np.ndarray:
    """log p(x) in one deterministic pass, `[N]`."""
    values = []
    for i in range(0, len(x), batch_size):
        batch = to_tensor(x[i : i + batch_size], model.space, device)
        values.append(checked(model.log_prob(batch), len(batch)))
        progress(min(len(x), i + batch_size))
    return np.concatenate(values)


def round_trip(model: Any, x: np.ndarray, batch_size: int, device: Any) -> float | None:
    """The largest |f^-1(f(x)) - x| of a flow, over the first batch; None for other models.

    The density is exact for the map that was computed; this is how far its inverse, the sampler, is from it.
    """
    flow = getattr(model, "density", model)  # under dequantisation
    if not hasattr(flow, "round_trip_error"):
        return None
    y = to_tensor(x[:batch_size], model.space, device).float()
    middle = 0.0 if model.space.levels is None else 0.5  # of a cell
    return float(flow.round_trip_error(y + middle).max())


def checked(log_p: torch.Tensor, n: int) -> np.ndarray:
    """A model's answer as float64 `[n]`."""
    if tuple(log_p.shape) != (n,):
        raise ModelError(f"log-likelihood: expected [{n}], got {list(log_p.shape)}")
    return log_p.double().cpu().numpy()
