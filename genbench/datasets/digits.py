"""Handwritten digits of 8x8 pixels with 17 levels, embedded in scikit-learn.

The test set of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, 1998):
1,797 images, each pixel the count of dark pixels in a 4x4 cell of the 32x32 original.
"""

from pathlib import Path

import numpy as np

from genbench.datasets import Dataset, mnist
from genbench.datasets._scikit_learn import inside
from genbench.space import Space

LICENCE = "CC BY 4.0"
SOURCE = "https://archive.ics.uci.edu/dataset/80"
DOWNLOAD = 0

# 500 test images, and as many samples from each model: real images then stand beside
# generated ones under one protocol.
SIZES = {"train": 1097, "validation": 200, "test": 500}


MNIST = 500  # test images of MNIST that stand for other digits


def other_digits(root: Path | None = None) -> np.ndarray:
    """The first test images of MNIST made like these: a pixel is the mean of 3x3 of theirs, on 0..16 -> `[n, 1, 8, 8]`.

    MNIST's digits fill 20 of 28 pixels. Of these the middle 24 are taken, three to a pixel, so that they fill theirs
    nearly as the digits here do. They are other people's, written and scanned elsewhere.

    Raises:
        GenbenchError: the images are neither under the data root nor downloadable.
    """
    images = mnist.read("t10k-images-idx3-ubyte", root)[:MNIST, 2:26, 2:26]
    means = images.reshape(-1, 8, 3, 8, 3).mean((2, 4))
    return np.rint(means * (16 / 255)).astype(np.uint8)[:, None]


def load(root: Path | None = None) -> Dataset:
    """Split by one fixed permutation (NumPy's RandomState stream, frozen since 1.16)."""
    table = np.loadtxt(inside("data/digits.csv.gz"), delimiter=",")
    x, y = table[:, :-1], table[:, -1]
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
        outside={"mnist": lambda: other_digits(root)},
        licence=LICENCE,
        source=SOURCE,
    )
