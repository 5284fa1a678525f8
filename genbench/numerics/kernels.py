"""Sums of kernels over all pairs of rows, in float64, one tile at a time.

A maximum mean discrepancy needs of n x m kernel values the row sums alone. Two sets are summed both
ways in one sweep, for several kernels at once, which all come from the same products x.y; a set
against itself costs half, since a kernel is symmetric.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

TILE = (1024, 2048)  # rows and columns: 16 MiB of float64
STRIPS = 4  # of rows that meet a tile of a set that is not kept
STRIP = 64  # rows of a tile that a kernel is applied to at once
MANY = 256  # dimensions from which on a product costs more than the kernels of it
KEPT = 2**25  # numbers of a set that are kept in float64 while it is swept, 256 MiB; of a larger one a tile is


class Picked:
    """Some rows of a set `[n, d]`, by their places, copied as they are asked for."""

    def __init__(self, x: np.ndarray, places: np.ndarray) -> None:
        self.x, self.places = x, places
        self.shape = (len(places), x.shape[1])
        self.size = len(places) * x.shape[1]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self.x[self.places[rows]]


Set = np.ndarray | Picked
Numbers = TypeVar("Numbers", np.ndarray, Tensor)


def cubic(t: Numbers, above_one: bool) -> Numbers:
    """(t + 1)^3, or (t + 1)^3 - 1 without the 1 in between. Writes into t."""
    if above_one:
        return ((t + 3) * t + 3) * t
    t += 1
    k = t * t
    k *= t
    return k


@dataclass(frozen=True)
class Cubic:
    """(x.y/d + 1)^3 of KID (Binkowski et al., 2018), or what that is above 1, of which no distance between sets knows:
    for rows so short that adding 1 would round them away.
    """

    above_one: bool = False

    def __call__(self, products: Tensor, xx: Tensor, yy: Tensor, d: int) -> Tensor:
        return cubic(products / d, self.above_one)


@dataclass(frozen=True)
class Gaussian:
    """exp(-|x - y|^2 / (2 sigma^2)), of the rows or, scaled to length 1, of their directions.

    A row of zeros has no direction: it is like another, and at a right angle to the rest.
    """

    sigma: float
    of_directions: bool = False

    def __call__(self, products: Tensor, xx: Tensor, yy: Tensor, d: int) -> Tensor:
        if self.of_directions:
            u, v = (torch.where(squares == 0, 1, squares).rsqrt() for squares in (xx, yy))
            d2 = (products * (-2 * u[:, None])).mul_(v).add_(2)
            if not (xx.all() and yy.all()):
                d2.masked_fill_((xx[:, None] == 0) & (yy == 0), 0)
        else:
            d2 = (xx[:, None] + yy).sub_(products, alpha=2)
        return d2.clamp_(min=0).mul_(-0.5 / self.sigma**2).exp_()


Kernel = Cubic | Gaussian
Sums = dict[Kernel, np.ndarray]


def sums(x: Set, y: Set, kernels: tuple[Kernel, ...], tile: tuple[int, int], device: str = "cpu") -> tuple[Sums, Sums]:
    """sum_j k(x_i, y_j) `[n]` and sum_i k(x_i, y_j) `[m]`, float64, of every kernel."""
    rows, columns = ({k: np.zeros(n) for k in kernels} for n in (len(x), len(y)))
    for i, j, of in _tiles(x, y, tile, device):
        for k in kernels:
            values = of(k)
            rows[k][i] += values.sum(1).cpu().numpy()
            columns[k][j] += values.sum(0).cpu().numpy()
    return rows, columns


def own_sums(x: Set, kernels: tuple[Kernel, ...], tile: tuple[int, int], device: str = "cpu") -> Sums:
    """sum_{j != i} k(x_i, x_j), `[n]` float64, of every kernel."""
    total = {k: np.zeros(len(x)) for k in kernels}
    for i, j, of in _tiles(x, x, (min(tile), min(tile)), device, upper=True):
        for k in kernels:
            values = of(k)
            if i == j:
                values.fill_diagonal_(0)
            else:
                total[k][j] += values.sum(0).cpu().numpy()
            total[k][i] += values.sum(1).cpu().numpy()
    return total


def _tiles(
    x: Set, y: Set, tile: tuple[int, int], device: str, upper: bool = False
) -> Iterator[tuple[slice, slice, Callable[[Kernel], Tensor]]]:
    """Places, and what gives the values of a kernel there `[r, c]`, which hold until it is asked again."""

    def block(z: Set, rows: slice) -> tuple[Tensor, Tensor]:
        Z = torch.from_numpy(z[rows].astype(np.float64)).to(device)
        return Z, Z.square().sum(1)

    # Where products are what takes the time, those of NumPy's library, which knows the width of more processors.
    by_numpy = device == "cpu" and x.shape[1] > MANY
    columns = [slice(t, min(t + tile[1], len(y))) for t in range(0, len(y), tile[1])]
    kept = {c.start: block(y, c) for c in columns} if y.size <= KEPT else {}
    # Written again and again: memory that the system has to hand out anew costs as much as a product of few dimensions.
    products, values = (torch.empty(tile[0] * tile[1], dtype=torch.float64, device=device) for _ in range(2))
    high = tile[0] * (1 if kept else STRIPS)
    for first in range(0, len(x), high):
        strips = [slice(s, min(s + tile[0], len(x))) for s in range(first, min(first + high, len(x)), tile[0])]
        blocks = [block(x, i) for i in strips]
        for j in columns[first // tile[1] if upper else 0 :]:
            Y, yy = kept[j.start] if kept else block(y, j)
            for i, (X, xx) in zip(strips, blocks, strict=True):
                if upper and j.start < i.start:
                    continue
                shape = (len(X), len(Y))
                P, V = (buffer[: len(X) * len(Y)].view(shape) for buffer in (products, values))
                if by_numpy:  # which does half the work of a tile that is symmetric, where it sees one matrix
                    np.matmul(X.numpy(), (X if upper and i == j else Y).numpy().T, out=P.numpy())
                else:
                    torch.mm(X, Y.T, out=P)

                def of(k: Kernel, P: Tensor = P, V: Tensor = V, xx: Tensor = xx, yy: Tensor = yy) -> Tensor:
                    for r in range(0, len(P), STRIP):  # what is between stays in the cache
                        V[r : r + STRIP] = k(P[r : r + STRIP], xx[r : r + STRIP], yy, x.shape[1])
                    return V

                yield i, j, of
