"""Uniform density on the eight dark squares of a 4x4 checkerboard on [-4, 4)^2, with hard edges.

    p(x) = 1/32 where floor(x_1 / 2) + floor(x_2 / 2) is even, else 0

A continuous model has to bend around the corners and leaks mass over every edge.

References:
    FFJORD (Grathwohl et al., 2019), whose densities in the plane include this board.
"""

from pathlib import Path

import numpy as np

from genbench.datasets import SPLITS, Dataset
from genbench.datasets._mixtures import SIZES
from genbench.space import Space

LICENCE = "CC0 (generated)"
SOURCE = "genbench.datasets.checkerboard, seed 44"
DOWNLOAD = 0

SEED = 44


def log_density(x: np.ndarray) -> np.ndarray:
    """log p(x) in nats, -inf off the dark squares: `[n, 2]` -> `[n]`."""
    dark = np.floor(x / 2).sum(1) % 2 == 0
    inside = ((x >= -4) & (x < 4)).all(1)
    return np.where(dark & inside, -np.log(32), -np.inf)


def points(n: int, rng: np.random.RandomState) -> np.ndarray:
    """Draws `[n, 2]`: a dark square, then a place in it.

    Places are multiples of 2^-20, which float32 holds exactly up to 4: no draw is rounded over an edge.
    """
    column = rng.randint(4, size=n)
    row = 2 * rng.randint(2, size=n) + column % 2
    corner = 2 * np.stack([column, row], 1) - 4
    return (corner + 2 * rng.randint(1 << 21, size=(n, 2)) / (1 << 21)).astype(np.float32)


def load(root: Path | None = None) -> Dataset:
    rng = np.random.RandomState(SEED)  # its stream is frozen since NumPy 1.16
    train, validation, test = (points(SIZES[split], rng) for split in SPLITS)
    return Dataset(
        name="checkerboard",
        space=Space((2,)),
        train=train,
        validation=validation,
        test=test,
        licence=LICENCE,
        source=SOURCE,
        log_density=log_density,
    )
