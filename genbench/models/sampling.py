"""Samples by blocks: block i is always `model.sample(block_size, generator seeded by (seed, i))`.

So a sample depends neither on how many samples were asked for, nor on how the work was shared.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import ModelError
from genbench.models.capabilities import Encoder, HasGaussianPosterior, Reconstructor, Sampler, Translator
from genbench.space import Space


def derive(*keys: object) -> int:
    """A 63-bit seed from any keys, the same on every machine and in every process."""
    digest = hashlib.sha256(repr(keys).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def seeded(*keys: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator on `device`, seeded by `keys`."""
    return torch.Generator(device=device).manual_seed(derive(*keys))


def to_tensor(x: np.ndarray, space: Space, device: torch.device | str = "cpu") -> torch.Tensor:
    """An array of the space as a model takes it: int64 or float32, on `device`; a copy, which a model may change."""
    return torch.tensor(x, dtype=torch.float32 if space.levels is None else torch.int64, device=device)


def to_array(x: torch.Tensor, space: Space, who: str) -> np.ndarray:
    """A model's tensor as an array of the space; ModelError if it is not in the space."""
    x = dense(x, who)
    return space.checked((x.float() if x.dtype == torch.bfloat16 else x).cpu().numpy(), who)


def dense(x: torch.Tensor, who: str) -> torch.Tensor:
    """What a model gave, detached, if it is a tensor of plain numbers that are all there; else a ModelError."""
    if not isinstance(x, torch.Tensor):
        raise ModelError(f"{who}: expected a tensor, got {type(x).__name__}")
    if x.layout != torch.strided or x.is_quantized or x.is_meta or x.is_nested:
        raise ModelError(f"{who}: expected a dense tensor with content, got {x.layout} of {x.dtype} on {x.device}")
    return x.detach().resolve_conj().resolve_neg()


def real(x: torch.Tensor, shape: tuple[int, ...], who: str) -> torch.Tensor:
    """What a model gave, detached, if it is a tensor of real numbers of that shape; else a ModelError."""
    x = dense(x, who)
    if tuple(x.shape) != shape:
        raise ModelError(f"{who}: expected {list(shape)}, got {list(x.shape)}")
    if not x.is_floating_point():
        raise ModelError(f"{who}: expected real numbers, got {x.dtype}")
    return x


@torch.no_grad()
def draw(
    model: Sampler,
    n: int,
    seed: int,
    block_size: int,
    device: torch.device | str = "cpu",
    labels: np.ndarray | None = None,
    keep: Keep = afresh,
    progress: Progress = silent,
) -> np.ndarray:
    """n samples of the model, `[n, *shape]`, in the space's dtype.

    Arguments:
        labels: of a class-conditional model, the class asked of every sample `[n]`; in the rest of the last
            block they begin again.
        keep: how finished blocks are remembered, see `genbench.blocks`.

    Raises:
        ModelError: a block has the wrong shape, dtype or range, or is not finite.
    """
    whole = -(-n // block_size) * block_size
    asked = None if labels is None else torch.from_numpy(np.resize(labels, whole)).to(device)

    def make(number: int, rows: slice) -> Arrays:
        given = {} if asked is None else {"labels": asked[rows.start : rows.start + block_size]}
        x = model.sample(block_size, seeded(seed, number, device=device), **given)
        block = to_array(x, model.space, "sample")
        if len(block) != block_size:
            raise ModelError(f"sample: asked for {block_size} samples, got {len(block)}")
        return {"samples": block[: rows.stop - rows.start]}

    return in_blocks(n, block_size, make, keep, progress)["samples"]


@torch.no_grad()
def reconstruct(
    model: Reconstructor,
    x: np.ndarray,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> np.ndarray:
    """What an autoencoder gives back of x `[n, *shape]`: real numbers in the raw range of its space, `[n, *shape]`.

    Raises:
        ModelError: the wrong shape, or values that are no real numbers.
    """
    pictures = Space(model.space.shape)

    def make(number: int, rows: slice) -> Arrays:
        batch = to_tensor(x[rows], model.space, device)
        block = to_array(model.reconstruct(batch), pictures, "reconstruct")
        if len(block) != len(batch):
            raise ModelError(f"reconstruct: given {len(batch)} examples, got {len(block)}")
        return {"x": block}

    return in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)["x"]


@torch.no_grad()
def translate(
    model: Translator,
    x: np.ndarray,
    back: bool,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> np.ndarray:
    """What a model makes of x `[n, *shape]` in the other domain, `[n, *shape]` in the space's dtype.

    Arguments:
        back: whether x is of the target domain.

    Raises:
        ModelError: the wrong shape, dtype or range, or values that are not finite.
    """

    def make(number: int, rows: slice) -> Arrays:
        batch = to_tensor(x[rows], model.space, device)
        block = to_array(model.translate(batch, back), model.space, "translate")
        if len(block) != len(batch):
            raise ModelError(f"translate: given {len(batch)} examples, got {len(block)}")
        return {"x": block}

    return in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)["x"]


@torch.no_grad()
def encode(
    model: Encoder,
    x: np.ndarray,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> np.ndarray:
    """What a model makes of x `[n, *shape]`: its codes, float32 `[n, d]`.

    Raises:
        ModelError: no tensor `[n, d]` of real numbers, or one that is not finite.
    """

    def make(number: int, rows: slice) -> Arrays:
        batch = to_tensor(x[rows], model.space, device)
        found = dense(model.encode(batch), "encode")
        if found.dim() != 2 or len(found) != len(batch) or not found.shape[1]:
            raise ModelError(f"encode: expected [{len(batch)}, d], got {list(found.shape)}")
        return {"codes": to_array(found, Space((found.shape[1],)), "encode")}

    return in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)["codes"]


@torch.no_grad()
def gaussian_posteriors(
    model: HasGaussianPosterior,
    x: np.ndarray,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> Arrays:
    """`mean` and `log_sd` of q(z | x) of x `[n, *shape]`, float32 `[n, d]` each.

    Raises:
        ModelError: the wrong shapes, values that are not finite, or a prior that is not N(0, I).
    """

    def make(number: int, rows: slice) -> Arrays:
        batch = to_tensor(x[rows], model.space, device)
        mean, log_sd = (dense(part, "gaussian_posterior") for part in model.gaussian_posterior(batch))
        if mean.dim() != 2 or len(mean) != len(batch) or mean.shape != log_sd.shape:
            raise ModelError(f"gaussian_posterior: expected [{len(batch)}, d] twice, got {list(mean.shape)}")
        normal = -0.5 * (mean.square() + math.log(2 * math.pi)).sum(1)
        if not torch.allclose(model.log_prior(mean).to(normal), normal, rtol=1e-3, atol=1e-3):
            raise ModelError("gaussian_posterior: log_prior is not that of N(0, I), to which the KL is taken")
        space = Space((mean.shape[1],))
        return {name: to_array(part, space, name) for name, part in (("mean", mean), ("log_sd", log_sd))}

    return in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)
