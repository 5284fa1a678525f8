"""A long sequence of codes as a dataset: three parts, each cut into windows, and random crops for training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from genbench.datasets import Dataset
from genbench.space import Space


def windows(codes: np.ndarray, length: int) -> np.ndarray:
    """Windows `[len(codes) // length, length]` that do not overlap; the last, incomplete one is left out."""
    return codes[: len(codes) // length * length].reshape(-1, length)


def crops(text: np.ndarray, length: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """n pieces `[n, length]` of a text, begun at random places."""
    start = rng.integers(len(text) - length + 1, size=n)
    return text[start[:, None] + np.arange(length)]


def sequence(
    name: str, codes: np.ndarray, ends: Sequence[int], length: int, levels: int, vocabulary: str, **fields: Any
) -> Dataset:
    """The dataset of one text.

    Arguments:
        codes: uint8 `[n]`, of the whole text.
        ends: where training and validation end.
        vocabulary: how the code of each level is shown.
        fields: licence and source.
    """
    train, validation, test = np.split(codes, list(ends))

    def draw(index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As many random crops of the training text as there are indices."""
        return crops(train, length, len(index), rng)

    return Dataset(
        name=name,
        space=Space((length,), levels=levels),
        train=windows(train, length),
        validation=windows(validation, length),
        test=windows(test, length),
        draw=draw,
        vocabulary=vocabulary,
        value="char",
        sequence=True,
        **fields,
    )
