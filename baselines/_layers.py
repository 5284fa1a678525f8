"""Layers and one-dimensional likelihoods that several baselines share."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.numerics.normal import log_normal, log_normal_mass, nearest_level, normalised

__all__ = [
    "MaskedLinear",
    "categorical_log_likelihood",
    "kl_to_standard_normal",
    "log_bernoulli",
    "log_normal",
    "log_normal_mass",
    "nearest_level",
    "normalised",
    "quarters",
    "sample_categorical",
    "standard_logistic",
]


class MaskedLinear(nn.Module):
    """x `[..., in]` -> W x + b `[..., out]`, where output j sees input i only if the mask `[out, in]` says so.

    `weights` are the numbers of W that the mask leaves, row by row: in an autoregressive network the other half decides
    nothing, and would fill half of a checkpoint. They begin as those of a `torch.nn.Linear`.
    """

    place: Tensor

    def __init__(self, mask: Tensor, bias: bool = True) -> None:
        super().__init__()
        dense, seen = nn.Linear(mask.shape[1], mask.shape[0], bias), mask.bool()
        self.shape, self.weights, self.bias = mask.shape, nn.Parameter(dense.weight.detach()[seen]), dense.bias
        self.register_buffer("place", seen.flatten().nonzero()[:, 0], persistent=False)

    @property
    def weight(self) -> Tensor:
        """W, with zeros where the mask hides it: `[out, in]`."""
        return self.weights.new_zeros(self.shape.numel()).scatter(0, self.place, self.weights).view(self.shape)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)


def categorical_log_likelihood(logits: Tensor, x: Tensor) -> Tensor:
    """log p(x) summed over an observation: logits [B, L, *shape], x [B, *shape] int64 -> [B]."""
    return -F.cross_entropy(logits, x, reduction="none").flatten(1).sum(1)


def log_bernoulli(z: Tensor, logits: Tensor) -> Tensor:
    """log prod_j Bernoulli(z_j; sigmoid(logits_j)), in the dtype of the logits: z of 0 and 1 [..., d] -> [...]."""
    return (z * logits - F.softplus(logits)).sum(-1)


def quarters(h: Tensor) -> Tensor:
    """What a network makes of an image, as a code: each feature's mean over each quarter, [B, p, H, W] -> [B, 4 p].

    The mean over all places would lose where a stroke is; the features of all places are as many as a probe can learn
    by heart. Of an odd side the middle counts in both halves.
    """
    return F.adaptive_avg_pool2d(h, 2).flatten(1)


def kl_to_standard_normal(mean: Tensor, log_sd: Tensor) -> Tensor:
    """KL(N(mean, sd^2) || N(0, 1)), elementwise (Kingma and Welling 2014, appendix B)."""
    return 0.5 * (mean**2 + (2 * log_sd).exp() - 1 - 2 * log_sd)


def standard_logistic(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """Draws, by the quantile function at a uniform number, which is kept off 0 and 1."""
    u = torch.rand(*shape, generator=generator, device=generator.device)
    return torch.logit(u.clamp(1e-7, 1 - 1e-7))


def sample_categorical(logits: Tensor, generator: torch.Generator) -> Tensor:
    """One draw from each of `[..., L]` logits -> `[...]` int64."""
    p = logits.softmax(-1)
    return torch.multinomial(p.flatten(0, -2), 1, generator=generator).view(logits.shape[:-1])
