"""A space says what one observation is: its shape and, where its values are integers, its levels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from genbench.errors import ModelError
from genbench.reading import Within

LARGEST = 2**31  # values of one observation, and levels: what int32 holds


@dataclass(frozen=True)
class Space:
    """The set that observations live in.

    Images are `[channels, height, width]`, text is `[length]`, points are `[d]`.

    Arguments:
        shape: the shape of one observation.
        levels: L for integers 0..L-1 (bytes 256, the 8x8 digits 17, text: the vocabulary),
            None for real numbers.

    Example:
        >>> digits = Space((1, 8, 8), levels=17)
        >>> digits.dim
        64
        >>> round(digits.bits_per_dim(64 * math.log(17)), 3)  # the uniform distribution
        4.087
    """

    shape: tuple[Annotated[int, Within(1)], ...]
    levels: Annotated[int, Within(2)] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(int(s) for s in self.shape))
        if not self.shape or min(self.shape) < 1:
            raise ValueError(f"a space needs a shape of positive sizes, got {self.shape}")
        if self.levels is not None and not 2 <= self.levels <= LARGEST:
            raise ValueError(f"a space of integers has at least 2 and at most 2^31 levels, got {self.levels}")
        if self.dim > LARGEST:
            raise ValueError(f"a space has at most 2^31 values, got {self.shape}")

    @property
    def dim(self) -> int:
        """The number of values in one observation."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        return len(self.shape) == 3

    @property
    def dtype(self) -> np.dtype:
        """The dtype of arrays at rest. Models see integers as int64: what embeddings take, and bytes overflow."""
        if self.levels is None:
            return np.dtype(np.float32)
        return np.dtype(np.uint8 if self.levels <= 256 else np.int32)

    def bits_per_dim(self, nats: float) -> float:
        """A negative log-likelihood of one observation in nats -> bits per dimension."""
        return nats / (self.dim * math.log(2))

    def checked(self, x: np.ndarray, who: str) -> np.ndarray:
        """`x` `[n, *shape]` in the space's own dtype, or ModelError saying what is wrong with it."""
        if x.shape[1:] != self.shape:
            raise ModelError(f"{who}: expected [n, {', '.join(map(str, self.shape))}], got {list(x.shape)}")
        if self.levels is None:
            if x.dtype.kind != "f":
                raise ModelError(f"{who}: expected real numbers, got {x.dtype}")
            if bad := int((~np.isfinite(x)).sum()):
                raise ModelError(f"{who}: {bad} values are NaN or infinite")
        else:
            if x.dtype.kind not in "iu":
                raise ModelError(f"{who}: expected integers 0..{self.levels - 1}, got {x.dtype}")
            if x.size and (x.min() < 0 or x.max() >= self.levels):
                raise ModelError(f"{who}: expected values 0..{self.levels - 1}, got {x.min()}..{x.max()}")
        return x.astype(self.dtype)

    def to_dict(self) -> dict:
        return {"shape": list(self.shape), "levels": self.levels}

    @classmethod
    def from_dict(cls, d: dict) -> Space:
        return cls(tuple(d["shape"]), d["levels"])
