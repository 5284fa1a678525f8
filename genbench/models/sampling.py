"""Samples by blocks: block i is always `model.sample(block_size, generator seeded by (seed, i))`.

So a sample depends neither on how many samples were asked for, nor on how the work was shared. A model that ignores the
generator draws the same block again and again: few samples, counted as many.
"""

from __future__ import annotations

import hashlib
import math
import warnings

import numpy as np
import torch

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import ModelError
from genbench.models import steady
from genbench.models.capabilities import Encoder, HasGaussianPosterior, Reconstructor, Sampler, Translator
from genbench.numerics.choice import may_repeat, row_keys
from genbench.space import Space

CERTAIN = 30.0  # nats: what chance does once in 10^13 models


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
        ModelError: a block has the wrong shape, dtype or range, or is not finite; or blocks repeat each other.

    Warns where layers that act otherwise in training are in that mode.
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

    x = in_blocks(n, block_size, make, keep, progress)["samples"]
    if layers := steady.in_training(model):
        warnings.warn(
            f"{', '.join(layers)} of the model {'are' if len(layers) > 1 else 'is'} in training mode as it samples, so "
            "that a sample depends on those beside it, or on more than the generator",
            stacklevel=2,
        )
    refuse_repeated(x, block_size, labels)
    return x


def refuse_repeated(x: np.ndarray, block_size: int, labels: np.ndarray | None = None) -> None:
    """Looks for rows of `x` `[n, *shape]` that stand in the same places of two blocks, which have seeds of their own.

    Of independent draws from p the product over the places of (1 + [they are equal] / p(row)) / 2 is 1 on average, so
    that it exceeds e^30 with a chance of e^-30 at most (Markov). A model with few different samples is no exception: p
    is their share among all, given their labels `[n]`, and what is frequent may well be equal.

    Raises:
        ModelError: a block repeats the one before it, or the first.
    """
    if len(x) <= block_size or not may_repeat(x):
        return
    asked = np.zeros(len(x), int) if labels is None else np.unique(np.resize(labels, len(x)), return_inverse=True)[1]
    rows = [key + y.to_bytes(8) for key, y in zip(row_keys(x), asked.tolist(), strict=True)]
    _, row, counts = np.unique(np.array(rows, dtype="V24"), return_inverse=True, return_counts=True)
    p = (counts[row] / np.bincount(asked)[asked])[block_size:]
    places = np.arange(block_size, len(x))
    for other, what in ((places - block_size, "the block before it"), (places % block_size, "the first block")):
        equal = row[places] == row[other]
        of_blocks = np.add.reduceat(
            np.where(equal, np.log1p(1 / p), 0.0) - math.log(2), np.arange(0, len(places), block_size)
        )
        if max(of_blocks.max(), of_blocks.sum()) > CERTAIN:
            worst = int(of_blocks.argmax())
            same = int(equal[worst * block_size :][:block_size].sum())
            raise ModelError(
                f"sample: block {worst + 1} has {same} of {block_size} samples in common with {what}, place by place, "
                "though its generator has another seed: the samples do not come from the generator, and are fewer than "
                "they seem"
            )


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

    def ask(examples: np.ndarray) -> np.ndarray:
        return to_array(model.reconstruct(to_tensor(examples, model.space, device)), pictures, "reconstruct")

    return of_each(ask, x, model.space, "reconstruct", keep, progress)


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

    def ask(examples: np.ndarray) -> np.ndarray:
        return to_array(model.translate(to_tensor(examples, model.space, device), back), model.space, "translate")

    return of_each(ask, x, model.space, "translate", keep, progress)


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

    def ask(examples: np.ndarray) -> np.ndarray:
        found = dense(model.encode(to_tensor(examples, model.space, device)), "encode")
        if found.dim() != 2 or len(found) != len(examples) or not found.shape[1]:
            raise ModelError(f"encode: expected [{len(examples)}, d], got {list(found.shape)}")
        return to_array(found, Space((found.shape[1],)), "encode")

    return of_each(ask, x, model.space, "encode", keep, progress, "codes")


def of_each(
    ask: steady.Ask, x: np.ndarray, space: Space, method: str, keep: Keep, progress: Progress, name: str = "x"
) -> np.ndarray:
    """What a model says of every example of x `[n, *shape]`, of which each has an answer of its own: `[n, ...]`.

    Warns where answers change by themselves, or with the examples beside theirs.

    Arguments:
        name: of the answers in the blocks that are kept.

    Raises:
        ModelError: not as many answers as examples.
    """

    def make(number: int, rows: slice) -> Arrays:
        block = ask(x[rows])
        if len(block) != len(x[rows]):
            raise ModelError(f"{method}: given {len(x[rows])} examples, got {len(block)}")
        return {name: block}

    found = in_blocks(len(x), rows_of(space.shape), make, keep, progress)[name]
    change = steady.change(ask, x, found, float(np.abs(found.astype(np.float64)).max()))
    if change is not None and (change.again or change.relative > steady.FAR) and change.share > steady.SOME:
        warnings.warn(change.said(method), stacklevel=2)
    return found


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
