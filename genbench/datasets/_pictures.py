"""Many pictures of one shape, encoded as they lie in files, and decoded only when their pixels are asked for.

Pixels of a large set lie in an unnamed file that is mapped into memory, in the cache's folder: the system keeps of it
what it has room for. So a folder may be larger than memory while it is read, split and hashed.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from genbench.datasets._download import cache_root
from genbench.datasets._images import AS_IT_IS, Rule, read_image
from genbench.errors import GenbenchError
from genbench.files import memory

LARGE = 1 << 28  # bytes of pixels: from there on they are mapped
BEYOND = 10**9  # no number of a class is as large


@dataclass(frozen=True)
class Pictures:
    """Pictures in an order.

    Arguments:
        where: the folder or the file that they are in, for errors.
        n: how many.
        encoded: gives each with its name, in order, as a file or as the content of one; may be called again.
        labels: class of each, int64 `[n]`, where they have classes.
        classes: the names of the classes in the order of their numbers, where they have names.
        rule: by which each is brought to its size.
    """

    where: Path
    n: int
    encoded: Callable[[], Iterator[tuple[str, Path | bytes]]]
    labels: np.ndarray | None = None
    classes: tuple[str, ...] | None = None
    rule: Rule = AS_IT_IS

    @cached_property
    def first(self) -> np.ndarray:
        name, source = next(iter(self.encoded()))
        return read_image(source, name, self.rule)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.n, *self.first.shape)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.uint8)

    @property
    def ndim(self) -> int:
        return 4

    def __len__(self) -> int:
        return self.n

    def load(self) -> np.ndarray:
        """All of them, `[n, C, H, W]` uint8. Errors are those of `parts`."""
        return self.parts({"": np.arange(self.n)})[""]

    def parts(self, index: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Pictures by their places, in parts that share none: each is decoded once, into its part.

        Raises:
            GenbenchError: one cannot be read, two are of different shapes, or there is no room.
        """
        if math.prod(self.shape) > memory():
            raise GenbenchError(
                f"{self.where}: {self.n} images of {list(self.shape[1:])} are more than this machine's memory",
                "Take fewer.",
            )
        found = {part: room((len(places), *self.shape[1:])) for part, places in index.items()}
        rows: list[np.ndarray | None] = [None] * self.n
        for part, places in index.items():
            for i, place in enumerate(places):
                rows[place] = found[part][i]
        first = ""
        for row, (name, source) in zip(rows, self.encoded(), strict=True):
            image = read_image(source, name, self.rule)
            first = first or name
            if image.shape != self.shape[1:]:
                raise GenbenchError(
                    f"images of two shapes [C, H, W]: {first} is {list(self.shape[1:])}, {name} is {list(image.shape)}",
                    self.remedy(image.shape),
                )
            if row is not None:
                row[:] = image
        return found

    def remedy(self, other: tuple[int, ...]) -> str:
        """What brings pictures of two shapes together."""
        (c, *sides), (d, *others) = self.shape[1:], other
        said = [f"size={min(*sides, *others)}", "crop=center"] if sides != others else []
        said += ["channels=3"] if c != d else []
        return (
            f"Resizing decides the metrics, so ask for it: '{self.where}?{'&'.join(said)}', or bring them to one first."
        )


def room(shape: tuple[int, ...]) -> np.ndarray:
    """An array of bytes to be filled; a large one lies in a file without a name, which is gone when the array is.

    Raises:
        GenbenchError: there is no room for it on the disk.
    """
    size = math.prod(shape)
    if size < LARGE:
        return np.empty(shape, np.uint8)
    folder = cache_root() / "decoded"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error now, and no bus error later
            else:
                file.truncate(size)
            return np.memmap(file, np.uint8, "r+", shape=shape)
    except OSError as error:
        raise GenbenchError(
            f"{size / 1e9:,.1f} GB of pixels cannot be kept in {folder}: {error.strerror}",
            "Set GENBENCH_CACHE to a folder of yours with space.",
        ) from error
