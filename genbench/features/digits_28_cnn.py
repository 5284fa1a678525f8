"""The classifier of the 8x8 digits on images of 28x28, which are shrunk to 8x8 first: 64 features and 10 class logits.

A small pixel is the mean of the 3.5 x 3.5 pixels that it covers, on the 17 levels of the digits. Of the digits' test
images, enlarged to 28x28 and shrunk again, which moves a pixel by 1.1 levels of 16 on average, it classifies 99 % right
(tests/features/test_digits_28_cnn.py).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from genbench.features import Extractor, Features, digits_cnn, identity
from genbench.features._cnn import refusal
from genbench.space import Space

SPACE = Space((1, 28, 28), levels=256)


def shrunk(x: np.ndarray) -> np.ndarray:
    """Levels 0..255 `[n, 1, 28, 28]` -> levels 0..16 `[n, 1, 8, 8]`."""
    sixteenths = 2 * torch.from_numpy(x.astype(np.int64)).repeat_interleave(2, 2).repeat_interleave(2, 3).double()
    sums = F.avg_pool2d(sixteenths, 7, divisor_override=1).long().numpy()  # each pixel is 2x2 of half the side
    return ((16 * sums + 49 * 255) // (2 * 49 * 255)).astype(np.uint8)  # halves are rounded up


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    """The classifier in `weights`, by default that of `digits-cnn`.

    Raises:
        GenbenchError: the space is not that of 28x28 images of 256 levels, or the file holds another network.
    """
    if space != SPACE:
        raise refusal("digits-28-cnn", "[1, 28, 28] of 256 levels", space)
    small = digits_cnn.extractor(digits_cnn.SPACE, weights, device)

    def extract(x: np.ndarray) -> Features:
        return small.extract(shrunk(x))

    rule = f"means of 3.5x3.5 pixels, rounded to 17 levels; {small.preprocessing}"
    return replace(
        small,
        name="digits-28-cnn",
        sha256=identity(small.sha256, rule),
        preprocessing=rule,
        extract=extract,
        between=None,
    )
