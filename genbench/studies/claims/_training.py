"""What trials share: the digits as numbers, a loop over batches, processor time, draws like codes, a distance."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from genbench import datasets, features
from genbench.datasets import Dataset
from genbench.metrics import fd
from genbench.numerics.points import Points


@cache
def digits() -> Dataset:
    return datasets.load("digits")


def scaled(x: np.ndarray) -> Tensor:
    """Levels 0..16 as numbers in [-1, 1] `[n, 64]`."""
    return torch.from_numpy(x.reshape(len(x), -1).astype(np.float32)) / 8 - 1


def trained(
    model: nn.Module, data: Tensor, loss: Callable[[Tensor], Tensor], steps: int, seed: int, lr: float = 2e-3
) -> nn.Module:
    """The model after so many steps of Adam on batches of 128 rows, its rate falling linearly to 0; for evaluation."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=lr)
    model.train()
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (1 - step / steps)
        batch = data[torch.randint(len(data), (128,), generator=generator)]
        optimiser.zero_grad()
        loss(batch).backward()
        optimiser.step()
    return model.eval()


def steps_within(budget: float, model: nn.Module, data: Tensor, loss: Callable[[Any, Tensor], Tensor]) -> int:
    """How many steps of `trained` so many processor seconds pay for, by some steps of a copy; at least one."""
    tried = copy.deepcopy(model)

    def some(steps: int) -> None:
        trained(tried, data, lambda x: loss(tried, x), steps, seed=0)

    return max(1, int(budget / (seconds(lambda: some(20), least=budget / 10) / 20)))


def seconds(do: Callable[[], Any], least: float = 0.1) -> float:
    """Of processor time that it takes, by as many repeats as take `least`, after one that is not counted."""
    do()
    repeats, spent, before = 0, 0.0, time.process_time()
    while spent < least:
        do()
        repeats, spent = repeats + 1, time.process_time() - before
    return spent / repeats


def like(codes: Tensor, z: Tensor) -> Tensor:
    """Draws `[n, d]` from the Gaussian with mean and covariance of codes `[m, d]`, of standard normal ones `z`."""
    d = codes.shape[1]
    L = torch.linalg.cholesky(torch.cov(codes.T).reshape(d, d) + 1e-9 * torch.eye(d))
    return codes.mean(0) + z @ L.T


@cache
def recognised() -> Points:
    """The training digits in the features of their classifier."""
    return Points(seen(digits().train))


def seen(x: np.ndarray) -> np.ndarray:
    """Features `[n, d]` of digits of whole levels."""
    return classified(x)[0]


def whole(x: np.ndarray) -> Tensor:
    """Digits of whole levels, as models take them."""
    return torch.from_numpy(x.astype(np.int64))


def classified(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features `[n, d]` and logits `[n, 10]` of digits of whole levels."""
    found, logits = features.load("digits-cnn", digits().space)(x.astype(np.uint8))
    assert logits is not None
    return found, logits


def frechet(x: Tensor) -> float:
    """The Fréchet distance of pictures in the raw range `[n, ...]` from the training digits, rounded to levels."""
    levels = x.detach().round().clamp(0, 16).reshape(-1, 1, 8, 8).numpy().astype(np.uint8)
    return float(fd.compute(Points(seen(levels)), recognised())["fd"].value)
