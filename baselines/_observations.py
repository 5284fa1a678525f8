"""Observation models p(x | h): what a decoder's outputs h mean as a distribution of the data.

h is `[..., B, P D]`, P parameters for each of the D values of an observation; x is `[B, *shape]`. The
leading dimensions of h, such as K draws of the latents, need no copies of x.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Space
from genbench.numerics.logistic import log_logistic_mass, log_logistic_mixture_mass

from ._layers import log_normal, log_normal_mass, nearest_level, normalised, sample_categorical, standard_logistic

# log of the smallest scale of integers on [-1, 1]: a level of 256 is then 4.3 scales from its bin's edge
NARROWEST = -7.0
FIXED_SD = 0.1  # of a Gaussian that is neither learned nor predicted


class Observation(nn.Module, ABC):
    """Arguments: per_value, the P parameters of each value of a space."""

    is_likelihood = True  # whether `log_prob` is the logarithm of a probability or a density of x

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
    """Two levels by one logit. log p(x) = x.l - sum softplus(l), a product and a sum instead of a loss by value.

    Of more levels the first and the last only: between them the same formula, with x / (L - 1) in the place of x, is
    the *pseudo-likelihood* by which many VAEs of grey images are trained. The levels' "probabilities" do not sum to
    one, so it is no likelihood: a model may be trained by it, and then has none.
    """

    def __init__(self, space: Space) -> None:
        assert space.levels is not None
        super().__init__(space, 1)
        self.top = space.levels - 1
        self.is_likelihood = self.top == 1

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        x = x.flatten(1).to(h.dtype)
        return torch.linalg.vecdot(h, x if self.is_likelihood else x / self.top) - F.softplus(h).sum(-1)

    def sample(self, h: Tensor, generator: Generator) -> Tensor:
        return self.top * torch.bernoulli(h.sigmoid(), generator=generator).long().view(-1, *self.space.shape)

    def mean(self, h: Tensor) -> Tensor:
        return self.top * h.sigmoid().view(-1, *self.space.shape)


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


class LocationScale(Observation):
    """A density about a predicted location; of integers the mass that it has in the bins of the levels on [-1, 1].

    The outermost bins reach to infinity, so the masses of all levels sum to one.

    Arguments:
        per_value: 1 with one scale for all values, 2 where each has its own, 3 for each component of a mixture.
    """

    def parameters_of(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Location and log scale of every value, [..., B, D] each, or broadcast to it."""
        location, log_scale = self.split(h).unbind(-2)
        return location, self.bounded(log_scale)

    def bounded(self, log_scale: Tensor) -> Tensor:
        """Of integers a log scale is kept where neither its inverse overflows nor the mass of a bin rounds to zero."""
        return log_scale if self.space.levels is None else log_scale.clamp(NARROWEST, -NARROWEST)

    @abstractmethod
    def score(self, x: Tensor, h: Tensor) -> Tensor:
        """log of the density or the mass of every value: x normalised [..., D], h [..., B, P D] -> [..., B, D]."""

    @abstractmethod
    def draw(self, h: Tensor, generator: Generator) -> Tensor:
        """One draw of the density for each value: [n, P D] -> [n, D]."""

    @abstractmethod
    def location(self, h: Tensor) -> Tensor:
        """The density's mean: [n, P D] -> [n, D]."""

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return self.score(normalised(x, self.space).flatten(1), h).sum(-1)

    def sample(self, h: Tensor, generator: Generator) -> Tensor:
        return nearest_level(self.draw(h, generator).view(-1, *self.space.shape), self.space)

    def mean(self, h: Tensor) -> Tensor:
        if self.space.levels is None:
            return self.location(h).view(-1, *self.space.shape)
        total = h.new_zeros(len(h), self.space.dim)
        for level in range(1, self.space.levels):  # one at a time: few draws of 256 levels fit into memory
            place = normalised(torch.full((self.space.dim,), level, device=h.device), self.space).to(h.dtype)
            total = total + level * self.score(place, h).exp()
        return total.view(-1, *self.space.shape)


class Gaussian(LocationScale):
    """A predicted mean, and a standard deviation that is fixed, one learned number, or predicted for each value.

    A model with predicted deviations can trade the precision of one value for that of another, and on narrow data
    training stops at local optima that do. One learned number is that of Rybkin et al. 2021, equation 4.

    Arguments:
        sd: "fixed", "shared" or "predicted".
    """

    log_sd: Tensor

    def __init__(self, space: Space, sd: str = "shared") -> None:
        super().__init__(space, 2 if sd == "predicted" else 1)
        if sd == "shared":
            self.log_sd = nn.Parameter(torch.full((), -2.0))  # starting at sd = 1, training soon ignores the latents
        elif sd == "fixed":
            self.register_buffer("log_sd", torch.full((), math.log(FIXED_SD)), persistent=False)

    def parameters_of(self, h: Tensor) -> tuple[Tensor, Tensor]:
        return super().parameters_of(h) if self.per_value == 2 else (h, self.bounded(self.log_sd))

    def score(self, x: Tensor, h: Tensor) -> Tensor:
        mean, log_sd = self.parameters_of(h)
        if self.space.levels is None:
            return log_normal(x, mean, log_sd)
        return log_normal_mass(x, mean, log_sd, self.space.levels)

    def draw(self, h: Tensor, generator: Generator) -> Tensor:
        mean, log_sd = self.parameters_of(h)
        return mean + log_sd.exp() * torch.randn(mean.shape, generator=generator, device=generator.device)

    def location(self, h: Tensor) -> Tensor:
        return self.parameters_of(h)[0]


