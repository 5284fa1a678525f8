"""Wikipedia in 27 symbols, the letters a to z and the space, 10^8 of them, in windows of 256 (text8).

The first 90 million symbols are for training, the next 5 million for validation, the last 5 million for test. Each
part is cut into windows that do not overlap; training draws crops at random places. A window is scored by itself, as
by models of whole windows; a model that reads the text in one piece has fewer bits/char.

References:
    Large text compression benchmark (Mahoney, 2006 and later), for the data.
    Subword language modeling with neural networks (Mikolov et al., 2012), for the split.
    Discrete flows: invertible generative models of discrete data (Tran et al., 2019), for the windows.
"""

from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._sequences import sequence
from genbench.datasets._wikipedia import ENDS, text
from genbench.errors import GenbenchError

LICENCE = "GFDL (Wikipedia, March 2006)"
SOURCE = "https://mattmahoney.net/dc/textdata.html"
DOWNLOAD = 31_344_016  # bytes
ZIP_SHA256 = "a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232"
SHA256 = "6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7"
T = 256
VOCABULARY = " abcdefghijklmnopqrstuvwxyz"


def from_bytes(data: bytes) -> Dataset:
    """The dataset made of the text's bytes.

    Raises:
        GenbenchError: a byte is none of the 27 symbols.
    """
    table = np.full(256, 255, np.uint8)
    table[np.frombuffer(VOCABULARY.encode(), np.uint8)] = np.arange(len(VOCABULARY))
    codes = table[np.frombuffer(data, np.uint8)]
    if codes.max() == 255:
        raise GenbenchError("text8 has a byte that is neither a letter from a to z nor a space", "Replace the file.")
    return sequence("text8", codes, ENDS, T, len(VOCABULARY), VOCABULARY, licence=LICENCE, source=SOURCE)


def load(root: Path | None = None) -> Dataset:
    return from_bytes(text("text8", (ZIP_SHA256, DOWNLOAD), SHA256, root))
