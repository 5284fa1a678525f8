"""Dequantisation: a density q on the cube gives integers the probability P(x) = E_u q(x + u), u uniform on [0,1)^D.

By Jensen log-mean-exp over K draws of log q(x+u) is in expectation a lower bound on log P(x),
tighter in K: u is a latent variable whose posterior is approximated by its prior.

References:
    A note on the evaluation of generative models (Theis, van den Oord, Bethge, 2016), section 3.1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator, Tensor, nn

from genbench.space import Space


class Dequantised(nn.Module):
    """A density on real numbers as a model of integers.

    Arguments:
        density: a model of the real-valued space of the same shape, with `log_prob` and `sample`.
        levels: L; integers 0..L-1 live on [0, L).
    """

    def __init__(self, density: Any, levels: int) -> None:
        super().__init__()
        self.density = density
        self.space = Space(density.space.shape, levels)

    def dequantise(self, x: Tensor, generator: Generator) -> Tensor:
        """x + u: `[B, *shape]` int64 -> float32 on [0, L)."""
        return x.float() + torch.rand(x.shape, generator=generator, device=x.device)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The bound with one draw, in nats."""
        return -self.density.log_prob(self.dequantise(x, generator)).mean()

    def log_weights(self, x: Tensor, k: int, generator: Generator) -> Tensor:
        """log q(x + u_k): `[B, *shape]` -> `[k, B]`."""
        y = self.dequantise(x.repeat(k, *[1] * (x.dim() - 1)), generator)  # [k B, *shape]
        return self.density.log_prob(y).view(k, len(x))

    def sample(self, n: int, generator: Generator) -> Tensor:
        """floor(y), y from the density; mass outside [0, L) goes to the edge levels."""
        assert self.space.levels is not None
        return self.density.sample(n, generator).floor().clamp(0, self.space.levels - 1).long()
