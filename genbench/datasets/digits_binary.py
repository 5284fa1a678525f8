"""The 8x8 digits in black and white: a pixel is 1 where at least half of its 16 dots are dark.

Split like `digits`. For models of bits, whose sums over states are then small enough to be exact. Some test images
equal a training image: 17 levels told them apart.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from genbench.datasets import Dataset, digits
from genbench.space import Space

LICENCE = "CC BY 4.0"
SOURCE = "https://archive.ics.uci.edu/dataset/80"
DOWNLOAD = 0

THRESHOLD = 8  # of 0..16


def load(root: Path | None = None) -> Dataset:
    grey = digits.load(root)

    def black(x: np.ndarray) -> np.ndarray:
        return (x >= THRESHOLD).astype(np.uint8)

    return replace(
        grey,
        name="digits-binary",
        space=Space(grey.space.shape, levels=2),
        outside=None,  # which have 17 levels
        train=black(grey.train),
        validation=black(grey.validation),
        test=black(grey.test),
    )
