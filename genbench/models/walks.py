"""Walks through latents: what a decoder shows between two codes, and along one coordinate after another.

    interpolation   E[x | z],   z = (1 - t) f(a) + t f(b),           t from 0 to 1, f(x) the code of an example
    traversal       E[x | z],   z = f(a) with z_j from m_j - 2 s_j to m_j + 2 s_j,   m, s over the training codes

They are for looking at, and no metric reads them.

References:
    Unsupervised representation learning with deep convolutional generative adversarial networks (Radford, Metz,
    Chintala, 2016), section 6.1: walking in the latent space.
    beta-VAE: Learning basic visual concepts with a constrained variational framework (Higgins et al., 2017), figure 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from genbench.models.capabilities import Encoder, Renderer, n_classes
from genbench.models.sampling import dense, encode, real, seeded

REACH = 2.0  # standard deviations of a coordinate, on either side


def walkable(model: Any) -> bool:
    """Whether what the model encodes is what it decodes: as many real numbers, and no class to be given."""
    if not isinstance(model, Renderer) or not isinstance(model, Encoder) or n_classes(model):
        return False
    z = dense(model.sample_prior(1, seeded("walk")), "sample_prior")
    return z.is_floating_point() and z.dim() == 2


@torch.no_grad()
def interpolations(model: Any, a: np.ndarray, b: np.ndarray, steps: int, device: Any = "cpu") -> np.ndarray:
    """Between each of a and its partner in b, `[n, *shape]` twice: `[n, steps, *shape]` in the raw range."""
    codes = [torch.from_numpy(encode(model, x, device)) for x in (a, b)]
    t = torch.linspace(0, 1, steps)[None, :, None]
    return shown(model, torch.lerp(codes[0][:, None], codes[1][:, None], t), device)


@torch.no_grad()
def traversals(model: Any, a: np.ndarray, train_codes: np.ndarray, rows: int, steps: int, device: Any) -> np.ndarray:
    """About the code of one example `[1, *shape]`, along the coordinates that spread most: `[rows, steps, *shape]`."""
    z = torch.from_numpy(encode(model, a, device))
    mean, sd = train_codes.mean(0), train_codes.std(0)
    chosen = np.argsort(-sd, kind="stable")[:rows]
    along = z.repeat(len(chosen), steps, 1)
    for row, j in enumerate(chosen):
        along[row, :, j] = torch.linspace(float(mean[j] - REACH * sd[j]), float(mean[j] + REACH * sd[j]), steps)
    return shown(model, along, device)


def shown(model: Any, z: torch.Tensor, device: Any) -> np.ndarray:
    """E[x | z]: `[rows, steps, d]` -> `[rows, steps, *shape]`."""
    flat = z.flatten(0, 1).to(device)
    x = real(model.expected(flat), (len(flat), *model.space.shape), "expected")
    return x.float().cpu().numpy().reshape(*z.shape[:2], *model.space.shape)
