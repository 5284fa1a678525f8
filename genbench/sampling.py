"""Samples by blocks: block i is always `model.sample(block_size, generator seeded by (seed, i))`.

So a sample depends neither on how many samples were asked for, nor on how the work was shared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np
import torch

from genbench.errors import ModelError
from genbench.protocol import Sampler
from genbench.space import Space


def derive(*keys: object) -> int:
    """A 63-bit seed from any keys, the same on every machine and in every process."""
    digest = hashlib.sha256(repr(keys).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seeded(*keys: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator on `device`, seeded by `keys`."""
    return torch.Generator(device=device).manual_seed(derive(*keys))


def to_tensor(x: np.ndarray, space: Space, device: torch.device | str = "cpu") -> torch.Tensor:
    """An array of the space as a model takes it: int64 or float32, on `device`."""
    dtype = torch.float32 if space.levels is None else torch.int64
    return torch.from_numpy(np.ascontiguousarray(x)).to(device=device, dtype=dtype)


def to_array(x: torch.Tensor, space: Space, who: str) -> np.ndarray:
    """A model's tensor as an array of the space; ModelError if it is not in the space."""
    if not isinstance(x, torch.Tensor):
        raise ModelError(f"{who}: expected a tensor, got {type(x).__name__}")
    return space.checked(x.detach().cpu().numpy(), who)


@torch.no_grad()
def draw(
    model: Sampler,
    n: int,
    seed: int,
    block_size: int,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] = lambda done: None,
) -> np.ndarray:
    """n samples of the model, `[n, *shape]`, in the space's dtype.

    Raises:
        ModelError: a block has the wrong shape, dtype or range, or is not finite.
    """
    blocks = []
    for i in range(-(-n // block_size)):
        x = model.sample(block_size, seeded(seed, i, device=device))
        block = to_array(x, model.space, "sample")
        if len(block) != block_size:
            raise ModelError(f"sample: asked for {block_size} samples, got {len(block)}")
        blocks.append(block)
        progress(min(n, (i + 1) * block_size))
    return np.concatenate(blocks)[:n]
