"""Long work in blocks: block i is made once, kept as soon as it is there, and a kill loses no other.

A block's number and its rows are all that its content depends on, so that neither the number of workers nor an
interruption changes a value. Several processes may be at the blocks of one model: each makes those that no other has.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from functools import partial

import numpy as np

Arrays = dict[str, np.ndarray]
# keep(i, make): the arrays of block i, from make() or from where an earlier call put them; None while somebody else is
# making them.
Keep = Callable[[int, Callable[[], Arrays]], Arrays | None]
Progress = Callable[[float], None]

ROWS = 500  # in a block of what has no noise, and so no block size in its protocol: at most so many
VALUES = 1 << 22  # in such a block, at most
LOOK = 0.05  # seconds between two looks at what others are making


class Whole(Exception):
    """The arrays that blocks are made for are whole already: nobody needs one."""


def afresh(number: int, make: Callable[[], Arrays]) -> Arrays:
    """Keeps nothing."""
    return make()


def silent(done: float) -> None:
    """Tells nobody."""


def in_blocks(
    n: int, size: int, make: Callable[[int, slice], Arrays], keep: Keep = afresh, progress: Progress = silent
) -> Arrays:
    """The rows of all blocks one after another, `{name: [n, ...]}`.

    Arguments:
        size: rows in a block; the last may have fewer.
        make: block i and its rows -> its arrays, each `[rows, ...]`.
        progress: told the number of rows done.

    Raises:
        ValueError: there are no rows, or the blocks do not fit together.
        Whole: `keep` does.
    """
    if n < 1:
        raise ValueError("no rows to make")
    found: dict[int, Arrays] = {}
    left, others, done = deque(enumerate(range(0, n, size))), 0, 0
    while left:
        i, start = left.popleft()
        rows = slice(start, min(n, start + size))
        block = keep(i, partial(make, i, rows))
        if block is None:
            left.append((i, start))
            others += 1
            if others >= len(left):  # somebody is at each of them
                time.sleep(LOOK)
                others = 0
            continue
        found[i], others = block, 0
        done += rows.stop - rows.start
        progress(done)
    blocks = [found[i] for i in sorted(found)]
    if any(block.keys() != blocks[0].keys() for block in blocks):
        raise ValueError("blocks differ in what they hold")
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


def rows_of(shape: tuple[int, ...], most: int = ROWS) -> int:
    """Rows in a block of arrays of this shape, a function of that alone: a block of large ones fits into memory."""
    return min(most, max(1, VALUES // math.prod(shape)))
