"""MNIST to scikit-learn's 8x8 digits enlarged to 28x28, unpaired, both with 256 levels.

The enlarged image is bilinear between the centres of the small pixels, and constant beyond the outermost; its 17 levels
0..16 are spread over 0..255. All is whole numbers until one rounding, so every machine has the same image. No image has
a counterpart in the other domain: they come from other writers, scanners and sizes of the digit within the image. Of
MNIST's validation and test images as many are drawn as the digits have: both domains are judged at equal counts.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from genbench.datasets import SPLITS, Dataset, digits, mnist

LICENCE = "CC BY-SA 3.0"
SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
DOWNLOAD = 11_594_722  # bytes: the files of MNIST

SIZE = 28


def load(root: Path | None = None) -> Dataset:
    source, small = mnist.load(root), digits.load(root)
    x = {split: enlarged(small.split(split), SIZE, 255) for split in SPLITS}
    target = replace(
        small, name=f"digits-{SIZE}", space=source.space, train=x["train"], validation=x["validation"], test=x["test"]
    )
    chosen = {
        split: np.random.RandomState(0).permutation(len(source.split(split)))[: len(target.split(split))]
        for split in ("validation", "test")
    }
    labels = {split: source.labels_of(split)[rows] for split, rows in chosen.items()}
    return replace(
        source,
        name="mnist-to-digits",
        validation=source.validation[chosen["validation"]],
        test=source.test[chosen["test"]],
        labels={"train": source.labels_of("train"), **labels},
        target=target,
    )


def enlarged(x: np.ndarray, size: int, top: int, levels: int = 17) -> np.ndarray:
    """Levels `[n, 1, s, s]` -> levels 0..top `[n, 1, size, size]`, bilinear, halves rounded up."""
    side = x.shape[-1]
    # Output pixel i has its centre at (2 i + 1) s / (2 size) - 1/2 of the small grid: in units of 1 / (2 size)
    at = ((2 * np.arange(size) + 1) * side - size).clip(0, 2 * size * (side - 1))
    left, part = at // (2 * size), at % (2 * size)
    W = np.zeros((size, side), np.int64)
    W[np.arange(size), left] += 2 * size - part
    W[np.arange(size), np.minimum(left + 1, side - 1)] += part
    whole = (2 * size) ** 2 * (levels - 1)
    return ((2 * top * (W @ x.astype(np.int64) @ W.T) + whole) // (2 * whole)).astype(np.uint8)
