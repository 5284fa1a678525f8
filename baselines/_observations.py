"""Observation models p(x | h): what a decoder's outputs h mean as a distribution of the data.

h is `[..., B, P D]`, P parameters for each of the D values of an observation; x is `[B, *shape]`. The
leading dimensions of h, such as K draws of the latents, need no copies of x.
"""

from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Space

from ._layers import log_normal, sample_categorical


class Observation(nn.Module, ABC):
    """Arguments: per_value, the P parameters of each value of a space."""

    def __init__(self, space: Space, per_value: int) -> None:
        super().__init__()
        self.space, self.per_value = space, per_value

    def split(self, h: Tensor) -> Tensor:
        """[..., B, P D] -> [..., B, P, D]."""
        return h.unflatten(-1, (self.per_value, self.space.dim))

    @abstractmethod
    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x | h) -> [..., B]."""

    @abstractmethod
    def sample(self, h: Tensor, generator: Generator) -> Tensor:
        """One draw for each h [n, P D] -> [n, *shape]."""

    @abstractmethod
    def mean(self, h: Tensor) -> Tensor:
        """E[x | h], in the raw range: [n, P D] -> [n, *shape]."""


class Bernoulli(Observation):
    """Two levels by one logit. log p(x) = x.l - sum softplus(l), a product and a sum instead of a loss by value."""

    def __init__(self, space: Space) -> None:
        super().__init__(space, 1)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return torch.linalg.vecdot(h, x.flatten(1).to(h.dtype)) - F.softplus(h).sum(-1)

    def sample(self, h: Tensor, generator: Generator) -> Tensor:
        return torch.bernoulli(h.sigmoid(), generator=generator).long().view(-1, *self.space.shape)

    def mean(self, h: Tensor) -> Tensor:
        return h.sigmoid().view(-1, *self.space.shape)


class Categorical(Observation):
    """L levels by L logits."""

    def __init__(self, space: Space) -> None:
        assert space.levels is not None
        super().__init__(space, space.levels)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        logits = self.split(h)  # [..., B, L, D]
        x = x.flatten(1).expand(*logits.shape[:-2], -1)  # [..., B, D]
        nats = F.cross_entropy(logits.flatten(0, -3), x.flatten(0, -2), reduction="none").sum(-1)
        return -nats.view(logits.shape[:-2])

    def sample(self, h: Tensor, generator: Generator) -> Tensor:
        return sample_categorical(self.split(h).transpose(1, 2), generator).view(-1, *self.space.shape)

    def mean(self, h: Tensor) -> Tensor:
        levels = torch.arange(self.per_value, device=h.device, dtype=h.dtype)
        return torch.einsum("bld,l->bd", self.split(h).softmax(1), levels).view(-1, *self.space.shape)


class PredictedGaussian(Observation):
    """Real numbers by a mean and a log standard deviation, both predicted.

    A model can then trade the precision of one value for that of another, and on narrow data training stops at
    local optima that do.
    """

    def __init__(self, space: Space) -> None:
        super().__init__(space, 2)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        mean, log_sd = self.split(h).unbind(-2)
        return log_normal(x.flatten(1), mean, log_sd).sum(-1)

    def sample(self, h: Tensor, generator: Generator) -> Tensor:
        mean, log_sd = self.split(h).unbind(-2)
        noise = torch.randn(mean.shape, generator=generator, device=generator.device)
        return (mean + log_sd.exp() * noise).view(-1, *self.space.shape)

    def mean(self, h: Tensor) -> Tensor:
        return self.split(h)[:, 0].reshape(-1, *self.space.shape)


class SharedGaussian(Observation):
    """Real numbers by a predicted mean and one learned standard deviation (Rybkin et al. 2021, equation 4)."""

    def __init__(self, space: Space) -> None:
        super().__init__(space, 1)
        self.log_sd = nn.Parameter(torch.full((), -2.0))  # starting at sd = 1, training soon ignores the latents

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return log_normal(x.flatten(1), h, self.log_sd).sum(-1)

    def sample(self, h: Tensor, generator: Generator) -> Tensor:
        noise = torch.randn(h.shape, generator=generator, device=generator.device)
        return (h + self.log_sd.exp() * noise).view(-1, *self.space.shape)

    def mean(self, h: Tensor) -> Tensor:
        return h.view(-1, *self.space.shape)


def observation_of(space: Space, sd: str) -> Observation:
    """The exact family for a space: Gaussian, Bernoulli for two levels, categorical for more.

    Arguments:
        sd: of real numbers, "shared" or "predicted".
    """
    if sd not in ("shared", "predicted"):
        raise ValueError(f"sd is 'shared' or 'predicted', not {sd!r}")
    if space.levels is None:
        return SharedGaussian(space) if sd == "shared" else PredictedGaussian(space)
    return Bernoulli(space) if space.levels == 2 else Categorical(space)
