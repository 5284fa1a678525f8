"""Nearest neighbours and balls between two sets of rows, exact, one block of distances at a time.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y turns a block of distances into one matrix product, but rounds: two
identical points come out some 1e-13 apart. So the product only proposes. Every pair within the
rounding error of a decision is computed again as sum_i (x_i - y_i)^2, and decides: identical points
are exactly 0 apart, ties go to the lower index, and neither the block nor the order of the rows
changes a value. Distances are squared throughout, which leaves them exact.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

BLOCK = 2**22  # distances held at once: 32 MiB


def nearest(
    x: np.ndarray, y: np.ndarray, k: int, exclude_self: bool = False, block: int = BLOCK
) -> tuple[np.ndarray, np.ndarray]:
    """The k nearest rows of y `[m, d]` to every row of x `[n, d]`, nearest first.

    Arguments:
        exclude_self: row i of x is row i of y, and is no neighbour of its own.

    Returns:
        Squared distances `[n, k]` float64, and indices into y `[n, k]`.
    """
    if exclude_self and len(x) != len(y):
        raise ValueError(f"exclude_self: {len(x)} rows cannot be the same as {len(y)}")
    if not 1 <= k <= len(y) - exclude_self:
        raise ValueError(f"{k} neighbours cannot be found among {len(y) - exclude_self} rows")
    squares, index = np.empty((len(x), k)), np.empty((len(x), k), dtype=np.int64)
    for rows, d2, error in _blocks(x, y, block):
        if exclude_self:
            own = torch.arange(rows.start, rows.stop)
            d2[own - rows.start, own] = torch.inf
        kth = d2.kthvalue(k, dim=1).values
        i, j = (d2 <= (kth + 2 * error)[:, None]).numpy().nonzero()  # at least k a row, sorted by row
        exact = squared_distance(x, y, rows.start + i, j)
        order = np.lexsort((j, exact, i))
        first = np.searchsorted(i, np.arange(len(d2)))  # where each row of x begins
        best = order[first[:, None] + np.arange(k)]  # [rows, k]
        squares[rows], index[rows] = exact[best], j[best]
    return squares, index


def count_within(x: np.ndarray, y: np.ndarray, squared_radii: np.ndarray, block: int = BLOCK) -> np.ndarray:
    """How many y have |x_i - y_j|^2 <= squared_radii, for every row of x: `[n]`.

    Arguments:
        squared_radii: `[m]`, a ball about every row of y; or `[n, 1]`, a ball about every row of x.
    """
    count = np.empty(len(x), dtype=np.int64)
    for rows, d2, error in _blocks(x, y, block):
        radii = squared_radii[rows] if squared_radii.ndim == 2 else squared_radii[None]
        margin = d2 - torch.from_numpy(np.ascontiguousarray(radii))
        count[rows] = (margin < -error[:, None]).sum(1).numpy()
        i, j = (margin.abs() <= error[:, None]).numpy().nonzero()
        close = squared_distance(x, y, rows.start + i, j) <= np.broadcast_to(radii, d2.shape)[i, j]
        count[rows] += np.bincount(i[close], minlength=len(d2))
    return count


def squared_distance(x: np.ndarray, y: np.ndarray, i: np.ndarray, j: np.ndarray, chunk: int = 2**22) -> np.ndarray:
    """|x[i] - y[j]|^2 by the definition, for pairs of indices `[p]`: `[p]` float64."""
    d2 = np.empty(len(i))
    step = max(1, chunk // x.shape[1])
    for s in range(0, len(i), step):
        p = slice(s, s + step)
        d2[p] = ((x[i[p]].astype(np.float64) - y[j[p]]) ** 2).sum(1)
    return d2


def _blocks(x: np.ndarray, y: np.ndarray, block: int) -> Iterator[tuple[slice, torch.Tensor, torch.Tensor]]:
    """Rows of x, their squared distances to all y up to rounding `[rows, m]`, and a bound on that rounding `[rows]`."""
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise ValueError(f"expected [n, d] and [m, d], got {list(x.shape)} and {list(y.shape)}")
    # The rounding grows with the distance from the origin, so measure from the middle. A dot product
    # of length d errs by d eps |x||y| at most (Higham 2002, equation 3.5).
    slack = 2 * (x.shape[1] + 8) * torch.finfo(torch.float64).eps
    centre = y.mean(0, dtype=np.float64)
    Y, yy = _centred(y, centre)
    step = max(1, block // len(y))
    for s in range(0, len(x), step):
        X, xx = _centred(x[s : s + step], centre)
        d2 = torch.addmm(xx[:, None] + yy, X, Y.T, alpha=-2)
        yield slice(s, s + len(X)), d2, slack * (xx + yy.max())


def _centred(x: np.ndarray, centre: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """x - centre `[n, d]` and its squared norms `[n]`."""
    with np.errstate(invalid="ignore"):
        X = torch.from_numpy(x - centre)
    squares = (X * X).sum(1)
    if not torch.isfinite(squares).all():
        raise ValueError("distances need finite rows, small enough to be squared")
    return X, squares
