"""One shape on 16x16 pixels with 17 levels, of known kind, size and place: data whose factors are exact.

    factors: shape (square, disc, diamond), size (6), x (16), y (16), all 4,608 of their combinations, once each

The centre moves by half a pixel from one place to the next, from 4 to 11.5 pixels from the edge, and the half-widths
are 2, 2.25, ... 3.25 pixels. A pixel counts how many of its 4x4 points the shape covers, as a pixel of the digits
counts dots. Nothing else varies and there is no noise: what a representation keeps, it keeps of these four. The splits
are one permutation of the grid, so no image is in two of them, and the factors are uniform and independent but for the
draw.

References:
    beta-VAE: Learning basic visual concepts with a constrained variational framework (Higgins et al., 2017), for the
    data set dSprites, of which this is a small sibling: generated here, none of its images.
"""

from itertools import product
from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.space import Space

LICENCE = "CC0 (generated)"
SOURCE = "genbench.datasets.shapes"
DOWNLOAD = 0

SIDE, POINTS = 16, 4  # pixels of an image, points along each side of a pixel
SHAPES = ("square", "disc", "diamond")
SIZES = 2 + np.arange(6) / 4  # half-width in pixels
PLACES = 4 + np.arange(16) / 2  # of the centre, in pixels from the edge
FACTORS = ("shape", "size", "x", "y")
SPLITS = {"train": 2304, "validation": 256, "test": 2048}


def image(shape: int, size: int, x: int, y: int) -> np.ndarray:
    """The picture that four factors decide: `[1, 16, 16]` uint8 of 0..16."""
    at = (np.arange(SIDE * POINTS) + 0.5) / POINTS
    across, down = np.abs(at - PLACES[x])[None], np.abs(at - PLACES[y])[:, None]
    r = SIZES[size]
    inside = (np.maximum(across, down) <= r, np.hypot(across, down) <= r, across + down <= 1.25 * r)[shape]
    return inside.reshape(SIDE, POINTS, SIDE, POINTS).sum((1, 3), dtype=np.uint8)[None]


def load(root: Path | None = None) -> Dataset:
    """Split by one fixed permutation (NumPy's RandomState stream, frozen since 1.16)."""
    grid = np.array(list(product(range(len(SHAPES)), range(len(SIZES)), range(len(PLACES)), range(len(PLACES)))))
    images = np.stack([image(*factors) for factors in grid])
    order = np.random.RandomState(0).permutation(len(grid))
    index = dict(zip(SPLITS, np.split(order, np.cumsum(list(SPLITS.values()))[:-1]), strict=True))
    return Dataset(
        name="shapes",
        space=Space((1, SIDE, SIDE), levels=POINTS**2 + 1),
        train=images[index["train"]],
        validation=images[index["validation"]],
        test=images[index["test"]],
        labels={split: grid[rows, 0].astype(np.int64) for split, rows in index.items()},
        factors={split: grid[rows].astype(np.int64) for split, rows in index.items()},
        factor_names=FACTORS,
        licence=LICENCE,
        source=SOURCE,
    )
