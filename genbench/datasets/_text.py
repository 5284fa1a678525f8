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
from genbench.datasets._sequences import sequence
from genbench.errors import GenbenchError
from genbench.space import Space

T = 128


def dataset_of(text: str, name: str, licence: str, source: str) -> Dataset:
    """The dataset made of `text`."""
    vocabulary, inverse = np.unique(np.array(list(text)), return_inverse=True)
    codes = inverse.astype(Space((T,), levels=max(2, len(vocabulary))).dtype)
    ends = [len(codes) * 90 // 100, len(codes) * 95 // 100]
    return sequence(name, codes, ends, T, len(vocabulary), "".join(vocabulary), licence=licence, source=source)


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
