"""A deterministic generator G with Gaussian noise about its output, which gives it a likelihood.

    z ~ p(z),    x | z ~ N(G(z), sigma^2 I)

On integers 0..L-1 a level has the Gaussian's mass in its bin, on the levels normalised to [-1, 1], the outermost bins
reaching to infinity. These masses sum to one, so the value is a probability and stands beside those of other
models of the same integers; on real numbers it is a density. Either is a statement about G *and* sigma, which is
chosen on validation data and reported with the value.

References:
    On the quantitative analysis of decoder-based generative models (Wu, Burda, Salakhutdinov, Grosse, 2017), section 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Generator, Tensor

from baselines._layers import log_normal, log_normal_mass, normalised
from genbench.likelihood.annealed import Settings, annealed
from genbench.sampling import to_tensor
from genbench.space import Space

RATIO = 2**-0.25  # between neighbours on the grid of sigma
SMALLEST = 1e-3  # the end of the grid, as a share of the data's spread
QUICK = Settings(temperatures=100, chains=4, leapfrog=5, adaptation=100)


@runtime_checkable
class HasDecode(Protocol):
    """A generator: latents with a density, and what it makes of them, on [-1, 1] for integers, else in raw units."""

    space: Space

    def sample_prior(self, n: int, generator: Generator) -> Tensor: ...  # -> z [n, ...]

    def log_prior(self, z: Tensor) -> Tensor: ...  # -> [n]

    def decode(self, z: Tensor) -> Tensor: ...  # -> [n, *shape], differentiable


class GaussianObservation:
    """A generator as a decoder that annealed importance sampling can measure.

    Arguments:
        sigma: standard deviation of the noise, in units of the generator's output.
    """

    def __init__(self, model: HasDecode, sigma: float) -> None:
        if not sigma > 0:
            raise ValueError(f"sigma must be positive, got {sigma}")
        self.model, self.space, self.sigma = model, model.space, sigma

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        return self.model.sample_prior(n, generator)

    def log_prior(self, z: Tensor) -> Tensor:
        return self.model.log_prior(z)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z): `[n, *shape]`, `[n, ...]` -> `[n]`."""
        mean = self.model.decode(z)
        x, log_sd = normalised(x, self.space).to(mean.dtype), mean.new_tensor(math.log(self.sigma))
        if self.space.levels is None:
            return log_normal(x, mean, log_sd).flatten(1).sum(1)
        return log_normal_mass(x, mean, log_sd, self.space.levels).flatten(1).sum(1)

    def observe(self, z: Tensor, generator: Generator) -> Tensor:
        """x ~ p(x | z), from the distribution that is scored: `[n, ...]` -> `[n, *shape]`."""
        mean = self.model.decode(z)
        y = mean + self.sigma * torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        if self.space.levels is None:
            return y
        top = self.space.levels - 1
        return ((y + 1) / 2 * top).round().clamp(0, top).long()

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.observe(self.sample_prior(n, generator), generator)


@dataclass(frozen=True)
class FittedSigma:
    """The noise that suits a generator best.

    Arguments:
        sigma: where the parabola through the best point of the grid and its neighbours is highest.
        sigmas, values: what was tried, falling, and at each the mean lower bound on log p, nats: `[G]`.
        examples: of the validation data that were used.
        warnings: that sigma lies at an end of the grid.
    """

    sigma: float
    sigmas: np.ndarray
    values: np.ndarray
    examples: int
    warnings: tuple[str, ...] = ()


def fit_sigma(
    model: HasDecode,
    validation: np.ndarray,
    seed: int,
    settings: Settings = QUICK,
    examples: int = 100,
    block_size: int = 100,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda tried: None,
) -> FittedSigma:
    """The sigma that maximises an annealed lower bound on log p of the first `examples` of `validation`.

    The grid falls from the root mean square deviation of the data, the best sigma of a generator that knows only
    their mean, by factors of 2^(-1/4), and ends when the bound has fallen twice running. Every point
    has the same noise, so that they compare. A short annealing is enough: the bound's slack hardly differs between
    neighbours, and where it grows, towards small sigma, it errs on the side of more noise. Whichever sigma is
    taken, the likelihood measured with it is that of a proper model.

    Arguments:
        progress: takes the number of points tried so far.
    """
    x = validation[:examples]
    spread = float(
        normalised(to_tensor(x, model.space), model.space).double().std(0, correction=0).square().mean().sqrt()
    )
    if not spread > 0:
        raise ValueError("validation data without any spread have no best sigma")
    sigmas: list[float] = []
    values: list[float] = []
    for sigma in spread * RATIO ** np.arange(1 + int(math.log(SMALLEST) / math.log(RATIO))):
        found = annealed(GaussianObservation(model, float(sigma)), x, settings, seed, block_size, device)
        sigmas.append(float(sigma))
        values.append(float(found.values.mean()))
        progress(len(sigmas))
        if len(values) > 2 and values[-1] < values[-2] < values[-3]:
            break
    best = vertex(np.log(sigmas), np.array(values))
    if best is not None:
        return FittedSigma(math.exp(best), np.array(sigmas), np.array(values), len(x))
    sigma = sigmas[int(np.argmax(values))]
    warning = f"the best sigma {sigma:.4g} lies at the end of the grid"
    return FittedSigma(sigma, np.array(sigmas), np.array(values), len(x), (warning,))


def vertex(u: np.ndarray, values: np.ndarray) -> float | None:
    """Where the parabola through the highest of evenly spaced points and its two neighbours is highest.

    None if the highest is the first or the last.
    """
    i = int(np.argmax(values))
    if i in (0, len(values) - 1):
        return None
    left, top, right = values[i - 1 : i + 2]
    return float(u[i] + 0.5 * (u[i] - u[i - 1]) * (left - right) / (left - 2 * top + right))
