"""Layers and one-dimensional likelihoods that several baselines share."""

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.numerics.normal import log_normal, log_normal_mass, normalised

__all__ = [
    "categorical_log_likelihood",
    "log_bernoulli",
    "log_normal",
    "log_normal_mass",
    "normalised",
    "sample_categorical",
]


def categorical_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x) summed over an observation: logits [B, L, *shape], x [B, *shape] int64 -> [B]."""
    return -F.cross_entropy(logits, x, reduction="none").flatten(1).sum(1)


def log_bernoulli(z: Tensor, logits: Tensor) -> Tensor:
    """log prod_j Bernoulli(z_j; sigmoid(logits_j)), in the dtype of the logits: z of 0 and 1 [..., d] -> [...]."""
    return (z * logits - F.softplus(logits)).sum(-1)


def sample_categorical(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One draw from each of `[..., L]` logits -> `[...]` int64."""
    p = logits.softmax(-1)
    return torch.multinomial(p.flatten(0, -2), 1, generator=generator).view(logits.shape[:-1])
