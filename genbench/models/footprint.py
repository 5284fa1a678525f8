"""How much memory a training takes: the bytes of tensors, counted where they are made and where they are given up.

Weights, gradients, the optimiser's numbers, averages, activations kept for the backward pass: all of these are tensors,
and every tensor that an operation gives has a storage, which is counted once, however many views there are of it. So
the count is of the model and its training and not of the process, and equal versions of torch give equal counts. What
an operation needs inside itself is not seen.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

if TYPE_CHECKING:
    from genbench.datasets import Dataset
    from genbench.models.checkpoint import Card

STEPS = 2  # of every stage: the second has the optimiser's numbers of the first beside its activations


@dataclass(frozen=True)
class TrainingMemory:
    """The most bytes that tensors held at once in the first steps of every stage of a training.

    Arguments:
        kept: bytes of the model's own weights and buffers, a part of it.
        batch_size: of the preset.
        device: its name.
    """

    bytes: int
    kept: int
    batch_size: int
    device: str


class Held(TorchDispatchMode):
    """While it is entered, the bytes of storages made meanwhile that are not given up yet, and the most they were.

    Attributes:
        now, most: bytes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: dict[int, weakref.finalize] = {}  # by the address of a storage

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.layout == torch.strided:
                self.count(tensor.untyped_storage())
        return made

    def count(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata
        if address in self.known:
            return
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        self.known[address] = weakref.finalize(storage, self.given_up, address, storage.nbytes())

    def given_up(self, address: int, size: int) -> None:
        self.now -= size
        del self.known[address]


def training_memory(card: Card, dataset: Dataset, device: torch.device) -> TrainingMemory:
    """Of a checkpoint's baseline, from its first weights; without the data, what it sees before its first step, and
    validation.

    Raises:
        Unavailable: it is fitted in closed form.
    """
    from genbench.models.timing import beginning, device_name, take_steps, untrained
    from genbench.models.training import stages_of

    held = Held()
    with torch.random.fork_rng():
        with held:
            model = untrained(card, dataset, device)
        kept = held.now
        begin = beginning(model, card, dataset, device)
        with held:
            for stage in stages_of(model):
                loop = begin(stage)
                take_steps(loop, STEPS)
    return TrainingMemory(held.most, kept, loop.batches.size, device_name(device))
