"""Pairs that may be neighbours or lie in balls, in few dimensions: by a k-d tree, without all distances.

A tree's distances are those of float64, rounded in another order than the definition's, to some 1e-14 of their size.
So it proposes all pairs within `MARGIN` of a decision, and `neighbours` decides. Where that would be most pairs, as
between sets that are nothing but ties or lie far apart, it gives up, and tiles of distances serve better.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree

MARGIN = 1e-9  # of a distance
LEAST = 1e-150  # a distance whose square is still a normal number
FEW = 8  # dimensions up to which a tree is faster than tiles
MANY = 64  # pairs for each row of either set: more are no candidates any more
Places = tuple[np.ndarray, np.ndarray]  # in x and in y, `[p]`


def tree(x: np.ndarray) -> cKDTree:
    """Of rows `[n, d]`."""
    return cKDTree(x.astype(np.float64))


def nearest(x: np.ndarray, y: cKDTree, k: int, own: bool) -> Places | None:
    """The pairs that may be of the k nearest rows of y to a row of x `[n, d]`; None where they are too many.

    Arguments:
        own: y is of the same rows, and none is its own neighbour.
    """
    x = x.astype(np.float64)
    rows, wide, found = np.arange(len(x)), min(k + own + 1, y.n), []
    while len(rows):
        if len(rows) * wide > MANY * k * (len(x) + y.n):
            return None
        far, j = (part.reshape(len(rows), wide) for part in y.query(x[rows], wide, workers=torch.get_num_threads()))
        i = np.broadcast_to(rows[:, None], j.shape)
        other = j != i if own else np.ones(j.shape, dtype=bool)
        limit = np.partition(np.where(other, far, np.inf), k - 1, axis=1)[:, k - 1] * (1 + MARGIN) + LEAST
        complete = far[:, -1] > limit if wide < y.n else np.ones(len(rows), dtype=bool)  # no other is as near
        near = other & (far <= limit[:, None]) & complete[:, None]
        found.append((i[near], j[near]))
        rows, wide = rows[~complete], min(2 * wide, y.n)
    return np.concatenate([i for i, _ in found]), np.concatenate([j for _, j in found])


def within(x: cKDTree, centres: np.ndarray, squared_radii: np.ndarray) -> Places | None:
    """The pairs of a row of x and a centre `[m, d]` that may be no farther apart than its radius; None if too many."""
    centres, reach = centres.astype(np.float64), np.sqrt(squared_radii) * (1 + MARGIN) + LEAST
    threads = torch.get_num_threads()
    held = x.query_ball_point(centres, reach, workers=threads, return_length=True)
    if held.sum() > MANY * (x.n + len(centres)):
        return None
    lists = x.query_ball_point(centres, reach, workers=threads, return_sorted=False)
    i = np.fromiter((place for one in lists for place in one), dtype=np.int64, count=int(held.sum()))
    return i, np.repeat(np.arange(len(centres)), held)
