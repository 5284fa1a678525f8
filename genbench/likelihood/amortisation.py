"""What an encoder loses by answering for all examples at once: the bound at its q, and at a q that is sought for each.

    L(x; q) = E_q log p(x | z) - KL(q || N(0, I)),    q = N(mean, diag sd^2)
    amortisation gap = max_q L(x; q) - L(x; encoder(x)) >= 0

The search is an ascent of L in mean and log sd with p held still, by Adam, each example alone, from the encoder's own
q. It uses new noise in every step. Both bounds are then measured with noise that the search never saw, the same for
both, so that their difference has little. What is found cannot be above the maximum: the gap is bounded from below.

References:
    Inference suboptimality in variational autoencoders (Cremer, Li, Duvenaud, 2018), section 3.1, equation 5.
    Auto-Encoding Variational Bayes (Kingma, Welling, 2014), appendix B, for the KL; Adam (Kingma, Ba, 2015).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, silent
from genbench.errors import Unavailable
from genbench.models.sampling import real, seeded, to_tensor

# Of the search. They are part of what the metric is, and change with its version.
STEPS, DRAWS, RATE = 300, 4, 0.05
BETAS, FLAT = (0.9, 0.99), 1e-3  # a slope below FLAT nats makes short steps
MEASURED = 200  # draws by which either bound is measured


def amortisation(
    model: Any,
    x: np.ndarray,
    mean: np.ndarray,
    log_sd: np.ndarray,
    seed: int,
    block_size: int,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> Arrays:
    """The bounds of every example of `x` `[N, *shape]` in nats: `encoder` and `search` `[N]`.

    Arguments:
        mean, log_sd: of the encoder's q `[N, d]`, beside a prior N(0, I).
        seed, block_size: the noise of examples i * block_size ... is seeded by (seed, i).

    Raises:
        Unavailable: the model's log_likelihood carries no gradient to z.
        ModelError: it has the wrong shape.
    """

    def make(number: int, rows: slice) -> Arrays:
        generator = seeded(seed, "amortisation", number, device=device)
        block = to_tensor(x[rows], model.space, device)
        encoder = torch.stack([torch.from_numpy(q[rows]).to(device) for q in (mean, log_sd)])
        search = ascent(model, block, encoder, generator)
        noise = torch.randn(MEASURED, *encoder.shape[1:], generator=generator, device=device)
        with torch.no_grad():
            found = {"encoder": bound(model, block, encoder, noise), "search": bound(model, block, search, noise)}
        return {name: values.double().cpu().numpy() for name, values in found.items()}

    return in_blocks(len(x), block_size, make, keep, progress)


def ascent(model: Any, x: Tensor, q: Tensor, generator: torch.Generator) -> Tensor:
    """The q of every example after the search, from q (mean and log sd): `[2, B, d]` -> `[2, B, d]`."""
    first, second = torch.zeros_like(q), torch.zeros_like(q)
    for t in range(STEPS):
        noise = torch.randn(DRAWS, *q.shape[1:], generator=generator, device=q.device)
        with torch.enable_grad():
            q = q.detach().requires_grad_()
            total = bound(model, x, q, noise, attached=True).sum()
            (slope,) = torch.autograd.grad(total, q)
        first, second = torch.lerp(slope, first, BETAS[0]), torch.lerp(slope**2, second, BETAS[1])
        scale = (second / (1 - BETAS[1] ** (t + 1))).sqrt() + FLAT
        rate = RATE * 0.5 * (1 + math.cos(math.pi * t / STEPS))
        q = q.detach() + rate * first / (1 - BETAS[0] ** (t + 1)) / scale
    return q


def bound(model: Any, x: Tensor, q: Tensor, noise: Tensor, attached: bool = False) -> Tensor:
    """L(x; q) by the draws mean + sd * noise: `[B, *shape]`, `[2, B, d]`, `[k, B, d]` -> `[B]`.

    Arguments:
        attached: to q, whose gradient is asked for.
    """
    mean, log_sd = q
    z = (mean + log_sd.exp() * noise).flatten(0, 1)  # [k B, d]
    given = model.log_likelihood(x.repeat(len(noise), *[1] * (x.dim() - 1)), z)
    values = real(given, (len(z),), "log_likelihood")
    if attached:
        if not given.requires_grad:
            raise Unavailable("the search for q needs a log_likelihood that carries a gradient to z")
        values = given
    kl = 0.5 * (mean.square() + (2 * log_sd).exp() - 1) - log_sd
    return values.unflatten(0, (len(noise), -1)).mean(0) - kl.sum(1)
