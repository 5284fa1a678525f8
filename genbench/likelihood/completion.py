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
from genbench.likelihood.result import LogLikelihood
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
        ModelError: conditionals are no real numbers, or are those of integers and above 0.
    """
    if not model.space.is_image or not callable(getattr(model, "log_conditionals", None)):
        raise Unavailable("completion is scored by the log_conditionals of a model of images")
    half, classes = model.space.shape[1] // 2, n_classes(model)

    def conditionals(batch: Tensor) -> Tensor:
        """log p of every value given what is read before it, under each class: `[classes, B, C, H, W]`."""
        labels = [torch.full((len(batch),), y, device=device) for y in range(classes)]
        found = [model.log_conditionals(batch, y) for y in labels] if classes else [model.log_conditionals(batch)]
        return torch.stack([real(one, tuple(batch.shape), "log_conditionals") for one in found]).double()

    def upper(log_p: Tensor) -> Tensor:
        return log_p[..., :half, :].flatten(2).sum(2)

    def make(number: int, rows: slice) -> Arrays:
        batch = to_tensor(x[rows], model.space, device)
        log_p = conditionals(batch)
        if number == 0:
            other = batch.clone()
            other[:, :, half:] = batch.flip(0, 2)[:, :, half:] if len(batch) > 1 else batch.flip(2)[:, :, half:]
            if not torch.allclose(upper(conditionals(other)), upper(log_p), rtol=0, atol=SLACK):
                raise Unavailable("the model does not read the upper half of an image before the lower")
        values = torch.logsumexp(log_p.flatten(2).sum(2), 0) - torch.logsumexp(upper(log_p), 0)
        refuse_above_one(values.cpu().numpy(), model.space, "log_conditionals")
        return {"values": values.cpu().numpy()}

    if half == 0:
        raise Unavailable("an image of one row has no upper half")
    found = in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)
    return LogLikelihood.of(found, "exact", "log_conditionals")
