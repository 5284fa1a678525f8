"""The log-likelihood of the lower half of an image given the upper one, exactly, of models that read in raster order.

    log p(lower | upper) = log p(x) - log p(upper) = sum over the lower half of log p(x_i | what is read before i)

A class-conditional model is the mixture of its classes, and what is given tells of the class:

    log p(lower | upper) = log sum_y p(x | y) - log sum_y p(upper | y)
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import Unavailable
from genbench.likelihood.at_most_one import refuse_above_one
from genbench.likelihood.exact import unsteady
from genbench.likelihood.result import LogLikelihood
from genbench.models import steady
from genbench.models.capabilities import n_classes
from genbench.models.sampling import real, to_tensor

SLACK = 1e-3  # nats of a half: what rounding may move


@torch.no_grad()
def completion(
    model: Any,
    x: np.ndarray,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> LogLikelihood:
    """log p(lower half | upper half) of every image of `x` `[N, C, H, W]`; of an odd H the lower half is the larger.

    Raises:
        Unavailable: no image, no `log_conditionals`, or the model does not read the upper half first.
        ModelError: conditionals are no real numbers, or are those of integers and above 0, or change when they are
            asked for again, or with the images beside them.
    """
    if not model.space.is_image or not callable(getattr(model, "log_conditionals", None)):
        raise Unavailable("completion is scored by the log_conditionals of a model of images")
    half = model.space.shape[1] // 2

    def ask(examples: np.ndarray) -> np.ndarray:
        log_p = conditionals_of(model, to_tensor(examples, model.space, device))
        upper = log_p[..., :half, :].flatten(2).sum(2)
        return (torch.logsumexp(log_p.flatten(2).sum(2), 0) - torch.logsumexp(upper, 0)).cpu().numpy()

    def make(number: int, rows: slice) -> Arrays:
        above = half * model.space.shape[2] * model.space.shape[0]  # values of an upper half
        if number == 0 and not reads_first(model, to_tensor(x[rows], model.space, device), above):
            raise Unavailable("the model does not read the upper half of an image before the lower")
        values = ask(x[rows])
        refuse_above_one(values, model.space, "log_conditionals")
        return {"values": values}

    if half == 0:
        raise Unavailable("an image of one row has no upper half")
    found = in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)
    warnings = unsteady(steady.change(ask, x, found["values"], model.space.dim), "exact", "log_conditionals")
    return LogLikelihood.of(found, "exact", "log_conditionals", warnings=warnings)


def conditionals_of(model: Any, x: Tensor) -> Tensor:
    """log p of every value given what is read before it, under each class: `[B, C, H, W]` -> `[classes, B, C, H, W]`.

    Raises:
        ModelError: they are no real numbers.
    """
    return under_each_class(model, "log_conditionals", x, tuple(x.shape)).double()


def under_each_class(model: Any, method: str, x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """What a method says of x under each class, without classes once: `[classes, *shape]`.

    Raises:
        ModelError: it gives no real numbers of that shape.
    """
    ask = getattr(model, method)
    labels = [torch.full((len(x),), y, device=x.device) for y in range(n_classes(model))]
    found = [ask(x, y) for y in labels] if labels else [ask(x)]
    return torch.stack([real(one, shape, method) for one in found])


def reads_first(model: Any, x: Tensor, n: int) -> bool:
    """Whether the first n values of images `[B, C, H, W]` in raster order, channels last, are read before the others.

    The others are changed; then nothing that is said of the first n may change.
    """
    C, H, W = model.space.shape
    before = (torch.arange(C * H * W, device=x.device) < n).view(H, W, C).permute(2, 0, 1)
    changed = x + 1 if model.space.levels is None else (x + 1) % model.space.levels
    other = torch.where(before, x, changed)
    said, otherwise = (conditionals_of(model, one)[..., before].sum(-1) for one in (x, other))
    return torch.allclose(otherwise, said, rtol=0, atol=SLACK)
