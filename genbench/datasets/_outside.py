"""Other data of a space: what a model of a data set should find strange, made of any images or brought by the data set.

noise      every value by itself, uniform over the levels
constant   every image of one level, all levels in turn
blank      the image of all zeros, as often as there are test examples
blurred    the test images, each value the mean of the 3x3 about it, rounded; edges are repeated
inverted   the test images with their levels reversed
a name     what `Dataset.outside` has under it: other digits, a class that was held out
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import uniform_filter

from genbench.datasets import Dataset
from genbench.errors import Unavailable

SEED = 0
MADE = ("noise", "constant", "blank", "blurred", "inverted")


def outside(dataset: Dataset, name: str, test: np.ndarray) -> np.ndarray:
    """Other data `[n, *shape]` in the space's dtype, of those that can be made as many as there are test examples.

    Raises:
        Unavailable: no other data of that name, or the space has no levels.
        GenbenchError: they are neither at hand nor downloadable.
    """
    space, brought = dataset.space, dataset.outside or {}
    if name in brought:
        return space.checked(brought[name](), f"{name}, beside {dataset.name}")
    if name not in MADE:
        known = ", ".join((*MADE, *brought))
        raise Unavailable(f"dataset '{dataset.name}' has no other data '{name}', only {known}")
    if space.levels is None or not space.is_image:
        raise Unavailable(f"'{name}' is made of the levels of images, which dataset '{dataset.name}' has not")
    if name == "noise":
        return np.random.default_rng(SEED).integers(space.levels, size=test.shape).astype(space.dtype)
    if name == "constant":
        level = np.arange(len(test)) % space.levels
        return np.broadcast_to(level.reshape(-1, *[1] * len(space.shape)), test.shape).astype(space.dtype)
    if name == "blank":
        return np.zeros_like(test)
    if name == "blurred":
        return np.rint(uniform_filter(test.astype(np.float64), (0, 0, 3, 3), mode="nearest")).astype(space.dtype)
    return (space.levels - 1 - test.astype(np.int64)).astype(space.dtype)
