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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Generator, Tensor

from genbench.likelihood.hmc import FIRST_STEP, Posterior, nudged, transition
from genbench.models.sampling import seeded, to_tensor
from genbench.numerics.choice import few
from genbench.numerics.normal import log_normal, log_normal_mass, nearest_level, normalised
from genbench.space import Space

RATIO = 2**-0.25  # of a sigma to the one before, on the way to the best
LARGEST, SMALLEST = 2.0, 1e-3  # where the way begins and ends, as multiples of the data's spread


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
        return noise_log_likelihood(x, mean, mean.new_tensor(math.log(self.sigma)), self.space)

    def observe(self, z: Tensor, generator: Generator) -> Tensor:
        """x ~ p(x | z), from the distribution that is scored: `[n, ...]` -> `[n, *shape]`."""
        mean = self.model.decode(z)
        y = mean + self.sigma * torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return nearest_level(y, self.space)

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.observe(self.sample_prior(n, generator), generator)


def noise_log_likelihood(x: Tensor, mean: Tensor, log_sd: Tensor, space: Space) -> Tensor:
    """log of the density of x, or the mass of its bins, under N(mean, sd^2 I): `[n, *shape]` twice -> `[n]`."""
    x = normalised(x, space).to(mean.dtype)
    if space.levels is None:
        return log_normal(x, mean, log_sd).flatten(1).sum(1)
    return log_normal_mass(x, mean, log_sd, space.levels).flatten(1).sum(1)


@dataclass(frozen=True)
class FittedSigma:
    """The noise that suits a generator best, and the way to it.

    Arguments:
        sigma: where the slope changes its sign.
        sigmas: the values on the way, falling `[G]`.
        values: at each the mean over examples of a lower bound on log p, a rough one, nats.
        slopes: at each the mean of d log p / d log sigma.
        examples: of the validation data that were used.
        warnings: that sigma lies at an end of the way.
    """

    sigma: float
    sigmas: np.ndarray
    values: np.ndarray
    slopes: np.ndarray
    examples: int
    warnings: tuple[str, ...] = ()


@torch.no_grad()
def fit_sigma(
    model: HasDecode,
    validation: np.ndarray,
    seed: int,
    examples: int = 100,
    chains: int = 4,
    transitions: int = 10,
    leapfrog: int = 5,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda tried: None,
) -> FittedSigma:
    """The sigma with the highest likelihood of `examples` of `validation`, drawn by the seed.

    Chains anneal along sigma itself, from twice the root mean square deviation of the data downwards by factors of
    2^(-1/4). By Fisher's identity the slope of the likelihood is a mean over the posterior,

        d log p(x) / d log sigma = E[d log p(x | z) / d log sigma | x],

    taken over the chains with their weights; the first sigma at which it is positive ends the way, and the line through
    the last two slopes gives the zero. Slopes need the chains to be near the posterior, not the bound to be tight: the
    highest point of the bound is at a larger sigma than that of the likelihood, because the slack grows as sigma falls.
    Chains that are lost in a poor mode still err towards more noise. Whichever sigma is taken, the likelihood
    then measured with it is that of a proper model.

    Arguments:
        chains: for each example.
        transitions, leapfrog: of Hamiltonian Monte Carlo at each sigma.
        progress: takes the number of sigmas tried so far.
    """
    x = to_tensor(few(validation, examples, seed), model.space, device)
    spread = float(normalised(x, model.space).double().var(0, correction=0).mean().sqrt())
    if not spread > 0:
        raise ValueError("validation data without any spread have no best sigma")
    sigmas, values, slopes = [], [], []
    path = spread * LARGEST * RATIO ** np.arange(1 + round(math.log(SMALLEST / LARGEST) / math.log(RATIO)))
    way = walk(model, x, path, chains, transitions, leapfrog, seeded(seed, "sigma", device=device))
    for sigma, (value, slope) in zip(path, way, strict=False):
        sigmas.append(float(sigma))
        values.append(value)
        slopes.append(slope)
        progress(len(sigmas))
        if slope > 0:
            break
    warnings: tuple[str, ...] = ()
    if slopes[-1] > 0 and len(slopes) > 1:
        share = slopes[-1] / (slopes[-1] - slopes[-2])  # of the last step, to be taken back
        best = sigmas[-1] * RATIO**-share
    else:
        best = sigmas[-1]
        warnings = (f"the best sigma {best:.4g} lies at the end of the values tried",)
    return FittedSigma(best, np.array(sigmas), np.array(values), np.array(slopes), len(x), warnings)


def walk(
    model: HasDecode,
    x: Tensor,
    path: np.ndarray,
    chains: int,
    transitions: int,
    leapfrog: int,
    generator: Generator,
) -> Iterator[tuple[float, float]]:
    """For each sigma of `path`, the mean bound on log p and its mean slope, from weighted chains."""
    repeated = x.repeat_interleave(chains, 0)  # [B * chains, *shape]
    z = model.sample_prior(len(repeated), generator)
    log_w = torch.zeros(len(repeated), dtype=torch.float64, device=z.device)
    before: Tensor | float = 0.0  # the log-likelihoods in the distribution that the chains are in
    log_length = z.new_full((len(x),), math.log(FIRST_STEP))
    for sigma in path:
        at = Posterior(GaussianObservation(model, float(sigma)), repeated)
        point = at(z)
        log_w = log_w + (point.log_likelihood - before).double()
        for _ in range(transitions):
            length = log_length.exp().repeat_interleave(chains)
            point, probability = transition(at, point, 1.0, length, leapfrog, generator)
            log_length = nudged(log_length, probability)
        z, before = point.z, point.log_likelihood
        w = log_w.view(len(x), chains)
        slope = (w.softmax(1) * noise_slope(model, repeated, z, float(sigma)).double().view_as(w)).sum(1)
        yield float((w.logsumexp(1) - math.log(chains)).mean()), float(slope.mean())


def noise_slope(model: HasDecode, x: Tensor, z: Tensor, sigma: float) -> Tensor:
    """d log p(x | z) / d log sigma: `[n, *shape]`, `[n, ...]` -> `[n]`."""
    mean = model.decode(z)
    with torch.enable_grad():
        log_sd = mean.new_full((len(z), *[1] * (mean.dim() - 1)), math.log(sigma)).requires_grad_()
        value = noise_log_likelihood(x, mean, log_sd, model.space).sum()
        return torch.autograd.grad(value, log_sd)[0].flatten()
