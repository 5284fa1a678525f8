"""How fast a generator's picture changes, as an extractor sees it, along a path between two latents.

    |f(G(path(t + eps))) - f(G(path(t)))|^2 / eps^2,    z0, z1 ~ p(z),    t ~ U(0, 1)

f are the features of the picture before it is rounded to levels: rounded, nearly no picture changes in a
step of 1e-4, and a few change by a whole level. G and f work in float64: in float32 the difference of two
pictures that differ by 1e-4 has three digits.

References:
    A style-based generator architecture for generative adversarial networks (Karras, Laine, Aila, 2019), section 4.1.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, silent
from genbench.errors import GenbenchError, Unavailable
from genbench.features import Extractor
from genbench.models.capabilities import Renderer, refusal
from genbench.models.sampling import dense, real, seeded

COLLINEAR = 1e-7  # sine of the angle below which a great circle is not defined


@torch.no_grad()
def path_lengths(
    model: Any,
    extractor: Extractor,
    n: int,
    seed: int,
    block_size: int,
    step: float = 1e-4,
    path: str = "slerp",
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> np.ndarray:
    """The squared speed at one place of each of n paths, `[n]` float64; path j depends on seed and block alone.

    Arguments:
        step: eps, as a share of the whole path.
        path: "slerp" or "lerp".

    Raises:
        Unavailable: no real-valued latents, or a model or an extractor that cannot do it in float64.
    """
    if path not in PATHS:
        raise GenbenchError(f"no path '{path}' between latents", f"Choose one of {', '.join(PATHS)}.")
    if not 0 < step < 1:
        raise GenbenchError(f"a step of {step} on a path", "Give a share of the path between 0 and 1, such as 1e-4.")
    if not isinstance(model, Renderer):
        raise refusal("a path needs sample_prior and expected", model)
    if extractor.between is None:
        raise Unavailable(f"extractor '{extractor.name}' sees whole levels only: a small step changes none of them")
    between = extractor.between
    # Latents are those that samples are made of; the pictures between them need more digits.
    exact = copy.deepcopy(model).double() if isinstance(model, torch.nn.Module) else model

    def make(number: int, rows: slice) -> Arrays:
        generator = seeded("path", seed, number, device=device)
        z0, z1 = (dense(model.sample_prior(block_size, generator), "sample_prior") for _ in range(2))
        if not z0.is_floating_point():
            raise Unavailable("the latents are whole numbers: there is no path between two of them")
        t = torch.rand(block_size, generator=generator, device=device, dtype=torch.float64)
        ends = [PATHS[path](z0.double(), z1.double(), at) for at in (t, t + step)]
        before, after = (between(pictures(exact, z)) for z in ends)
        speeds = ((after - before) / step).square().sum(1).cpu().numpy()
        return {"lengths": speeds[: rows.stop - rows.start]}

    return in_blocks(n, block_size, make, keep, progress)["lengths"]


def pictures(model: Renderer, z: Tensor) -> Tensor:
    """E[x | z], checked: `[n, ...]` -> `[n, *shape]` float64."""
    x = real(model.expected(z), (len(z), *model.space.shape), "expected")
    if x.dtype != torch.float64:
        raise Unavailable(f"the model gives {x.dtype} for float64 latents: a small step is lost in its rounding")
    return x


def lerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """A straight line from a (t = 0) to b (t = 1): `[n, ...]`, `[n, ...]`, `[n]` -> `[n, ...]`."""
    return torch.lerp(a, b, _along(t, a))


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """(sin((1 - t) w) a + sin(t w) b) / sin w, w the angle between a and b: a great circle where |a| = |b|.

    A straight line where the two are collinear, or one of them is 0. Shapes as in `lerp`.

    References:
        Animating rotation with quaternion curves (Shoemake, 1985), section 3.3.
    """
    A, B = a.flatten(1), b.flatten(1)
    norms = A.norm(dim=1) * B.norm(dim=1)
    w = ((A * B).sum(1) / norms).clamp(-1, 1).acos()  # NaN for a latent of 0
    sine = w.sin()
    curved = (_along(((1 - t) * w).sin() / sine, a) * a) + (_along((t * w).sin() / sine, a) * b)
    return torch.where(_along(sine > COLLINEAR, a), curved, lerp(a, b, t))


def _along(t: Tensor, z: Tensor) -> Tensor:
    """`[n]` -> `[n, 1, ...]`, with as many dimensions as z."""
    return t.view(-1, *[1] * (z.dim() - 1))


PATHS = {"slerp": slerp, "lerp": lerp}
