"""The normal density, and its mass in the bins of integers: one copy for baselines and for observation models."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from genbench.space import Space

COARSE = 256  # levels up to which float32 places a bin's edges to a ten-thousandth of its width
MOST = 2**24  # levels that float32 tells apart on [-1, 1]
NARROW = 1 / 64  # half a bin, in standard deviations, below which a difference of two tails would cancel
# Of the Gauss-Legendre rule on [-1, 1] with five points.
NODES, WEIGHTS = (part.tolist() for part in np.polynomial.legendre.leggauss(5))


def normalised(x: Tensor, space: Space) -> Tensor:
    """Integers 0..L-1 -> float32 on [-1, 1]; real numbers stay as they are.

    Raises:
        ValueError: more levels than float32 tells apart there.
    """
    if space.levels is None:
        return x
    if space.levels > MOST:
        raise ValueError(f"{space.levels} levels: float32 tells {MOST} apart on [-1, 1], and no more")
    if space.levels > COARSE:  # rounded once, so that each level keeps a number of its own
        return (x.double() * (2 / (space.levels - 1)) - 1).float()
    return x.float() * (2 / (space.levels - 1)) - 1


def nearest_level(y: Tensor, space: Space) -> Tensor:
    """From [-1, 1] back to the nearest level, int64; real numbers stay as they are."""
    if space.levels is None:
        return y
    top = space.levels - 1
    return ((y + 1) / 2 * top).round().clamp(0, top).long()


def on_grid(x: Tensor, levels: int) -> Tensor:
    """The level nearest to each x, on [-1, 1] in float64: what rounding to float32 took away comes back."""
    top = levels - 1
    return ((x.double() + 1) * (top / 2)).round() * (2 / top) - 1


def log_normal(x: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
    """log N(x; mean, sd^2), elementwise."""
    return -0.5 * ((x - mean) * (-log_sd).exp()) ** 2 - log_sd - 0.5 * math.log(2 * math.pi)


def log_normal_mass(x: Tensor, mean: Tensor, log_sd: Tensor, levels: int) -> Tensor:
    """log of a Gaussian's mass in the bin of x, on L levels normalised to [-1, 1], elementwise.

    The bins are 2/(L-1) wide and centred at the levels; the first and the last reach to infinity,
    so the L masses sum to one. Above 256 levels it is computed in float64, at the level nearest to x.
    """
    if levels > COARSE:
        dtype = torch.result_type(mean, log_sd)
        return _log_mass(on_grid(x, levels), mean.double(), log_sd.double(), levels).to(dtype)
    return _log_mass(x, mean, log_sd, levels)


def _log_mass(x: Tensor, mean: Tensor, log_sd: Tensor, levels: int) -> Tensor:
    half = 1 / (levels - 1)
    a = (x - half - mean) * (-log_sd).exp()
    b = (x + half - mean) * (-log_sd).exp()
    first, last = x <= -1 + half, x >= 1 - half
    edge = first | last
    # log(Phi(b) - Phi(a)) on the side of zero where neither is close to one; of the last bin log Phi(-a), of the first
    # log Phi(b): there is nothing to take away
    flip = torch.where(edge, last, a + b > 0)
    lo, hi = torch.where(flip, -b, a).masked_fill(edge, -1e4), torch.where(flip, -a, b)
    log_hi, log_lo = torch.special.log_ndtr(hi), torch.special.log_ndtr(lo)
    # The clamp keeps gradients finite where `_log_mass_of_narrow` stands in: elsewhere the difference is below -0.02
    less = torch.log(-torch.expm1((log_lo - log_hi).clamp(max=-1e-6)))
    mass = log_hi + less.masked_fill(edge, 0.0)
    c, w = (x - mean) * (-log_sd).exp(), half * (-log_sd).exp()
    narrow = (w < NARROW) & (c.abs() * w < 0.5) & ~edge
    if not narrow.any():
        return mass
    zero = c.new_zeros(())  # what is not asked for needs a finite gradient too
    inside = _log_mass_of_narrow(torch.where(narrow, c, zero), torch.where(narrow, w, zero))
    return torch.where(narrow, inside + math.log(2 * half) - log_sd, mass)


def _log_mass_of_narrow(c: Tensor, w: Tensor) -> Tensor:
    """log of the mean of the standard normal density over [c - w, c + w]: a sum of positive terms, so nothing cancels.

    With five points of Gauss and Legendre it errs by less than 1e-12 where w < 1/64 and |c| w < 1/2.
    """
    terms = [math.log(g / 2) - 0.5 * (c + w * node) ** 2 for node, g in zip(NODES, WEIGHTS, strict=True)]
    return torch.logsumexp(torch.stack(terms), 0) - 0.5 * math.log(2 * math.pi)
