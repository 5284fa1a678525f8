"""The logistic distribution's mass in the bins of integers, alone and in mixtures.

With s the logistic function, half a bin h = 1/(L-1), a = (x - h - mean)/scale and b = (x + h - mean)/scale,

    log(s(b) - s(a)) = log s(b) + log s(-a) + log(1 - exp(a - b)),    b - a = 2 h / scale

exactly: nothing cancels, so no bin needs a stand-in for a mass that rounds to zero.

References:
    PixelCNN++ (Salimans, Karpathy, Chen, Kingma, 2017), equation 2; there the tails take the density at the midpoint.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.numerics.normal import COARSE, on_grid


def log_logistic_mass(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """log of a logistic's mass in the bin of x, on L levels normalised to [-1, 1], elementwise.

    The bins are 2/(L-1) wide and centred at the levels; the first and the last reach to infinity,
    so the L masses sum to one. Above 256 levels it is computed in float64, at the level nearest to x.
    """
    if levels > COARSE:
        dtype = torch.result_type(mean, log_scale)
        return _log_mass(on_grid(x, levels), mean.double(), log_scale.double(), levels).to(dtype)
    return _log_mass(x, mean, log_scale, levels)


def _log_mass(x: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    half = 1 / (levels - 1)
    inverse = (-log_scale).exp()
    centred = x - mean
    below = F.logsigmoid((centred + half) * inverse)  # log s(b)
    above = F.logsigmoid((half - centred) * inverse)  # log s(-a)
    inside = below + above + torch.log(-torch.expm1(-2 * half * inverse))
    return torch.where(x <= half - 1, below, torch.where(x >= 1 - half, above, inside))


def log_logistic_mixture_mass(x: Tensor, log_weights: Tensor, mean: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """The same of a mixture for each value: x `[..., D]`, the parameters of M logistics `[..., M, D]` -> `[..., D]`.

    Arguments:
        log_weights: up to a constant.
    """
    mass = log_logistic_mass(x.unsqueeze(-2), mean, log_scale, levels)
    return torch.logsumexp(log_weights.log_softmax(-2) + mass, -2)
