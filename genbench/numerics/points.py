"""A set of points that remembers what was computed of it: moments, neighbours, kernel sums.

The metrics of one model ask the same of the same features: the radii of the training set, the
nearest training example of every sample. Each is computed when first asked for, and once; the
training features are one `Points` for all models of a run. Two sets meet in one sweep over their
distances, which answers what either asks of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from genbench.numerics import kernels, neighbours
from genbench.numerics.kernels import Cubic, Gaussian, Kernel
from genbench.numerics.moments import Moments, moments
from genbench.numerics.neighbours import TILE, Nearest, Rows, Table, Within

T = TypeVar("T")
WIDTH, WIDTH_MET = 5, 2  # neighbours in the tables within a set and between two: what metrics usually ask for
BALLS = (3, 5)  # neighbours that the radius of a ball usually reaches to

KERNELS = (Cubic(), Gaussian(10.0))  # those of KID and CMMD, from the same products


@dataclass(frozen=True)
class Counts:
    """In how many balls each row lies, `[n]`: with `<=` (closed) and with `<` (open)."""

    closed: np.ndarray
    open: np.ndarray


@dataclass
class Meeting:
    """What one set knows of another: the nearest rows, and by k the balls that its rows lie in."""

    table: Table
    balls: dict[int, Counts] = field(default_factory=dict)


class Points:
    """Rows `[n, d]` of finite numbers, never changed.

    Arguments:
        x: kept as it is.
        device: where distances are computed.
        tile: rows and columns of distances held at once; changes no value.
    """

    def __init__(self, x: np.ndarray, device: str = "cpu", tile: tuple[int, int] = TILE) -> None:
        self.x, self.device, self.tile = x, device, tile
        self._own: dict[Hashable, Any] = {}
        self._against: WeakKeyDictionary[Points, dict[Hashable, Any]] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self.x)

    @property
    def d(self) -> int:
        return self.x.shape[1]

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, computed the first time that `key` is asked for."""
        if key not in self._own:
            self._own[key] = make()
        return self._own[key]

    def remember_against(self, other: Points, key: Hashable, make: Callable[[], T]) -> T:
        """The same of two sets, forgotten with `other`."""
        if other is self:
            return self.remember(("self", key), make)
        found = self._against.setdefault(other, {})
        if key not in found:
            found[key] = make()
        return found[key]

    @cached_property
    def moments(self) -> Moments:
        return moments(self.x)

    @cached_property
    def rows(self) -> Rows:
        return Rows(self.x, self.device)

    def nearest(self, other: Points, k: int = 1) -> Table:
        """The k nearest rows of `other` to every row, nearest first; the row itself left out if `other` is this set.

        Returns:
            Squared distances `[n, k]` float64, and indices into `other` `[n, k]`.
        """
        neighbours.check_k(self.rows, other.rows, k)
        if other is self:
            width = max(k, min(WIDTH, len(self) - 1))
            table = self.remember(("own", width), lambda: neighbours.own_nearest(self.rows, width, self.tile))
        elif k <= WIDTH_MET:
            table = self.meet(other).table
        else:
            table = self.remember_against(
                other, ("nearest", k), lambda: neighbours.nearest(self.rows, other.rows, k, self.tile)
            )
        return table[0][:, :k], table[1][:, :k]

    def balls(self, other: Points, k: int) -> Counts:
        """In how many of `other`'s balls every row lies; each reaches to its centre's k-th neighbour in `other`."""
        for points in (self, other):
            neighbours.check_k(points.rows, points.rows, k)
            points.nearest(points, k)  # before they meet, so that their meeting counts the balls
        known = self.meet(other).balls
        if k not in known:
            taker = Within(self.rows, other.rows, other.squared_radii((k,)))
            neighbours.sweep(self.rows, other.rows, [taker], [], self.tile)
            known[k] = counts(taker, self.rows, 0)
        return known[k]

    def squared_radii(self, ks: tuple[int, ...]) -> np.ndarray:
        """To the k-th neighbour within the set, for the distinct rows: `[len(ks), u]`."""
        return np.stack([self.nearest(self, k)[0][self.rows.first, -1] for k in ks])

    def meet(self, other: Points) -> Meeting:
        """One sweep over the distances to another set, which is told as much."""
        if other is self:
            raise ValueError("a set does not meet itself")
        if self not in other._against or "meeting" not in other._against[self]:
            mine, theirs = self._sweep(other)
            self.remember_against(other, "meeting", lambda: mine)
            other.remember_against(self, "meeting", lambda: theirs)
        return self._against[other]["meeting"]

    def _sweep(self, other: Points) -> tuple[Meeting, Meeting]:
        """The balls are counted too if both sets know their radii by now."""
        x, y = self.rows, other.rows
        sides = [(x, y), (y, x)]
        tables = [Nearest(a, b, min(WIDTH_MET, len(b))) for a, b in sides]
        ks = tuple(k for k in BALLS if k < min(len(self), len(other)))
        inside: list[Within] = []
        if ks and all(any(key[0] == "own" for key in p._own if isinstance(key, tuple)) for p in (self, other)):
            radii = [other.squared_radii(ks), self.squared_radii(ks)]
            inside = [Within(a, b, r) for (a, b), r in zip(sides, radii, strict=True)]
        neighbours.sweep(x, y, [tables[0], *inside[:1]], [tables[1], *inside[1:]], self.tile)
        meetings = []
        for side, (a, b) in enumerate(sides):
            balls = {k: counts(inside[side], a, s) for s, k in enumerate(ks)} if inside else {}
            table = neighbours.spread(tables[side].result(), a, b, min(WIDTH_MET, b.n))
            meetings.append(Meeting(table, balls))
        return meetings[0], meetings[1]

    def kernel_sums(self, other: Points, kernel: Kernel) -> np.ndarray:
        """sum_j k(x_i, y_j) over the rows of `other` for every row, without j = i if `other` is this set: `[n]`."""
        together = KERNELS if kernel in KERNELS else (kernel,)
        if other is self:
            return self.remember(
                ("sums", together), lambda: kernels.own_sums(self.x, together, self.tile, self.device)
            )[kernel]
        key = ("sums", together)
        if other not in self._against or key not in self._against[other]:
            mine, theirs = kernels.sums(self.x, other.x, together, self.tile, self.device)
            self.remember_against(other, key, lambda: mine)
            other.remember_against(self, key, lambda: theirs)
        return self._against[other][key][kernel]


def counts(taker: Within, x: Rows, s: int) -> Counts:
    """The s-th of the counts, for all places."""
    return Counts(taker.closed[s, x.index], taker.open[s, x.index])
