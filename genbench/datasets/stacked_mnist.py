"""Stacked MNIST: three MNIST digits as the channels of one image, 1,000 equally likely modes.

Every channel is a random image of the same split of MNIST, drawn with replacement, so no digit of the test set
occurs in training. The label is the three digits read as a number, 0 to 999. As many training images as in
PacGAN (128,000) and as many test images as its protocol draws samples (26,000): real images then stand beside
generated ones under one protocol. How many modes a model reaches is the metric `classes` in the features of
`stacked-mnist-cnn`.

References:
    Unrolled generative adversarial networks (Metz, Poole, Pfau, Sohl-Dickstein, 2017), section 3.3.1.
    VEEGAN (Srivastava et al., 2017), section 5.2; PacGAN (Lin et al., 2018), section 4.2.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from genbench.datasets import SPLITS, Dataset, mnist
from genbench.space import Space

LICENCE = "CC BY-SA 3.0"
SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
DOWNLOAD = 11_594_722  # bytes: the files of MNIST

SIZES = {"train": 128_000, "validation": 10_000, "test": 26_000}


def stacked(digits: Dataset, sizes: dict[str, int]) -> Dataset:
    """Triples of a dataset of one-channel digits, from each split (NumPy's RandomState stream, frozen since 1.16)."""
    x, labels = {}, {}
    for i, split in enumerate(SPLITS):
        one = digits.split(split)[:, 0]  # [n, H, W]
        triples = np.random.RandomState(i).randint(len(one), size=(sizes[split], 3))
        x[split] = one[triples]  # [size, 3, H, W]
        labels[split] = digits.labels_of(split)[triples] @ np.array([100, 10, 1])
    return replace(
        digits,
        name="stacked-mnist",
        space=Space((3, *digits.space.shape[1:]), digits.space.levels),
        train=x["train"],
        validation=x["validation"],
        test=x["test"],
        labels=labels,
    )


def load(root: Path | None = None) -> Dataset:
    return stacked(mnist.load(root), SIZES)
