"""MNIST, dynamically binarised: each pixel is 1 with the probability intensity / 255.

A training batch is a fresh draw; the arrays of each split are one fixed draw, the same on every
machine, so that a likelihood on them can be compared.

References:
    On the quantitative analysis of deep belief networks (Salakhutdinov and Murray, 2008).
    Importance weighted autoencoders (Burda, Grosse, Salakhutdinov, 2016), section 5: a fresh draw per batch.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from genbench.datasets import SPLITS, Dataset, mnist
from genbench.space import Space

LICENCE = "CC BY-SA 3.0"
SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
DOWNLOAD = 11_594_722  # bytes: the files of MNIST


def binarised(grey: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Bernoulli draws with probability grey / 255, exactly: u < grey, where u is uniform on the integers 0..254."""
    return (u < grey).astype(np.uint8)


def from_grey(grey: Dataset) -> Dataset:
    """The binarised form of a dataset of bytes (NumPy's RandomState stream, frozen since 1.16)."""
    fixed = {}
    for i, split in enumerate(SPLITS):
        x = grey.split(split)
        fixed[split] = binarised(x, np.random.RandomState(i).randint(255, size=x.shape, dtype=np.uint8))

    def draw(index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        x = grey.train[index]
        return binarised(x, rng.integers(255, size=x.shape, dtype=np.uint8))

    return replace(
        grey,
        name="mnist-binary",
        space=Space(grey.space.shape, levels=2),
        draw=draw,
        train=fixed["train"],
        validation=fixed["validation"],
        test=fixed["test"],
    )


def load(root: Path | None = None) -> Dataset:
    return from_grey(mnist.load(root))
