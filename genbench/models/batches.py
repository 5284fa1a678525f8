"""Training data as numbered batches: batch i of a seed is the same whenever it is asked for."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import Tensor

from genbench.datasets import Dataset
from genbench.datasets._sequences import crops
from genbench.errors import GenbenchError
from genbench.models.sampling import derive, to_tensor


def examples(dataset: Dataset, split: str, labelled: bool, device: torch.device) -> tuple[Tensor, ...]:
    """A whole split as a model takes it: (x `[n, *shape]`,) or (x, labels `[n]` int64).

    Raises:
        GenbenchError: labels are asked of a dataset that has none.
    """
    x = to_tensor(dataset.split(split), dataset.space, device)
    return (x, torch.from_numpy(dataset.labels_of(split)).to(device)) if labelled else (x,)


@functools.lru_cache(maxsize=2)
def permutation(seed: int, epoch: int, n: int) -> np.ndarray:
    """The order `[n]` of the training examples in one epoch."""
    return np.random.default_rng(derive(seed, "epoch", epoch)).permutation(n)


class Batches:
    """Every epoch deals the training examples anew; those that fill no batch sit that epoch out.

    Arguments:
        labelled: batches are (x, labels) instead of (x,).
        paired: batches are (x, y), with y of the target domain, dealt independently.
        crop_length: examples are pieces of one text: x are crops `[size, crop_length]` of it, begun at random places.

    Raises:
        GenbenchError: the dataset has no target domain, or is no text of so many tokens.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        seed: int,
        labelled: bool,
        device: torch.device,
        paired: bool = False,
        crop_length: int | None = None,
    ) -> None:
        self.dataset, self.seed, self.labelled, self.device = dataset, seed, labelled, device
        self.target: Batches | None = None
        self.crop_length = crop_length
        if crop_length is not None and not (dataset.sequence and 0 < crop_length <= dataset.train.size):
            raise GenbenchError(
                f"the model learns from {crop_length:,} tokens of one text at once, and '{dataset.name}' has none such",
                "Choose a text that is longer, such as tinyshakespeare, or leave out its context.",
            )
        if paired:
            if dataset.target is None:
                raise GenbenchError(
                    f"dataset '{dataset.name}' has one domain, and a translator needs two",
                    "Choose a dataset that has, such as mnist-to-digits.",
                )
            self.target = Batches(dataset.target, batch_size, derive(seed, "target"), False, device)
        self.size = min(batch_size, len(dataset.train))
        self.per_epoch = len(dataset.train) // self.size

    def __getitem__(self, number: int) -> tuple[Tensor, ...]:
        """(x `[size, *shape]`,), (x, labels `[size]` int64) or (x, y)."""
        epoch, i = divmod(number, self.per_epoch)
        index = permutation(self.seed, epoch, len(self.dataset.train))[i * self.size : (i + 1) * self.size]
        rng = np.random.default_rng(derive(self.seed, "batch", number))
        if self.crop_length is None:
            drawn = self.dataset.batch(index, rng)
        else:  # of the text that the training examples make in their order
            drawn = crops(self.dataset.train.reshape(-1), self.crop_length, self.size, rng)
        x = to_tensor(drawn, self.dataset.space, self.device)
        if self.target is not None:
            return x, *self.target[number]
        if not self.labelled:
            return (x,)
        return x, torch.from_numpy(self.dataset.labels_of("train")[index]).to(self.device)

    @functools.cached_property
    def validation(self) -> tuple[Tensor, ...]:
        """All validation examples, (x,) or (x, labels); of two domains (x, y) as many as both have."""
        if self.target is not None:
            pair = *examples(self.dataset, "validation", False, self.device), *self.target.validation
            return tuple(t[: min(map(len, pair))] for t in pair)
        return examples(self.dataset, "validation", self.labelled, self.device)
