"""Colour patches of 8x8 pixels, 256 levels, cut from the two photographs that ship with scikit-learn.

`china.jpg` and `flower.jpg`, 427 rows by 640 columns each, are divided into seven bands of 61 rows, and each band
into pieces: of every 128 columns 85 are for training, 17 for validation and 26 for testing. From band to band the
pieces move by 55 columns, so no pixel is in two splits, yet each split sees all parts of both scenes. Training patches
lie 3 pixels apart and overlap; those of validation and test lie 9 apart and share no pixel. Both steps, and the bands,
meet the grid of 8x8 blocks in which JPEG compressed the photographs at each of its phases, so that splits differ in
place alone. Patches on either side of a border still show one scene: a model is asked about the same two photographs.

The photographs are decoded by Pillow. A decoder that rounds otherwise would give other data, with another sha256.

References:
    From learning models of natural image patches to whole image restoration (Zoran and Weiss, 2011): mixtures of
    Gaussians with full covariance on 8x8 patches.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from genbench.datasets import SPLITS, Dataset
from genbench.datasets._scikit_learn import inside
from genbench.space import Space

LICENCE = "CC BY 2.0: china.jpg by danielbuechele, flower.jpg by vultilion"
SOURCE = "https://www.flickr.com/photos/danielbuechele/6061409035, https://www.flickr.com/photos/vultilion/6056698931"
DOWNLOAD = 0

SIDE = 8
BAND, PERIOD, SHIFT = 61, 128, 55  # rows of a band; columns until the pieces come again; how far a band moves them
PIECES = {"train": (0, 85), "validation": (85, 102), "test": (102, 128)}  # columns of a period: from, to
STEP = {"train": 3, "validation": 9, "test": 9}  # pixels between two patches, both ways
SIZES = {"train": 30_000, "validation": 700, "test": 1_000}  # of 32,472, 828 and 1,248 that there are


def corners(split: str, height: int, width: int) -> list[tuple[int, int]]:
    """Row and column of the upper left pixel of every patch of a split."""
    start, end = PIECES[split]
    found = []
    for band in range(0, height, BAND):
        rows = range(band, min(band + BAND, height) - SIDE + 1, STEP[split])
        moved = band // BAND * SHIFT % PERIOD
        for period in range(moved - PERIOD, width, PERIOD):
            columns = range(max(period + start, 0), min(period + end, width) - SIDE + 1, STEP[split])
            found += [(row, column) for row in rows for column in columns]
    return found


def patches(photographs: list[np.ndarray], split: str) -> np.ndarray:
    """All patches of a split, of every photograph `[H, W, 3]` in turn: `[n, 3, 8, 8]` uint8."""
    cut = [
        photograph[row : row + SIDE, column : column + SIDE]
        for photograph in photographs
        for row, column in corners(split, *photograph.shape[:2])
    ]
    return np.stack(cut).transpose(0, 3, 1, 2)


def load(root: Path | None = None) -> Dataset:
    """The first of each split by one fixed permutation (NumPy's RandomState stream, frozen since 1.16)."""
    photographs = [np.asarray(Image.open(inside(f"images/{name}.jpg"))) for name in ("china", "flower")]
    x = {}
    for i, split in enumerate(SPLITS):
        every = patches(photographs, split)
        x[split] = every[np.random.RandomState(i).permutation(len(every))[: SIZES[split]]]
    return Dataset(
        name="patches",
        space=Space((3, SIDE, SIDE), levels=256),
        train=x["train"],
        validation=x["validation"],
        test=x["test"],
        licence=LICENCE,
        source=SOURCE,
    )
