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

    def check_kind(self, shape: tuple[int, ...], dtype: np.dtype, who: str) -> None:
        """ModelError if no array of this shape and dtype is in the space, which takes none of its values to know."""
        if shape[1:] != self.shape:
            raise ModelError(f"{who}: expected [n, {', '.join(map(str, self.shape))}], got {list(shape)}")
        if self.levels is None and dtype.kind != "f":
            raise ModelError(f"{who}: expected real numbers, got {dtype}")
        if self.levels is not None and dtype.kind not in "iu":
            raise ModelError(f"{who}: expected integers 0..{self.levels - 1}, got {dtype}")

    def checked(self, x: np.ndarray, who: str) -> np.ndarray:
        """`x` `[n, *shape]` in the space's own dtype, or ModelError saying what is wrong with it.

        Real numbers are kept as float32: rows that differ have to differ in it too, else a shift that is large beside
        the data's spread (seconds since 1970) would make copies of what are none.
        """
        self.check_kind(x.shape, x.dtype, who)
        if self.levels is not None:
            if x.size and (x.min() < 0 or x.max() >= self.levels):
                raise ModelError(f"{who}: expected values 0..{self.levels - 1}, got {x.min()}..{x.max()}")
            return x.astype(self.dtype, copy=False)
        if bad := int((~np.isfinite(x)).sum()):
            raise ModelError(f"{who}: {bad} values are NaN or infinite")
        narrow, lost = narrowed(x, self.dtype)
        if lost:
            raise ModelError(f"{who}: {lost}; subtract an offset, rescale, or save {self.dtype} if that is meant")
        return narrow

    def to_dict(self) -> dict:
        return {"shape": list(self.shape), "levels": self.levels}

    @classmethod
    def from_dict(cls, d: dict) -> Space:
        return cls(tuple(d["shape"]), d["levels"])


def narrowed(x: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, str]:
    """Rows `[n, ...]` in another dtype, and what that lost, in words: numbers, or differences between rows.

    Example:
        >>> narrowed(np.array([[1e39], [1.0]]), np.dtype(np.float32))[1]
        '1 of its float64 values are too large for float32'
        >>> narrowed(1.7e9 + np.arange(100.0)[:, None], np.dtype(np.float32))[1]
        '98 of 100 rows that differ as float64 are equal as float32'
    """
    with np.errstate(over="ignore"):
        narrow = x.astype(dtype)
    if x.dtype == dtype or x.ndim == 0 or np.array_equal(narrow, x, equal_nan=True):
        return narrow, ""
    if large := int((~np.isfinite(narrow) & np.isfinite(x)).sum()):
        return narrow, f"{large} of its {x.dtype} values are too large for {dtype}"
    before, after = (len(set(map(bytes, np.ascontiguousarray(a.reshape(len(a), -1))))) for a in (x + 0.0, narrow + 0))
    if after < before:
        return narrow, f"{before - after} of {before} rows that differ as {x.dtype} are equal as {dtype}"
    return narrow, ""
