"""Handwritten digits of 8x8 pixels with 17 levels, embedded in scikit-learn.

The test set of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998):
1,797 images, each pixel the count of dark pixels in a 4x4 cell of the 32x32 original.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from genbench.datasets import Dataset
from genbench.space import Space

LICENCE = "CC BY 4.0"
SOURCE = "https://archive.ics.uci.edu/dataset/80"
DOWNLOAD = 0

# 500 test images, and as many samples from each model: real images then stand beside
# generated ones under one protocol.
SIZES = {"train": 1097, "validation": 200, "test": 500}


def load(root: Path | None = None) -> Dataset:
    """Split by one fixed permutation (NumPy's RandomState stream, frozen since 1.16)."""
    x, y = load_digits(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(x))
    ends = np.cumsum(list(SIZES.values()))[:-1]
    images = np.split(x[order].reshape(-1, 1, 8, 8).astype(np.uint8), ends)
    labels = np.split(y[order].astype(np.int64), ends)
    return Dataset(
        name="digits",
        space=Space((1, 8, 8), levels=17),
        train=images[0],
        validation=images[1],
        test=images[2],
        labels=dict(zip(SIZES, labels, strict=True)),
        licence=LICENCE,
        source=SOURCE,
    )
