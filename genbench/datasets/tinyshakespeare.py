"""Characters of Shakespeare's plays, 1.1 MB, in windows of 128 characters.

The first 90 % of the text is for training, the next 5 % for validation, the last 5 % for test.
Each part is cut into windows that do not overlap; training draws crops at random places. A window
is scored by itself, its first characters without any context, so bits/char are a little above
those of a model that reads the text in one piece.

References:
    The unreasonable effectiveness of recurrent neural networks (Karpathy, 2015).
"""

from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._download import Remote, fetch
from genbench.space import Space

T = 128
TEXT = Remote(
    "tinyshakespeare/input.txt",
    ("https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",),
    "sha256",
    "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
)


def windows(codes: np.ndarray) -> np.ndarray:
    """Windows `[len(codes) // T, T]` that do not overlap; the last, incomplete one is left out."""
    return codes[: len(codes) // T * T].reshape(-1, T)


def from_text(text: str) -> Dataset:
    """The dataset made of `text`: its vocabulary is its characters, sorted."""
    vocabulary, inverse = np.unique(np.array(list(text)), return_inverse=True)
    codes = inverse.astype(np.uint8)
    train, validation, test = np.split(codes, [len(codes) * 90 // 100, len(codes) * 95 // 100])

    def draw(index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """As many random crops of the training text as there are indices."""
        start = rng.integers(len(train) - T + 1, size=len(index))
        return train[start[:, None] + np.arange(T)]

    return Dataset(
        name="tinyshakespeare",
        space=Space((T,), levels=len(vocabulary)),
        train=windows(train),
        validation=windows(validation),
        test=windows(test),
        licence="public domain",
        source=TEXT.urls[0],
        draw=draw,
        vocabulary="".join(vocabulary),
        value="char",
        sequence=True,
    )


def load(root: Path | None = None) -> Dataset:
    return from_text(fetch(TEXT, root).decode("utf-8"))
