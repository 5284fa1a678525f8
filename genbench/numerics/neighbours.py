"""Nearest neighbours and balls between two sets of rows, exact, one tile of distances at a time.

|x - y|^2 = |x|^2 + |y|^2 - 2 x.y turns a tile of distances into one matrix product, in float32 and
measured from the middle of the data. That rounds, so it only proposes: every pair within a proven
bound of a decision is computed again in float64 as sum_i (x_i - y_i)^2, and decides. Identical points
are exactly 0 apart, ties go to the lower index, and neither the tiles nor the order of the rows nor the
threads change a value. Distances are squared throughout, which leaves them exact. In few dimensions a
tree proposes in place of a product (`trees.py`).

Memory is that of a tile and of the answers, never n x n. A set against itself costs half: its
distances are symmetric. Rows that occur more than once are compared once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from scipy.linalg.blas import sgemm
from scipy.spatial import cKDTree
from torch import Tensor

from genbench.numerics import trees
from genbench.numerics.choice import may_repeat, row_keys

TILE = (1024, 4096)  # rows and columns, 16 MiB of float32: the more columns, the fewer pairs that are near at first
GROUP = 32  # distances that are looked at together
KEPT = 2**25  # numbers of a set that are kept centred while it is swept, 128 MiB; of a larger one a tile is
STRIPS = 8  # of rows that meet such a tile
Table = tuple[np.ndarray, np.ndarray]  # squared distances [n, k] float64, indices [n, k]


class Rows:
    """The distinct rows of a set, and where each occurs.

    Arguments:
        x: `[n, d]`, finite.
        device: where its tiles are computed.
    """

    def __init__(self, x: np.ndarray, device: str = "cpu") -> None:
        if x.ndim != 2 or len(x) == 0:
            raise ValueError(f"expected rows [n, d] with n >= 1, got {list(x.shape)}")
        self.n, self.x, self.device = len(x), x, device
        self.index = np.arange(len(x))  # [n], of the distinct row, in order of first occurrence
        if may_repeat(x):
            first: dict[bytes, int] = {}
            self.index = np.array([first.setdefault(key, len(first)) for key in self.keys])
        self.has_copies = int(self.index.max()) < len(x) - 1
        self.first = np.unique(self.index, return_index=True)[1] if self.has_copies else np.arange(len(x))  # [u]
        self.count = np.bincount(self.index)  # [u]
        self.distinct = x[self.first] if self.has_copies else x  # [u, d]

    def __len__(self) -> int:
        return len(self.distinct)

    @cached_property
    def keys(self) -> list[bytes]:
        """What the places are known by."""
        return row_keys(self.x)

    @cached_property
    def tree(self) -> cKDTree:
        return trees.tree(self.distinct)

    @cached_property
    def middle(self) -> np.ndarray:
        return self.distinct.mean(0, dtype=np.float64)

    def centred(self, rows: slice, centre: np.ndarray, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        """x - centre `[b, d]` and its squared norms `[b]`, computed in float64 and rounded to `dtype`."""
        x = self.distinct[rows] - centre
        xx = np.einsum("ij,ij->i", x, x)
        return torch.from_numpy(x).to(self.device, dtype), torch.from_numpy(xx).to(self.device, dtype)

    def members(self, k: int) -> np.ndarray:
        """The first k places of every distinct row, -1 where there are fewer: `[u, k]`."""
        order = np.argsort(self.index, kind="stable")
        start = np.concatenate([[0], np.cumsum(self.count)[:-1]])
        places = np.full((len(self), k), -1)
        for j in range(k):
            has = self.count > j
            places[has, j] = order[start[has] + j]
        return places


@dataclass
class Tile:
    """Squared distances `[r, c]` between some rows of x and some of y, with a bound on their error."""

    x: Rows
    y: Rows
    rows: slice
    columns: slice
    d2: Tensor
    error: float
    again: bool = False  # this is the second look, in float64
    least: dict[int, Tensor] = field(default_factory=dict)

    def precise(self) -> Tile:
        """The same in float64."""
        centre = self.y.middle
        left, right = (s.centred(r, centre, torch.float64) for s, r in ((self.x, self.rows), (self.y, self.columns)))
        tile = product(self.x, self.y, self.rows, self.columns, left, right)
        tile.d2.masked_fill_(torch.isinf(self.d2), torch.inf)  # on and below the diagonal
        tile.again = True
        return tile

    def minima(self, axis: int) -> Tensor:
        """For each of `axis`, the least of every `GROUP` distances and those left over: `[r, g]` or `[c, g]`.

        Their k-th least is no less than that of all distances, and seldom more.
        """
        if axis not in self.least:
            other = 1 - axis
            n = self.d2.shape[other]
            whole = n // GROUP * GROUP
            parts = [self.d2.narrow(other, 0, whole).unflatten(other, (GROUP, -1)).amin(other)] if whole else []
            least = torch.cat([*parts, self.d2.narrow(other, whole, n - whole)], other)
            self.least[axis] = least.T if axis else least
        return self.least[axis]

    def pairs(self, by_row: Tensor | None, by_column: Tensor | None) -> Pairs:
        """Those no farther apart than the limit of their row `[r]` or of their column `[c]`, None where there is none.

        Only groups with a minimum within the limit are looked through.
        """
        flat = [self._within(limit, axis) for axis, limit in enumerate((by_row, by_column)) if limit is not None]
        places = torch.cat(flat) if flat else torch.empty(0, dtype=torch.int64, device=self.d2.device)
        if len(flat) > 1:
            places = torch.unique(places)
        d2 = self.d2.flatten()[places].double().cpu().numpy()
        i, j = np.divmod(places.cpu().numpy(), self.d2.shape[1])
        return Pairs(self.x, self.y, self.rows.start + i, self.columns.start + j, d2, self.error)

    def _within(self, limit: Tensor, axis: int) -> Tensor:
        """The places in the flat tile of the pairs within the limits `[r]` or `[c]` along an axis."""
        limits = torch.finfo(self.d2.dtype)
        # Rounded upwards to the tile's dtype, and finite, since what is infinite is no pair.
        limit = ((limit + self.error) * (1 + 2 * limits.eps)).clamp(max=limits.max).to(self.d2.dtype)
        groups = self.d2.shape[1 - axis] // GROUP
        along, across = (self.d2.shape[1], 1)[:: 1 - 2 * axis]  # strides
        one, group = (self.minima(axis) <= limit[:, None]).nonzero(as_tuple=True)
        left_over = group >= groups
        alone = one[left_over] * along + (group[left_over] + groups * (GROUP - 1)) * across
        one, group = one[~left_over], group[~left_over]
        places = (one * along + group * across)[:, None] + torch.arange(GROUP, device=one.device) * (groups * across)
        return torch.cat([alone, places[self.d2.flatten()[places] <= limit[one][:, None]]])


@dataclass
class Pairs:
    """Places i in x and j in y, and their squared distances up to `error`, `[p]`."""

    x: Rows
    y: Rows
    i: np.ndarray
    j: np.ndarray
    d2: np.ndarray
    error: float

    @property
    def flipped(self) -> Pairs:
        """The same seen from y."""
        return Pairs(self.y, self.x, self.j, self.i, self.d2, self.error)

    def __getitem__(self, which: np.ndarray) -> Pairs:
        return Pairs(self.x, self.y, self.i[which], self.j[which], self.d2[which], self.error)

    def exact(self) -> np.ndarray:
        """The distances by their definition."""
        return squared_distance(self.x.distinct, self.y.distinct, self.i, self.j)


def product(
    x: Rows,
    y: Rows,
    rows: slice,
    columns: slice,
    left: tuple[Tensor, Tensor],
    right: tuple[Tensor, Tensor],
    memory: Tensor | None = None,
) -> Tile:
    """One tile from centred rows `[r, d]`, `[c, d]` and their squared norms, in `memory` where there is some.

    On the CPU in float32 by SciPy's library, which uses the whole width of processors on which PyTorch's uses half, and
    adds its products to what is there: a tile is written twice, by the norms and by the products.

    The error: a sum of d products and of xx + yy errs by (d + 1) u (2 |x||y| + xx + yy) at most, in whatever order
    (Higham 2002, section 3.1), u the unit roundoff, and 2 |x||y| <= xx + yy; rounding x and y beforehand, the norms
    and their sum takes 15 u more. What underflows loses less than the smallest normal number a term.
    """
    (X, xx), (Y, yy) = left, right
    limits = torch.finfo(X.dtype)
    shape = (len(X), len(Y))
    d2 = xx.new_empty(shape) if memory is None else memory[: len(X) * len(Y)].view(shape)
    torch.add(xx[:, None], yy, out=d2)
    if X.dtype == torch.float32 and X.device.type == "cpu":
        # Columns first, as Fortran has it: d2' = d2' - 2 Y X'.
        added = sgemm(-2.0, Y.numpy().T, X.numpy().T, 1.0, d2.numpy().T, trans_a=True, overwrite_c=True)
        d2 = torch.from_numpy(added.T)
    else:
        d2.addmm_(X, Y.T, alpha=-2)
    d = X.shape[1]
    error = 1.01 * (d + 16) * limits.eps * (float(xx.max()) + float(yy.max())) + d * limits.tiny
    return Tile(x, y, rows, columns, d2, error)


def check_rows(x: Rows, y: Rows) -> float:
    """A length that no row of either exceeds."""
    d = x.distinct.shape[1]
    if y.distinct.shape[1] != d:
        raise ValueError(f"rows of different widths: {d} and {y.distinct.shape[1]}")
    reach = np.abs([y.middle.min(), y.middle.max(), *(f(s.distinct) for s in (x, y) for f in (np.min, np.max))]).max()
    if not reach * math.sqrt(d) < 1e150:
        raise ValueError("distances need finite rows, small enough to be squared")
    return float(reach) * math.sqrt(d)


def tiles(x: Rows, y: Rows, shape: tuple[int, int]) -> Iterator[Tile]:
    """All distances of x to y; of x to itself those above the diagonal, the others infinite.

    A tile holds until the next is asked for.
    """
    longest = check_rows(x, y)
    plain = torch.get_float32_matmul_precision() == "highest"  # otherwise products may have fewer bits than float32
    dtype = torch.float32 if plain and longest < 1e18 else torch.float64
    kept = y.distinct.size <= KEPT
    if kept:
        Y, yy = (torch.empty(size, dtype=dtype, device=y.device) for size in (y.distinct.shape, len(y)))
        for t in range(0, len(y), shape[1]):
            columns = slice(t, min(t + shape[1], len(y)))
            Y[columns], yy[columns] = y.centred(columns, y.middle, dtype)
    high = shape[0] * (1 if kept else STRIPS)
    # Written again and again: memory that the system has to hand out anew costs as much as a product of few dimensions.
    memory = torch.empty(min(shape[0], len(x)) * min(shape[1], len(y)), dtype=dtype, device=y.device)
    for first in range(0, len(x), high):
        strips = [slice(s, min(s + shape[0], len(x))) for s in range(first, min(first + high, len(x)), shape[0])]
        lefts = [x.centred(rows, y.middle, dtype) for rows in strips]
        for t in range(first if x is y else 0, len(y), shape[1]):
            columns = slice(t, min(t + shape[1], len(y)))
            right = (Y[columns], yy[columns]) if kept else y.centred(columns, y.middle, dtype)
            for rows, left in zip(strips, lefts, strict=True):
                if x is y and columns.stop <= rows.start:  # below the diagonal
                    continue
                tile = product(x, y, rows, columns, left, right, memory)
                if x is y and t < rows.stop:
                    below = torch.arange(t, columns.stop) <= torch.arange(rows.start, rows.stop)[:, None]
                    tile.d2.masked_fill_(below.to(tile.d2.device), torch.inf)
                yield tile


class Nearest:
    """Finds the k nearest distinct rows of y to every distinct row of x, tile after tile."""

    def __init__(self, x: Rows, y: Rows, k: int) -> None:
        self.x, self.y = x, y
        self.k = self.usual = k  # as many pairs as a row should propose
        self.bound = torch.full((len(x), k), torch.inf, dtype=torch.float64, device=x.device)  # no less than the true
        self.limit = np.full(len(x), np.inf)  # their largest
        self.before: dict[int, Tensor] = {}  # the tile in hand, by axis
        self.found: list[Pairs] = []

    def reach(self, tile: Tile, axis: int) -> tuple[Tensor, Tensor | None]:
        """How far from its row of x, and from its row of y, a pair can be and matter; x is along `axis` of the tile."""
        rows, smallest = (tile.rows, tile.columns)[axis], tile.minima(axis).double() + tile.error
        if tile.again:  # no distance may count twice
            self.bound[rows] = self.before[axis]
        self.before[axis] = self.bound[rows].clone()
        bound = torch.cat([self.bound[rows], smallest], 1).topk(self.k, largest=False).values
        self.bound[rows], limit = bound, bound.amax(1)
        self.limit[rows] = limit.cpu().numpy()
        return limit, None

    def by_tree(self) -> trees.Places | None:
        """The pairs that matter, from a tree; None where there are too many."""
        return trees.nearest(self.x.distinct, self.y.tree, self.k, self.x is self.y)

    def take(self, pairs: Pairs) -> None:
        self.found.append(pairs[pairs.d2 - pairs.error <= self.limit[pairs.i]])

    def result(self) -> Table:
        """Squared distances and places among the distinct rows, `[u, k]`, nearest first."""
        found = [pairs[pairs.d2 - pairs.error <= self.limit[pairs.i]] for pairs in self.found]
        i, j, exact = (np.concatenate([getattr(pairs, name) for pairs in found]) for name in ("i", "j", "d2"))
        if any(pairs.error for pairs in found):
            exact = squared_distance(found[0].x.distinct, found[0].y.distinct, i, j)
        order = in_order(i, exact, j)
        best = order[np.searchsorted(i[order], np.arange(len(self.limit)))[:, None] + np.arange(self.k)]
        return exact[best], j[best]


@dataclass(frozen=True)
class Counts:
    """In how many balls each row lies, `[n]`: with `<=` (closed) and with `<` (open)."""

    closed: np.ndarray
    open: np.ndarray


class Within:
    """Counts how many rows of y lie within a ball of every distinct row of x, tile after tile.

    Arguments:
        squared_radii: `[u]` each, by the number of neighbours that a ball holds in its own set: about every distinct
            row of y, or of x if `about_x`.
    """

    def __init__(self, x: Rows, y: Rows, squared_radii: dict[int, np.ndarray], about_x: bool = False) -> None:
        self.x, self.y, self.radii, self.about_x = x, y, squared_radii, about_x
        self.usual = max(squared_radii, default=0)
        self.largest = torch.from_numpy(np.max([*squared_radii.values()], 0)).to(x.device) if squared_radii else None
        self.found = {k: Counts(*(np.zeros(len(x), dtype=np.int64) for _ in range(2))) for k in squared_radii}

    def reach(self, tile: Tile, axis: int) -> tuple[Tensor | None, Tensor | None]:
        if self.largest is None:
            return None, None
        rows, columns = (tile.rows, tile.columns)[:: 1 - 2 * axis]
        return (self.largest[rows], None) if self.about_x else (None, self.largest[columns])

    def by_tree(self) -> trees.Places | None:
        """The pairs that matter, from a tree; None where there are too many."""
        if self.largest is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        if self.about_x:
            found = trees.within(self.y.tree, self.x.distinct, self.largest.cpu().numpy())
            found = found and found[::-1]
        else:
            found = trees.within(self.x.tree, self.y.distinct, self.largest.cpu().numpy())
        if found is None or self.x is not self.y:
            return found
        i, j = found
        return i[i != j], j[i != j]

    def take(self, pairs: Pairs) -> None:
        radii = {k: r[pairs.i if self.about_x else pairs.j] for k, r in self.radii.items()}  # [p]
        near = np.zeros(len(pairs.d2), dtype=bool)
        for r in radii.values():
            near |= np.abs(pairs.d2 - r) <= pairs.error
        d2 = pairs.d2.copy()
        d2[near] = pairs[near].exact()
        for k, r in radii.items():
            for inside, count in ((d2 <= r, self.found[k].closed), (d2 < r, self.found[k].open)):
                weight = pairs.y.count[pairs.j[inside]]
                count += np.bincount(pairs.i[inside], weight, len(count)).astype(np.int64)

    def counts(self, x: Rows) -> dict[int, Counts]:
        """For all places."""
        return {k: Counts(found.closed[x.index], found.open[x.index]) for k, found in self.found.items()}


Taker = Nearest | Within


def sweep(
    x: Rows, y: Rows, by_row: Sequence[Taker], by_column: Sequence[Taker], shape: tuple[int, int] | None = None
) -> None:
    """Shows the pairs that matter in every tile to those who look along its rows, and flipped to the others.

    Of x and itself every pair is in one tile, so the same takers must look both ways.

    Arguments:
        shape: of the tiles; None leaves the choice, and in few dimensions a tree needs none.
    """
    if shape is None and x.device == "cpu" and x.distinct.shape[1] <= trees.FEW and by_tree(x, y, by_row, by_column):
        return
    for tile in tiles(x, y, shape or TILE):
        pairs = proposed(tile, by_row, by_column)
        usual = sum(
            taker.usual * n for takers, n in zip((by_row, by_column), tile.d2.shape, strict=True) for taker in takers
        )
        if len(pairs.i) > 8 * usual and tile.d2.dtype == torch.float32:
            pairs = proposed(tile.precise(), by_row, by_column)  # too many were too close to tell apart
        for taker in by_row:
            taker.take(pairs)
        for taker in by_column:
            taker.take(pairs.flipped)


def by_tree(x: Rows, y: Rows, by_row: Sequence[Taker], by_column: Sequence[Taker]) -> bool:
    """Whether trees could show all takers what matters to them; if not, nobody was shown anything."""
    check_rows(x, y)
    takers = list(dict.fromkeys([*by_row, *by_column]))
    found = []
    for taker in takers:
        places = taker.by_tree()
        if places is None:
            return False
        found.append(places)
    for taker, (i, j) in zip(takers, found, strict=True):
        exact = squared_distance(taker.x.distinct, taker.y.distinct, i, j)
        taker.take(Pairs(taker.x, taker.y, i, j, exact, 0.0))
    return True


def proposed(tile: Tile, by_row: Sequence[Taker], by_column: Sequence[Taker]) -> Pairs:
    """The pairs of a tile that may matter to any of the takers."""
    limits: list[Tensor | None] = [None, None]
    for axis, takers in enumerate((by_row, by_column)):
        for taker in takers:
            for along, limit in zip((axis, 1 - axis), taker.reach(tile, axis), strict=True):
                before = limits[along]
                if limit is not None:
                    limits[along] = limit if before is None else torch.maximum(before, limit)
    return tile.pairs(*limits)


def spread(table: Table, x: Rows, y: Rows, k: int) -> Table:
    """From the distinct rows to all: the k nearest places in y of every place in x, itself left out if x is y.

    Arguments:
        table: of as many distinct neighbours as can matter, k if there are so many.
    """
    squares, places = table
    if not (x.has_copies or y.has_copies):
        return squares[:, :k], places[:, :k]
    if x is y:  # its copies are nearest to a row
        squares = np.pad(squares, ((0, 0), (1, 0)))
        places = np.concatenate([np.arange(len(x))[:, None], places], 1)
    squares, places = squares[x.index], y.members(k + 1)[places[x.index]]  # [n, K], [n, K, k + 1]
    squares = np.where(places < 0, np.inf, squares[:, :, None]).reshape(x.n, -1)
    places = places.reshape(x.n, -1)
    if x is y:
        squares[places == np.arange(x.n)[:, None]] = np.inf
    order = np.lexsort((places, squares), axis=-1)[:, :k]
    return np.take_along_axis(squares, order, 1), np.take_along_axis(places, order, 1)


def check_k(n: int, k: int) -> None:
    """Whether there are k neighbours among n rows."""
    if not 1 <= k <= n:
        raise ValueError(f"{k} neighbours cannot be found among {n} rows")


def own_nearest(x: Rows, k: int, shape: tuple[int, int] | None = None) -> Table:
    """The k nearest other rows of every row."""
    check_k(x.n - 1, k)
    distinct = min(k, len(x) - 1)
    if distinct == 0:
        return spread((np.empty((1, 0)), np.empty((1, 0), dtype=np.int64)), x, x, k)
    taker = Nearest(x, x, distinct)
    sweep(x, x, [taker], [taker], shape)
    return spread(taker.result(), x, x, k)


def nearest(x: Rows, y: Rows, k: int, shape: tuple[int, int] | None = None) -> Table:
    """The k nearest rows of y to every row of x, nearest first."""
    check_k(y.n - (x is y), k)
    taker = Nearest(x, y, min(k, len(y)))
    sweep(x, y, [taker], [], shape)
    return spread(taker.result(), x, y, k)


def count_within(x: Rows, y: Rows, squared_radii: np.ndarray, shape: tuple[int, int] | None = None) -> np.ndarray:
    """How many rows of y lie in the closed ball about every row of x: `[n]`.

    Arguments:
        squared_radii: `[n]`, the same for equal rows.
    """
    taker = Within(x, y, {1: squared_radii[x.first]}, about_x=True)
    sweep(x, y, [taker], [], shape)
    return taker.counts(x)[1].closed


def all_distances(x: Rows, y: Rows) -> np.ndarray:
    """Every squared distance by the definition, `[n, m]` float64; of x and itself infinite on the diagonal."""
    check_rows(x, y)
    d2 = np.empty((x.n, y.n))
    for i, row in enumerate(x.x):
        difference = np.subtract(row, y.x, dtype=np.float64)
        np.einsum("ij,ij->i", difference, difference, out=d2[i])  # as in `squared_distance`: the same bits
    if x is y:
        np.fill_diagonal(d2, np.inf)
    return d2


def least(squares: np.ndarray, k: int) -> Table:
    """The k least of every row of `[n, m]`, ascending, ties to the lower index."""
    reach = np.partition(squares, k - 1, axis=1)[:, k - 1]
    i, j = np.nonzero(squares <= reach[:, None])  # k of each row, more where there are ties
    d2 = squares[i, j]
    order = in_order(i, d2, j)
    best = order[np.searchsorted(i, np.arange(len(squares)))[:, None] + np.arange(k)]
    return d2[best], j[best]


def counted(squares: np.ndarray, squared_radii: np.ndarray) -> Counts:
    """In how many of m balls every row of `[n, m]` lies."""
    inside = (squares <= squared_radii).sum(1), (squares < squared_radii).sum(1)
    return Counts(*(count.astype(np.int64) for count in inside))


def squared_distance(x: np.ndarray, y: np.ndarray, i: np.ndarray, j: np.ndarray, chunk: int = 2**16) -> np.ndarray:
    """|x[i] - y[j]|^2 by the definition, for pairs of places `[p]`: `[p]` float64."""
    d2, d = np.empty(len(i)), x.shape[1]
    step = max(1, chunk // d)
    threads = torch.get_num_threads() if len(i) > 3 * step else 1  # fewer are not worth another

    def fill(first: int) -> None:
        # Written again and again: a thread gives large memory back to the system, and waits for the next.
        raw = [np.empty((min(step, len(i)), d), z.dtype) for z in (x, y)]
        left, right = np.empty((2, min(step, len(i)), d))
        for s in range(first, len(i), threads * step):
            p = slice(s, s + step)
            n = len(i[p])
            for z, places, taken, wide in ((x, i, raw[0], left), (y, j, raw[1], right)):
                np.take(z, places[p], 0, taken[:n], mode="clip")
                np.copyto(wide[:n], taken[:n])
            difference = np.subtract(left[:n], right[:n], out=left[:n])
            # The order of summation depends on the length of a row alone.
            d2[p] = np.einsum("ij,ij->i", difference, difference)

    if threads == 1:
        fill(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(fill, range(0, threads * step, step)))
    return d2


def in_order(i: np.ndarray, d2: np.ndarray, j: np.ndarray) -> np.ndarray:
    """The order of pairs by i, then by distance, then by j, as of `np.lexsort((j, d2, i))`: `[p]`."""
    after = (i[1:] == i[:-1]) & ((d2[1:] > d2[:-1]) | (d2[1:] == d2[:-1]) & (j[1:] > j[:-1]))
    if (after | (i[1:] > i[:-1])).all():
        return np.arange(len(i))
    order = np.argsort(i * (int(j.max()) + 1) + j)
    held = np.bincount(i)
    if held.max() > 4 * len(i) / len(held):  # rows of very different lengths
        return np.lexsort((j, d2, i))
    there = np.arange(held.max()) < held[:, None]  # [rows, pairs of one]
    padded = np.full(there.shape, np.inf)
    padded[there] = d2[order]
    places = np.zeros(there.shape, dtype=np.int64)
    places[there] = order
    return np.take_along_axis(places, np.argsort(padded, 1, kind="stable"), 1)[there]
