"""Images of any space as networks of photographs take them: uint8, three channels.

    levels 0..L-1 -> round(255 x / (L - 1)), halves up; one channel stands three times

Nothing is resized here: that is the network's own rule. Images of real numbers have no range that
could be mapped to 0..255 without inventing one, and are refused.
"""

from __future__ import annotations

import numpy as np

from genbench.errors import GenbenchError
from genbench.space import Space


def check(space: Space, name: str) -> None:
    """GenbenchError if images of `space` cannot be shown to extractor `name`."""
    if not space.is_image or space.shape[0] not in (1, 3) or space.levels is None:
        values = f"{space.levels} levels" if space.levels else "real numbers"
        raise GenbenchError(
            f"extractor '{name}' needs images [1 or 3, height, width] of integer levels, "
            f"got {list(space.shape)} of {values}",
            "Choose another (`genbench list extractors`), or map the data to levels first.",
        )


def rule(space: Space) -> str:
    """What `to_rgb` does to images of `space`, in words, for the record."""
    assert space.levels is not None
    parts = ["levels 0..255"]
    if space.levels != 256:
        parts = [f"levels 0..{space.levels - 1} scaled to 0..255 and rounded"]
    if space.shape[0] == 1:
        parts.append("the one channel three times")
    return ", ".join(parts)


def to_rgb(x: np.ndarray, space: Space) -> np.ndarray:
    """Images `[n, 1 or 3, H, W]` of a checked space -> uint8 `[n, 3, H, W]`.

    Raises:
        ModelError: the images are not in the space.
    """
    assert space.levels is not None
    x, top = space.checked(x, "images"), space.levels - 1
    if top != 255:
        x = ((2 * 255 * x.astype(np.int64) + top) // (2 * top)).astype(np.uint8)
    return np.repeat(x, 3, axis=1) if space.shape[0] == 1 else x
