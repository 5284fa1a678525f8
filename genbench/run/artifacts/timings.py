"""What a model costs: seconds of sampling and of training, measured by the process that has the model alone; memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.errors import Unavailable
from genbench.models.fixed import FixedSamples
from genbench.run.artifacts.declaration import MODEL, artifact

if TYPE_CHECKING:
    from genbench.models.checkpoint import Card
    from genbench.models.footprint import TrainingMemory
    from genbench.models.timing import Timings, TrainingTimings
    from genbench.run.artifacts.context import Context


@artifact(MODEL, "block_size", alone=True)
def timings(c: Context) -> Timings:
    """Seconds of sampling, of a block and of one."""
    if isinstance(c.model, FixedSamples):
        raise Unavailable("the samples are given: there is nothing to time")
    import torch

    from genbench.models.timing import time_sampling

    return time_sampling(c.model, c.protocol.block_size, torch.device(c.device))


@artifact(MODEL, alone=True)
def training_timings(c: Context) -> TrainingTimings:
    """Training examples per second of the loop that a checkpoint comes from, and seconds to its best weights."""
    import torch

    from genbench.models.timing import time_training

    return time_training(card_of(c), c.dataset, torch.device(c.device))


@artifact(MODEL, alone=True)
def training_memory(c: Context) -> TrainingMemory:
    """Bytes that tensors hold in the first steps of the training that a checkpoint comes from."""
    import torch

    from genbench.models import footprint

    return footprint.training_memory(card_of(c), c.dataset, torch.device(c.device))


def card_of(c: Context) -> Card:
    """Of the model, where it was trained here."""
    if c.artifacts.source.adapter != "checkpoint":
        raise Unavailable("only a checkpoint that `genbench train` wrote says how it is trained")
    return c.artifacts.source.extra
