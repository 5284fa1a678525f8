"""Importance-weighted bounds: log p(x) >= E log 1/K sum_k w_k, with E w = p(x), tighter in K.

References:
    Importance weighted autoencoders (Burda, Grosse, Salakhutdinov, 2016), equation 8.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from genbench.errors import ModelError
from genbench.numerics.logmeanexp import LogMeanExp
from genbench.protocol import HasLogWeights

# Weights drawn at once. Fixed, so that neither memory nor device decides which noise a weight gets.
CHUNK = 50


def importance_weighted(
    model: HasLogWeights, x: torch.Tensor, k: int, generator: Callable[[int], torch.Generator]
) -> LogMeanExp:
    """The state of K log-weights of every example of `x` `[B, *shape]`; memory does not grow with K.

    Arguments:
        generator: of chunk j, which holds weights j * CHUNK ...

    Raises:
        ModelError: the weights are not `[k, B]`.
    """
    state: LogMeanExp | None = None
    for j in range(-(-k // CHUNK)):
        size = min(CHUNK, k - j * CHUNK)
        w = model.log_weights(x, size, generator(j))
        if tuple(w.shape) != (size, len(x)):
            raise ModelError(f"log_weights: expected [{size}, {len(x)}], got {list(w.shape)}")
        part = LogMeanExp.of(w.double().cpu().numpy())
        state = part if state is None else state.merge(part)
    assert state is not None
    return state
