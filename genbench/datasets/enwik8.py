"""Bytes of Wikipedia with its mark-up, 10^8 of them, in windows of 320 (enwik8).

The first 90 million bytes are for training, the next 5 million for validation, the last 5 million for test. Each part
is cut into windows that do not overlap; training draws crops at random places. The characters of bits/char are bytes
here, as papers have it. A window is scored by itself; a model that reads the text in one piece has fewer bits.

References:
    Large text compression benchmark (Mahoney, 2006 and later), for the data.
    Argmax flows and multinomial diffusion (Hoogeboom et al., 2021), for the windows.
"""

from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._sequences import sequence
from genbench.datasets._wikipedia import ENDS, text

LICENCE = "GFDL (Wikipedia, March 2006)"
SOURCE = "https://mattmahoney.net/dc/textdata.html"
DOWNLOAD = 36_445_475  # bytes
ZIP_SHA256 = "547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc"
SHA256 = "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8"
T = 320
# How a byte is shown; one that alone is no character of ASCII is a dot.
VOCABULARY = "".join(chr(i) if 32 <= i < 127 or i == 10 else "·" for i in range(256))


def from_bytes(data: bytes) -> Dataset:
    """The dataset made of the text's bytes."""
    codes = np.frombuffer(data, np.uint8)
    return sequence("enwik8", codes, ENDS, T, 256, VOCABULARY, licence=LICENCE, source=SOURCE)


def load(root: Path | None = None) -> Dataset:
    return from_bytes(text("enwik8", (ZIP_SHA256, DOWNLOAD), SHA256, root))
