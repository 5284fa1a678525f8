"""A text as a dataset: its alphabet is its characters, sorted; it is cut into windows of 128.

The first 90 % of the text is for training, the next 5 % for validation, the last 5 % for test. Each part is cut into
windows that do not overlap; training draws crops at random places.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from genbench import reading
from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.space import Space

T = 128


def windows(codes: np.ndarray) -> np.ndarray:
    """Windows `[len(codes) // T, T]` that do not overlap; the last, incomplete one is left out."""
    return codes[: len(codes) // T * T].reshape(-1, T)


def dataset_of(text: str, name: str, licence: str, source: str) -> Dataset:
    """The dataset made of `text`."""
    vocabulary, inverse = np.unique(np.array(list(text)), return_inverse=True)
    codes = inverse.astype(Space((T,), levels=max(2, len(vocabulary))).dtype)
    train, validation, test = np.split(codes, [len(codes) * 90 // 100, len(codes) * 95 // 100])

    def draw(index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As many random crops of the training text as there are indices."""
        start = rng.integers(len(train) - T + 1, size=len(index))
        return train[start[:, None] + np.arange(T)]

    return Dataset(
        name=name,
        space=Space((T,), levels=len(vocabulary)),
        train=windows(train),
        validation=windows(validation),
        test=windows(test),
        licence=licence,
        source=source,
        draw=draw,
        vocabulary="".join(vocabulary),
        value="char",
        sequence=True,
    )


def load_text(path: Path) -> Dataset:
    """The dataset in a `.txt` file of UTF-8. Line ends are kept as they are.

    Raises:
        GenbenchError: no such file, another encoding, or too little text.
    """
    text = reading.text_of(path, "text", "Save it as UTF-8.")
    if len(text) < 40 * T or len(set(text)) < 2:
        raise GenbenchError(
            f"{path} has {len(text):,} characters, {len(set(text))} different ones: too little to be split",
            f"Give {40 * T:,} or more: 5 % of them are validation, and as many test, in windows of {T}.",
        )
    parts = "the first 90 % is for training, the next 5 % for validation, the last 5 % for test"
    print(f"{path}: {len(text):,} characters; {parts}, in windows of {T}", file=sys.stderr)
    return dataset_of(text, path.stem, licence="unknown", source=path.name)
