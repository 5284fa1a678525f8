"""Rows divided by their lengths: what metrics compare that go by cosines.

A row of zeros has no direction. Where there is one, all rows get one more coordinate, which is 1 for
the rows of zeros and 0 for the others: a row of zeros is like another and at a right angle to the rest.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from genbench.numerics.points import Points

CACHED = 2**16  # numbers that are divided at once, half a MiB: what is done to them one after another stays near


def directions(*sets: Points) -> list[Points]:
    """The rows of all sets as unit vectors, of one width and of the dtype that they had (float64 for integers)."""
    blank = any(x.remember("has zero rows", lambda x=x: not x.x.any(1).all()) for x in sets)  # type: ignore[misc]
    return [x.remember(("directions", blank), lambda x=x: _directions(x, blank)) for x in sets]  # type: ignore[misc]


def _directions(x: Points, blank: bool, cached: int = CACHED) -> Points:
    dtype = x.x.dtype if x.x.dtype.kind == "f" else np.float64
    units = np.zeros((len(x), x.d + blank), dtype=dtype)
    block = max(1, cached // x.d)

    def fill(i: int) -> None:
        rows = x.x[i : i + block].astype(np.float64)
        largest = np.abs(rows).max(1, keepdims=True)  # so that no square is too large or too small
        zero = largest == 0
        rows /= np.where(zero, 1, largest)
        rows /= np.where(zero, 1, np.linalg.norm(rows, axis=1, keepdims=True))
        units[i : i + block, : x.d] = rows
        if blank:
            units[i : i + block, x.d :] = zero

    with ThreadPoolExecutor(torch.get_num_threads() if len(x) > 3 * block else 1) as threads:
        list(threads.map(fill, range(0, len(x), block)))
    return Points(units, x.device, x.tile, lambda: x.keys)
