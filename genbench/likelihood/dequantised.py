"""Dequantisation: a density q on the cube gives integers the probability P(x) = int q(x + u) du over u in [0,1)^D.

With noise drawn from a distribution r(u|x), P(x) = E_r q(x + u) / r(u|x): u is a latent variable and r
approximates its posterior q(x + u) / P(x). By Jensen log-mean-exp over K draws of

    log w = log q(x + u) - log r(u|x),    u ~ r(u|x)

is in expectation a lower bound on log P(x), tighter in K, and for K = 1 tight exactly where r is the
posterior. `Dequantised` takes r = 1, the uniform density, which asks q to be flat in every cell where
the bound is to be tight; `VariationallyDequantised` learns r together with q.

References:
    A note on the evaluation of generative models (Theis, van den Oord, Bethge, 2016), section 3.1.
    Flow++ (Ho, Chen, Srinivas, Duan, Abbeel, 2019), section 3.1, equation 12, for a learned r.
    Learning discrete distributions by dequantization (Hoogeboom, Cohen, Tomczak, 2020), for K > 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench.numerics.normal import log_normal
from genbench.space import Space

MOST = 2**16  # levels: above, float32 leaves the noise in a cell fewer than 256 places


class Dequantisation(nn.Module, ABC):
    """A density on real numbers as a model of integers, whatever the noise.

    Arguments:
        density: a model of the real-valued space of the same shape, with `log_prob` and `sample`.
        levels: L, at most 65,536; integers 0..L-1 live on [0, L).
    """

    def __init__(self, density: Any, levels: int) -> None:
        super().__init__()
        if levels > MOST:
            raise ValueError(f"{levels} levels cannot be dequantised in float32: at most {MOST}")
        self.density = density
        self.space = Space(density.space.shape, levels)

    @abstractmethod
    def log_weights(self, x: Tensor, k: int, generator: Generator) -> Tensor:
        """log q(x + u_k) - log r(u_k|x): `[B, *shape]` int64 -> `[k, B]`."""

    def initialise(self, x: Tensor, generator: Generator) -> None:
        """Shows some data, with uniform noise, to a density that asks for them before its training."""
        if hasattr(self.density, "initialise"):
            self.density.initialise(x.float() + torch.rand(x.shape, generator=generator, device=x.device), generator)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The bound with one draw, in nats."""
        return -self.log_weights(x, 1, generator).mean()

    def sample(self, n: int, generator: Generator) -> Tensor:
        """floor(y), y from the density; mass outside [0, L) goes to the edge levels."""
        assert self.space.levels is not None
        return self.density.sample(n, generator).floor().clamp(0, self.space.levels - 1).long()


class Dequantised(Dequantisation):
    """Uniform noise: log r = 0."""

    def dequantise(self, x: Tensor, generator: Generator) -> Tensor:
        """x + u: `[B, *shape]` int64 -> float32 on [0, L)."""
        return x.float() + torch.rand(x.shape, generator=generator, device=x.device)

    def log_weights(self, x: Tensor, k: int, generator: Generator) -> Tensor:
        y = self.dequantise(repeated(x, k), generator)  # [k B, *shape]
        return self.density.log_prob(y).view(k, len(x))


class Noise(nn.Module, ABC):
    """r(u|x), a distribution of u in (0,1)^D."""

    @abstractmethod
    def posterior(self, x: Tensor) -> Tensor:
        """What r needs of x: `[B, *shape]` int64 -> `[B, ...]`."""

    @abstractmethod
    def draw(self, q: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """u ~ r(u|x) `[B, *shape]` and log r(u|x) `[B]`, for q the posterior of x."""


class LogitNormal(Noise):
    """u = sigmoid(s), s = g(mean(x) + sd(x) e; x), e ~ N(0, I), g a sequence of affine couplings.

    NOTE: log sd counts from that of the logistic distribution, which is the logit of a uniform u: where
    the network starts at zero, r starts close to uniform.

    Arguments:
        channels: C, the first size of x.
        network: x, scaled to [-1, 1], `[B, C, ...]` -> `[B, C + C + H, ...]`: mean, log sd, and a context of x.
        levels: L, for that scale.
        couplings: bijections with log-determinant of the pair (s, context) `[B, C + H, ...]`; the context must stay.
    """

    def __init__(self, channels: int, network: nn.Module, levels: int, couplings: Sequence[nn.Module] = ()) -> None:
        super().__init__()
        self.channels, self.network, self.levels = channels, network, levels
        self.couplings = nn.ModuleList(couplings)

    def posterior(self, x: Tensor) -> Tensor:
        return self.network(2 * x.float() / (self.levels - 1) - 1)

    def forward(self, e: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        """u and log |det du/de|: `[B, C, ...]` -> `[B, C, ...]`, `[B]`."""
        c = self.channels
        mean, log_sd, context = q.split([c, c, q.shape[1] - 2 * c], dim=1)
        log_sd = log_sd + math.log(math.pi / math.sqrt(3))
        logdet = log_sd.flatten(1).sum(1)
        pair = torch.cat([mean + log_sd.exp() * e, context], 1)
        for coupling in self.couplings:
            pair, change = coupling(pair)
            logdet = logdet + change
        s = pair[:, :c]
        slope = -F.softplus(s) - F.softplus(-s)  # log of sigmoid'(s), finite where u rounds to 0 or 1
        return torch.sigmoid(s), logdet + slope.flatten(1).sum(1)

    def draw(self, q: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        e = torch.randn(len(q), self.channels, *q.shape[2:], generator=generator, device=q.device)
        u, logdet = self(e, q)
        zero = e.new_zeros(())
        return u, log_normal(e, zero, zero).flatten(1).sum(1) - logdet


class VariationallyDequantised(Dequantisation):
    """Noise from a learned r(u|x): the loss trains it together with the density.

    Arguments:
        noise: r.
    """

    def __init__(self, density: Any, levels: int, noise: Noise) -> None:
        super().__init__(density, levels)
        self.noise = noise

    def posterior(self, x: Tensor) -> Tensor:
        return self.noise.posterior(x)

    def log_weights(self, x: Tensor, k: int, generator: Generator, q: Tensor | None = None) -> Tensor:
        q = self.posterior(x) if q is None else q
        u, log_r = self.noise.draw(repeated(q, k), generator)  # [k B, *shape], [k B]
        return (self.density.log_prob(repeated(x, k).float() + u) - log_r).view(k, len(x))


def repeated(x: Tensor, k: int) -> Tensor:
    """k copies one after another: `[B, ...]` -> `[k B, ...]`."""
    return x.repeat(k, *[1] * (x.dim() - 1))