class Logistic(LocationScale):
    """A logistic with predicted location and scale; tails heavier than a Gaussian's (PixelCNN++, equation 2)."""

    def __init__(self, space: Space) -> None:
        super().__init__(space, 2)

    def parameters_of(self, h: Tensor) -> tuple[Tensor, Tensor]:
        location, log_scale = self.split(h).unbind(-2)
        return location, self.bounded(log_scale - 2)  # starting narrow, for the reason given above

    def score(self, x: Tensor, h: Tensor) -> Tensor:
        location, log_scale = self.parameters_of(h)
        if self.space.levels is None:
            return log_logistic(x, location, log_scale)
        return log_logistic_mass(x, location, log_scale, self.space.levels)

    def draw(self, h: Tensor, generator: Generator) -> Tensor:
        location, log_scale = self.parameters_of(h)
        return location + log_scale.exp() * standard_logistic(location.shape, generator)

    def location(self, h: Tensor) -> Tensor:
        return self.parameters_of(h)[0]


class Logistics(LocationScale):
    """A mixture of M logistics for each value: it can be bimodal, and pile up mass at the first and the last level."""

    def __init__(self, space: Space, components: int = 3) -> None:
        super().__init__(space, 3 * components)
        self.components = components

    def mixture(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights up to a constant, locations and log scales, which start apart: [..., M, D] each."""
        logit, location, log_scale = self.split(h).unflatten(-2, (3, self.components)).unbind(-3)
        start = (2 * torch.arange(self.components, device=h.device, dtype=h.dtype) + 1) / self.components - 1
        return logit, location + start[:, None], self.bounded(log_scale - 2)

    def score(self, x: Tensor, h: Tensor) -> Tensor:
        logit, location, log_scale = self.mixture(h)
        if self.space.levels is None:
            density = log_logistic(x.unsqueeze(-2), location, log_scale)
            return torch.logsumexp(logit.log_softmax(-2) + density, -2)
        return log_logistic_mixture_mass(x, logit, location, log_scale, self.space.levels)

    def draw(self, h: Tensor, generator: Generator) -> Tensor:
        logit, location, log_scale = self.mixture(h)
        component = sample_categorical(logit.transpose(1, 2), generator)[:, None]  # [n, 1, D]
        location, log_scale = (t.gather(1, component)[:, 0] for t in (location, log_scale))
        return location + log_scale.exp() * standard_logistic(location.shape, generator)

    def location(self, h: Tensor) -> Tensor:
        logit, location, _ = self.mixture(h)
        return (logit.softmax(1) * location).sum(1)


def log_logistic(x: Tensor, location: Tensor, log_scale: Tensor) -> Tensor:
    """log of the logistic density, elementwise: that of z = (x - location) / scale is s(z) s(-z)."""
    z = (x - location) * (-log_scale).exp()
    return F.logsigmoid(z) + F.logsigmoid(-z) - log_scale


DECODERS: dict[str, Callable[[Space], Observation]] = {
    "gaussian": partial(Gaussian, sd="fixed"),
    "gaussian-shared": partial(Gaussian, sd="shared"),
    "gaussian-predicted": partial(Gaussian, sd="predicted"),
    "bernoulli": Bernoulli,
    "categorical": Categorical,
    "logistic": Logistic,
    "logistics": Logistics,
}


def observation_of(space: Space, decoder: str = "natural") -> Observation:
    """The family of p(x | h).

    Arguments:
        decoder: a key of `DECODERS`, or "natural": of real numbers a Gaussian with one learned deviation, of two levels
            a Bernoulli, of more a categorical, which can be any distribution of a value.

    Raises:
        ValueError: no such family, or one that is none of the space.
    """
    if decoder == "natural":
        decoder = "gaussian-shared" if space.levels is None else "bernoulli" if space.levels == 2 else "categorical"
    if decoder not in DECODERS:
        raise ValueError(f"decoder is one of natural, {', '.join(DECODERS)}, not {decoder!r}")
    if space.levels is None and decoder in ("bernoulli", "categorical"):
        raise ValueError(f"a {decoder} is no distribution of real numbers")
    return DECODERS[decoder](space)
