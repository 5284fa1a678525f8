"""Characters of Shakespeare's plays, 1.1 MB, in windows of 128 characters.

The first 90 % of the text is for training, the next 5 % for validation, the last 5 % for test.
Each part is cut into windows that do not overlap; training draws crops at random places. A window
is scored by itself, its first characters without any context, so bits/char are a little above
those of a model that reads the text in one piece.

References:
    The unreasonable effectiveness of recurrent neural networks (Karpathy, 2015).
"""

from pathlib import Path

from genbench.datasets import Dataset
from genbench.datasets._download import Remote, fetch
from genbench.datasets._text import dataset_of

LICENCE = "public domain"
SOURCE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
DOWNLOAD = 1_115_394  # bytes
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TEXT = Remote("tinyshakespeare/input.txt", (SOURCE,), "sha256", SHA256, DOWNLOAD)


def from_text(text: str) -> Dataset:
    """The dataset made of `text`: its vocabulary is its characters, sorted."""
    return dataset_of(text, "tinyshakespeare", licence=LICENCE, source=SOURCE)


def load(root: Path | None = None) -> Dataset:
    return from_text(fetch(TEXT, root).decode("utf-8"))
