"""Hamiltonian Monte Carlo along the path from a prior to its posterior, for many chains at once.

    f_beta(z) = p(z) p(x|z)^beta,    H(z, v) = -log f_beta(z) + |v|^2 / 2,    v ~ N(0, I)

A transition draws v, follows the flow of H by leapfrog steps, and accepts the end with probability
min(1, exp(-change of H)). It leaves f_beta invariant and is reversible whatever the length of a step, as long as that
does not depend on the chain's own past. So lengths are adapted in a round of their own (`adapt`), as a
function of beta for each example; a chain that is measured takes them as they are (`HMC`).

Every length is multiplied by a random factor, drawn for each transition and chain: a fixed number of
steps of fixed length can close an orbit and come back to where it began.

References:
    MCMC using Hamiltonian dynamics (Neal, 2011), sections 2.3, 3.2 and, for the factor, 4.2.
    The acceptance rate aimed at is that of Wu, Burda, Salakhutdinov, Grosse (2017), appendix A.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat

import numpy as np
import torch
from torch import Generator, Tensor

from genbench.models.capabilities import Decoder
from genbench.models.sampling import real

ACCEPTANCE = 0.65
JITTER = 0.2  # lengths vary by a factor of 0.8 to 1.2
FIRST_STEP = 0.1  # where the adaptation begins
BURN_IN = 50  # transitions of the adaptation at the first temperature, before any of its lengths counts
SLOWEST_RATE = 0.2  # of the adaptation: it has to follow a posterior that sharpens
SEGMENTS = 25  # of the path: the step is constant on each


@dataclass(frozen=True)
class Point:
    """Where n chains are, with all that depends on z and not on beta.

    Arguments:
        z: `[n, ...]`.
        log_prior, log_likelihood: `[n]`.
        prior_slope, likelihood_slope: their gradients, shaped like z.
    """

    z: Tensor
    log_prior: Tensor
    log_likelihood: Tensor
    prior_slope: Tensor
    likelihood_slope: Tensor

    def log_density(self, beta: float) -> Tensor:
        """log f_beta, in float64: `[n]`."""
        return self.log_prior.double() + beta * self.log_likelihood.double()

    def slope(self, beta: float) -> Tensor:
        """Gradient of log f_beta: `[n, ...]`."""
        return self.prior_slope + beta * self.likelihood_slope

    def where(self, condition: Tensor, other: Point) -> Point:
        """This point for the chains where `condition` `[n]` holds, the other elsewhere."""
        wide = condition.view(-1, *[1] * (self.z.dim() - 1))
        return Point(
            torch.where(wide, self.z, other.z),
            torch.where(condition, self.log_prior, other.log_prior),
            torch.where(condition, self.log_likelihood, other.log_likelihood),
            torch.where(wide, self.prior_slope, other.prior_slope),
            torch.where(wide, self.likelihood_slope, other.likelihood_slope),
        )


Evaluate = Callable[[Tensor], Point]  # z [n, ...] -> the point there
Kernel = Callable[[Point, float, Generator], tuple[Point, Tensor]]  # at beta -> next point, acceptance [n]


@dataclass(frozen=True)
class Posterior:
    """p(z) p(x|z) as a function of z, with gradients: one evaluation of the decoder for each call.

    Arguments:
        x: `[n, *shape]`, one for each chain.
    """

    model: Decoder
    x: Tensor

    def __call__(self, z: Tensor) -> Point:
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            values = self.model.log_prior(z), self.model.log_likelihood(self.x, z)
            for name, value in zip(("log_prior", "log_likelihood"), values, strict=True):
                real(value, (len(z),), name)
            slopes = [torch.autograd.grad(value.sum(), z, retain_graph=True)[0] for value in values]
        return Point(z.detach(), *(value.detach() for value in values), *slopes)


def leapfrog(at: Evaluate, point: Point, v: Tensor, beta: float, step: Tensor, steps: int) -> tuple[Point, Tensor]:
    """`steps` leapfrog steps of lengths `step` `[n]`: the gradient at the start is known, that at the end is kept."""
    step = step.view(-1, *[1] * (v.dim() - 1))
    v = v + 0.5 * step * point.slope(beta)
    for i in range(steps):
        point = at(point.z + step * v)
        v = v + (step if i < steps - 1 else 0.5 * step) * point.slope(beta)
    return point, v


def transition(
    at: Evaluate, point: Point, beta: float, step: Tensor, steps: int, generator: Generator
) -> tuple[Point, Tensor]:
    """One transition that leaves f_beta invariant, and the probability `[n]` with which its end was accepted.

    An end that is not finite is rejected.
    """
    v = torch.empty_like(point.z).normal_(generator=generator)
    factor = 1 + JITTER * (2 * torch.empty_like(point.log_prior).uniform_(generator=generator) - 1)
    end, v_end = leapfrog(at, point, v, beta, step * factor, steps)
    kinetic, kinetic_end = (0.5 * u.double().square().flatten(1).sum(1) for u in (v, v_end))
    log_ratio = (end.log_density(beta) - kinetic_end) - (point.log_density(beta) - kinetic)
    probability = log_ratio.nan_to_num(nan=-torch.inf, posinf=torch.inf, neginf=-torch.inf).clamp(max=0).exp()
    accepted = torch.empty_like(probability).uniform_(generator=generator) < probability
    return end.where(accepted, point), probability


@dataclass(frozen=True)
class StepLengths:
    """Lengths of a leapfrog step, for each example a function of beta that is constant on segments.

    Arguments:
        edges: the last beta of every segment, rising `[S]`; the last segment goes on to 1.
        lengths: `[S, B]`.
    """

    edges: np.ndarray
    lengths: Tensor

    def __call__(self, beta: float) -> Tensor:
        segment = min(int(np.searchsorted(self.edges, beta)), len(self.edges) - 1)
        return self.lengths[segment]


@dataclass(frozen=True)
class HMC:
    """The transition with fixed step lengths; chains of one example lie side by side."""

    at: Evaluate
    lengths: StepLengths
    chains: int
    steps: int

    def __call__(self, point: Point, beta: float, generator: Generator) -> tuple[Point, Tensor]:
        step = self.lengths(beta).repeat_interleave(self.chains)
        return transition(self.at, point, beta, step, self.steps, generator)


def nudged(log_length: Tensor, probability: Tensor, rate: float = SLOWEST_RATE) -> Tensor:
    """log length + rate (acceptance - 0.65) (Robbins and Monro 1951), acceptance averaged over an example's chains.

    Arguments:
        log_length: `[B]`.
        probability: of acceptance, `[B * chains]`.
    """
    return log_length + rate * (probability.view(len(log_length), -1).mean(1) - ACCEPTANCE).to(log_length)


def adapt(
    at: Evaluate,
    point: Point,
    betas: Sequence[float],
    chains: int,
    steps: int,
    generator: Generator,
    tick: Callable[[], None] = lambda: None,
) -> StepLengths:
    """Lengths with which about 0.65 of the ends are accepted, learnt on the way from the prior to the posterior.

    The logarithm of an example's length is nudged after every transition; on each segment of the path it is averaged.

    Arguments:
        point: draws of the prior, `[B * chains, ...]`.
        betas: where to make a transition, rising.
    """
    log_length = point.log_prior.new_full((len(point.z) // chains,), math.log(FIRST_STEP))
    path = []
    for i, beta in enumerate(chain(repeat(betas[0], BURN_IN), betas)):
        length = log_length.exp().repeat_interleave(chains)
        point, probability = transition(at, point, beta, length, steps, generator)
        rate = max(SLOWEST_RATE, (1 + i) ** -0.5)
        log_length = nudged(log_length, probability, rate)
        path.append(log_length)
        tick()
    parts = np.array_split(np.arange(len(betas)), min(SEGMENTS, len(betas)))
    learnt = torch.stack(path[BURN_IN:])  # [T, B]
    lengths = torch.stack([learnt[part[0] : part[-1] + 1].mean(0).exp() for part in parts])
    return StepLengths(np.array([betas[part[-1]] for part in parts]), lengths)
