"""The normal density, and its mass in the bins of integers: one copy for baselines and for observation models."""

import math

import torch
from torch import Tensor

from genbench.space import Space


def normalised(x: Tensor, space: Space) -> Tensor:
    """Integers 0..L-1 -> float32 on [-1, 1]; real numbers stay as they are."""
    return x if space.levels is None else x.float() * (2 / (space.levels - 1)) - 1


def log_normal(x: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
    """log N(x; mean, sd^2), elementwise."""
    return -0.5 * ((x - mean) * (-log_sd).exp()) ** 2 - log_sd - 0.5 * math.log(2 * math.pi)


def log_normal_mass(x: Tensor, mean: Tensor, log_sd: Tensor, levels: int) -> Tensor:
    """log of a Gaussian's mass in the bin of x, on L levels normalised to [-1, 1], elementwise.

    The bins are 2/(L-1) wide and centred at the levels; the first and the last reach to infinity,
    so the L masses sum to one.
    """
    half = 1 / (levels - 1)
    a = (x - half - mean) * (-log_sd).exp()
    b = (x + half - mean) * (-log_sd).exp()
    a = a.masked_fill(x <= -1 + half, -1e4)  # finite: inf has no gradient
    b = b.masked_fill(x >= 1 - half, 1e4)
    # log(Phi(b) - Phi(a)) on the side of zero where neither is close to one
    flip = a + b > 0
    lo, hi = torch.where(flip, -b, a), torch.where(flip, -a, b)
    log_hi, log_lo = torch.special.log_ndtr(hi), torch.special.log_ndtr(lo)
    return log_hi + torch.log(-torch.expm1((log_lo - log_hi).clamp(max=-1e-6)))
