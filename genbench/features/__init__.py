"""An extractor turns images into features `[n, d]`, and class logits where it has them.

Every file here defines `extractor(space, weights=None, device="cpu")` and opens with the sentence
that `genbench list extractors` shows. One that is trained here also defines `build`, as a baseline
does, and ships its weights beside it. Any function in code is one too: `FILE.py:NAME`.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from threadpoolctl import threadpool_limits

from genbench.blocks import ROWS, Arrays, Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import GenbenchError
from genbench.models import steady
from genbench.numerics.choice import row_keys
from genbench.space import Space

if TYPE_CHECKING:
    from torch import Tensor

Features = tuple[np.ndarray, np.ndarray | None]  # features [n, d], logits [n, classes] or None


@dataclass(frozen=True)
class Extractor:
    """A named, hashed function of images.

    Arguments:
        name: as the catalog spells it; metrics are named for it, `fd[name]`.
        sha256: what decides the features: the weights that ship, or weights and rule, or source code.
        preprocessing: resize rule and input range, in words: they decide the value.
        extract: `[n, *shape]` -> (features `[n, d]` float32, logits `[n, classes]` or None), for one batch.
        weights: sha256 of the file of weights, None where there is none.
        between: the features of images between the levels, float64 `[n, *shape]` -> `[n, d]`, None where it
            can see levels only.
        pinned: whether `sha256` is of all that decides the features; if not, none are used again.
        parallel: whether `extract` may be called from several threads at once.
        at_once: images in a block, at most: few for a large network, since the last block is filled up.
    """

    name: str
    sha256: str
    preprocessing: str
    extract: Callable[[np.ndarray], Features]
    weights: str | None = None
    between: Callable[[Tensor], Tensor] | None = None
    pinned: bool = True
    parallel: bool = True
    at_once: int = 100

    def __call__(
        self, x: np.ndarray, batch_size: int = ROWS, keep: Keep = afresh, progress: Progress = silent
    ) -> Features:
        """Features of all images. Neither the batch size nor the number of threads changes a bit of them.

        Equal images are seen once, so that copies are copies. The others come in blocks of a fixed size, the last
        filled up by its last image, each on one thread: what a network makes of an image depends on how many it sees
        at once, and on how many threads share the work.

        Arguments:
            batch_size: images at once in memory, as far as one block allows: how many blocks are seen side by side.
            keep: how finished blocks are remembered, see `genbench.blocks`.
            progress: told the number of images done.

        Raises:
            GenbenchError: no images, or what comes out is not one finite row for each of them.
        """
        if len(x) == 0:
            raise GenbenchError(f"extractor '{self.name}' got no images", "Give it at least one.")
        first: dict[bytes, int] = {}
        places = np.array([first.setdefault(key, len(first)) for key in row_keys(x)])  # among the distinct images
        distinct = x[np.unique(places, return_index=True)[1]]
        size = rows_of(x.shape[1:], self.at_once)
        made: dict[int, Future[Features]] = {}

        def see(number: int) -> Features:
            block = distinct[number * size : (number + 1) * size]
            filled = np.concatenate([block, np.repeat(block[-1:], size - len(block), 0)])
            features, logits = self.seen(filled)
            return features[: len(block)], None if logits is None else logits[: len(block)]

        with one_thread() as threads, ThreadPoolExecutor(workers := min(threads, max(1, batch_size // size))) as pool:
            last = -(-len(distinct) // size)

            def make(number: int, rows: slice) -> Arrays:
                for ahead in range(number, min(last, number + workers) if self.parallel else number + 1):
                    if ahead not in made:
                        made[ahead] = pool.submit(see, ahead)
                features, logits = made.pop(number).result()
                return {"features": features} if logits is None else {"features": features, "logits": logits}

            found = in_blocks(len(distinct), size, make, keep, progress)
        logits, features = found.get("logits"), found["features"]
        if len(features) > 1 and (features == features[0]).all():
            warnings.warn(
                f"extractor '{self.name}': {len(features)} different images have the same features, in which nothing "
                "is far from anything",
                stacklevel=2,
            )
        return found["features"][places], None if logits is None else logits[places]

    def seen(self, block: np.ndarray) -> Features:
        """What it makes of one block.

        Raises:
            GenbenchError: not one finite row for each image.
        """
        features, logits = self.extract(block.copy())  # somebody else's may write into its own
        rows = self.checked("features", features, len(block))
        return rows, None if logits is None else self.checked("logits", logits, len(block))

    def check_each(self, images: np.ndarray) -> None:
        """Whether features of an image are those of no others: half of these are seen again, without the other half.

        Raises:
            GenbenchError: they change with the images beside it, or when it is seen again.
        """
        half = -(-len(images) // 2)
        among = self.seen(images)[0][:half]
        again = self.seen(images[:half][::-1])[0][::-1]
        change = steady.moved(among, again, float(np.abs(among).max()))
        if change is not None and change[1] > steady.FAR:
            raise GenbenchError(
                f"extractor '{self.name}': features of an image change by up to {change[0]:.2g} with the images beside "
                "it, or when it is seen again",
                "Treat every image by itself: no statistics of the batch, no layers in training mode, nothing random.",
            )

    def checked(self, what: str, rows: np.ndarray, n: int) -> np.ndarray:
        """Finite rows `[n, d]`, d >= 1."""
        remedy = "An extractor gives [n, d] finite features for n images, and [n, classes] logits or none."
        if rows.ndim != 2 or rows.shape[1] == 0 or len(rows) != n:
            raise GenbenchError(f"extractor '{self.name}' gave {what} {list(rows.shape)} for {n} images", remedy)
        if bad := int((~np.isfinite(rows)).sum()):
            raise GenbenchError(f"extractor '{self.name}' gave {bad} {what} that are NaN or infinite", remedy)
        return rows


@contextmanager
def one_thread() -> Iterator[int]:
    """torch, and the BLAS of NumPy, on one thread within; gives the number that torch had before."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield threads
    finally:
        torch.set_num_threads(threads)


def load(name: str, space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    """The extractor called `name` in the catalog, or the one that is a function in code, `FILE.py:NAME`.

    Raises:
        GenbenchError: no such extractor, a space that it cannot see, or weights that are not there or not its own.
    """
    from genbench import catalog

    if ":" in name:
        from genbench.features import _callable

        return _callable.extractor(name, weights)
    return catalog.load("extractors", name).extractor(space, weights, device)


def identity(*parts: str) -> str:
    """One sha256 for texts that decide the features together."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def no_weights(name: str, weights: Path | None) -> None:
    """GenbenchError if weights are given to an extractor that has none."""
    if weights is not None:
        raise GenbenchError(f"extractor '{name}' has no weights, got {weights}", "Leave out --extractor-weights.")
