"""Images of which the upper half is given: draws of the lower half, and the most likely one that a beam finds.

Draws are the model's own `complete`. The most likely lower half is searched value by value in raster order, channels
last, by `log_conditionals` alone, or faster by `level_logits` where the model has them. A class-conditional model is
the mixture of its classes, whose weights what was read so far decides:

    p(x_t | x_<t) = sum_y p(x_<t | y) p(x_t | x_<t, y) / sum_y p(x_<t | y)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.errors import Unavailable
from genbench.likelihood.completion import conditionals_of, reads_first, under_each_class
from genbench.models.capabilities import n_classes
from genbench.models.sampling import seeded, to_array, to_tensor
from genbench.numerics.beam import beam_search
from genbench.space import Space

WIDTH = 8  # paths of the beam
MOST = 20_000  # images that a search may ask the model for


def visible(space: Space) -> np.ndarray:
    """The mask `[C, H, W]` of the upper half: 1 where a value is given; of an odd H the lower half is the larger."""
    mask = np.zeros(space.shape, np.int64)
    mask[:, : space.shape[1] // 2] = 1
    return mask


@torch.no_grad()
def drawn(model: Any, x: np.ndarray, draws: int, seed: int, device: torch.device | str = "cpu") -> np.ndarray:
    """Draws of the lower half of every image `[N, C, H, W]` -> `[draws, N, C, H, W]`.

    Raises:
        Unavailable: no image, or the model cannot complete it.
        ModelError: what it gives is not in its space, or changes what was given.
    """
    if not model.space.is_image or not callable(getattr(model, "complete", None)):
        raise Unavailable("the model does not complete images")
    mask = visible(model.space)
    found = []
    for number in range(draws):
        given = to_tensor(x, model.space, device), torch.tensor(mask, device=device).expand(x.shape)
        one = to_array(model.complete(*given, seeded(seed, "complete", number, device=device)), model.space, "complete")
        if one.shape != x.shape or not np.array_equal(one[:, mask == 1], x[:, mask == 1]):
            raise Unavailable("the model does not keep what it was given")
        found.append(one)
    return np.stack(found)


@torch.no_grad()
def most_likely(
    model: Any, x: np.ndarray, beam: int = WIDTH, device: torch.device | str = "cpu", most: int = MOST
) -> np.ndarray:
    """Every image `[N, C, H, W]` with its lower half set to the likeliest one that a beam finds.

    Arguments:
        most: images that the model may be asked to score; the search takes N * beam of them for every hidden value and
            class, L times as many without `level_logits`.

    Raises:
        Unavailable: no image of integers, no `log_conditionals`, the model does not read in raster order, or the search
            would take too long.
        ModelError: conditionals are no real numbers.
    """
    space = model.space
    mask = visible(space)
    if not space.is_image or space.levels is None or not callable(getattr(model, "log_conditionals", None)):
        raise Unavailable("the likeliest completion is searched by the log_conditionals of a model of integer images")
    tries = 1 if callable(getattr(model, "level_logits", None)) else space.levels
    if (asked := int((1 - mask).sum()) * len(x) * beam * tries * max(1, n_classes(model))) > most:
        raise Unavailable(f"the search would score {asked:,} images")
    start = to_tensor(x, space, device)
    C, H, W = space.shape
    if not all(reads_first(model, start, n) for n in range(C * W * (H // 2), space.dim, max(1, W * C // 2))):
        raise Unavailable("the model does not read the lower half of an image in raster order, after the upper one")
    given = torch.tensor(mask, device=device).bool().permute(1, 2, 0).flatten()
    first = int(given.sum())
    paths = start.repeat_interleave(beam, 0) * torch.tensor(mask, device=device)
    # log p(what is read so far | y) of each path: [classes, N * beam]
    past = conditionals_of(model, paths)[..., : H // 2, :].flatten(2).sum(2)
    ahead = past  # of the last value at every level: [classes, N * beam, L]

    def advance(token: Tensor, rows: Tensor, t: int) -> Tensor:
        """Logits of the value at step t, of paths whose last value is `token`: see `beam_search`."""
        nonlocal paths, past, ahead
        if t < first:
            return past.new_zeros(len(token), space.levels)  # given: whatever is said of it is not read
        if t > first:
            paths, past = (
                paths[rows],
                (past[:, rows] + ahead[:, rows].gather(2, token.expand(len(past), -1)[..., None])[..., 0]),
            )
            i, j, c = place(t - 1)
            paths[:, c, i, j] = token
        i, j, c = place(t)
        ahead = at_every_level(model, paths, c, i, j)
        return torch.logsumexp(past[..., None] + ahead, 0) - torch.logsumexp(past, 0)[:, None]

    def place(t: int) -> tuple[int, int, int]:
        """Row, column and channel of the value that is read at step t."""
        return t // (W * C), t // C % W, t % C

    values = start.permute(0, 2, 3, 1).flatten(1)
    found = beam_search(advance, values, given.expand(len(x), -1), 0, beam)
    return to_array(found.view(-1, H, W, C).permute(0, 3, 1, 2), space, "the likeliest completion")


def at_every_level(model: Any, x: Tensor, c: int, i: int, j: int) -> Tensor:
    """log p of the value at one place of `[B, C, H, W]` at every level, under each class: `[classes, B, L]`."""
    L, B = model.space.levels, len(x)
    if not callable(getattr(model, "level_logits", None)):
        tried = x.repeat_interleave(L, 0)
        tried[:, c, i, j] = torch.arange(L, device=x.device).repeat(B)
        return conditionals_of(model, tried)[..., c, i, j].unflatten(1, (B, L))
    logits = under_each_class(model, "level_logits", x, (B, L, *x.shape[1:]))
    return logits[..., c, i, j].double().log_softmax(-1)
