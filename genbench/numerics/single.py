"""The cubic kernel k(x, y) = (x.y/d + 1)^3 summed over all pairs of rows, from products in float32, with a bound.

Rows are taken from the middle of their set, a = x - c and b = y - e, which leaves the kernel what it is:

    t = x.y/d + 1 = a.b/d + (x.e/d + 1) + c.(y - e)/d,

and only a.b/d comes from float32, which halves the time; the rest, the kernel and all sums are those of float64. So t
is known up to delta, of which a priori no more can be said than |delta| <= gamma |a||b|/d, for an inner product of d
terms gamma = d u / (1 - d u) (Higham 2002, section 3.1): tens of standard errors of a kernel distance of 10,000 rows.
But delta can be *measured*: for any vector z, delta z = t' z - (X (Y'z)/d + sum z), t' = t + delta what was found,
costs no more than a pass over the rows. Let z_1 .. z_r be normal numbers that know nothing of the rows, and |delta| the
root of the sum of all delta_ij^2. Then for q < 1

    P(sum_s |delta z_s|^2 <= q r |delta|^2) <= (q e^(1-q))^(r/2),

since |delta z|^2 = sum_k s_k^2 g_k^2 with the singular values s_k and normal g_k, so that for every l > 0 the mean of
exp(-l |delta z|^2) = prod_k (1 + 2 l s_k^2)^(-1/2) is at most (1 + 2 l |delta|^2)^(-1/2); Markov's inequality with
2 l |delta|^2 = 1/q - 1 gives the rest. So |delta| is at most `BEYOND` times what r = 16 vectors show, except with
probability 1e-9, whatever the products were rounded by: rows on their way to float32, and the order of sums included.

Of the sum over all pairs

    sum k(t') - sum k(t) = sum (3 t'^2 - s) delta + s sum delta - sum (3 t' delta^2 - delta^3)

for any number s. The sum of delta is known (z = 1), and taken off. By Cauchy and Schwarz what is left is at most

    |3 t'^2 - s| |delta| + 3 max|t'| |delta|^2 + |delta|^3,

least where s is the mean of 3 t'^2. That is the error given, about a hundredth of which is seen.

References:
    Probabilistic machines can use less running time (Freivalds, 1977): products checked by a random vector.
    Accuracy and stability of numerical algorithms (Higham, 2002).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from genbench.numerics.kernels import KEPT, Cubic, Set

MANY, ENOUGH = 1024, 500  # dimensions, and rows of each set, from which on it is worth its overhead
SEED = 1977  # of the vectors
VECTORS = 16  # r: BEYOND solves (q e^(1-q))^(r/2) = 1e-9, q = 1 / BEYOND^2
BEYOND = 5.936
BLOCK = 128  # rows that are in float64 at once
TILE = (1024, 2048)  # of float32
STRIP = 64  # rows of a tile that are in float64 at once


@dataclass(frozen=True)
class SingleCubic(Cubic):
    """The cubic kernel of products in float32."""


def worth(n: int, d: int) -> bool:
    """Whether sets of at least n rows of d features gain by it."""
    return d >= MANY and n >= ENOUGH


class Single:
    """A set `[n, d]`, and what is known of it in float64."""

    def __init__(self, z: Set) -> None:
        self.z, self.d = z, z.shape[1]
        random = np.random.default_rng(SEED).standard_normal((len(z), VECTORS))
        self.vectors = np.hstack([np.ones((len(z), 1)), random])  # [n, 1 + r]
        self.seen = np.zeros((self.d, 1 + VECTORS))  # z' of the vectors
        self.squares = np.empty(len(z))
        for rows, block in self.blocks():
            self.seen += block.T @ self.vectors[rows]
            self.squares[rows] = np.einsum("ij,ij->i", block, block)
        self.middle = (self.seen[:, 0] / len(z)).astype(np.float32)  # [d]

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        for first in range(0, len(self.z), BLOCK):
            rows = slice(first, min(first + BLOCK, len(self.z)))
            yield rows, self.z[rows].astype(np.float64)

    def centred(self, rows: slice) -> np.ndarray:
        """(z - middle) / sqrt(d), rounded to float32."""
        return (np.subtract(self.z[rows], self.middle) * self.d**-0.5).astype(np.float32, copy=False)

    def against(self, other: Single, vectors: int) -> tuple[np.ndarray, np.ndarray]:
        """t z for so many vectors of the other `[n, vectors]`, and z.middle/d + 1 of its middle `[n]`."""
        right = np.column_stack([other.seen[:, :vectors], other.middle]) / self.d
        found = np.concatenate([block @ right for _, block in self.blocks()])
        return found[:, :-1] + other.vectors[:, :vectors].sum(0), found[:, -1] + 1


@np.errstate(over="ignore", invalid="ignore")  # the bound is no number then
def sums(x: Single, y: Single, tile: tuple[int, int] = TILE) -> tuple[np.ndarray, np.ndarray, float]:
    """sum_j k(x_i, y_j) `[n]` and sum_i k(x_i, y_j) `[m]` float64, and how far all of either may be off together.

    If y is x, without i = j.
    """
    own, d = x is y, x.d
    if own:
        tile = (min(tile), min(tile))
    found_x, at_x = x.against(y, 1 + VECTORS)  # what t z is, and less and less of it what was found
    found_y, at_y = (found_x, at_x) if own else y.against(x, 1)
    at_y = at_y - 1 - float(x.middle.astype(np.float64) @ y.middle) / d
    if own:
        found_x -= (x.squares / d + 1)[:, None] * x.vectors
    rows, columns = np.zeros(len(x.z)), np.zeros(len(y.z))
    squares = fourths = 0.0
    kept = y.centred(slice(None)) if y.z.size <= KEPT else None
    memory = np.empty(tile[0] * tile[1], np.float32)
    strip, powers = np.empty((2, STRIP * tile[1]))
    for first in range(0, len(x.z), tile[0]):
        i = slice(first, min(first + tile[0], len(x.z)))
        left = kept[i] if own and kept is not None else x.centred(i)
        for start in range(first if own else 0, len(y.z), tile[1]):
            j = slice(start, min(start + tile[1], len(y.z)))
            right = left if own and i == j else y.centred(j) if kept is None else kept[j]
            products = memory[: len(left) * len(right)].reshape(len(left), len(right))
            np.matmul(left, right.T, out=products)  # half the work where NumPy sees that it is symmetric
            mirrored = own and i != j
            for r in range(0, len(left), STRIP):  # what is between stays in the cache
                at = slice(first + r, min(first + r + STRIP, i.stop))
                shape = (at.stop - at.start, len(right))
                t, k = (buffer[: shape[0] * shape[1]].reshape(shape) for buffer in (strip, powers))
                np.copyto(t, products[r : r + STRIP])
                t += at_x[at, None]
                t += at_y[j]
                if own and i == j:
                    t[np.arange(shape[0]), np.arange(r, r + shape[0])] = 0
                ones = x.vectors[at, 0]
                found_x[at] -= t @ y.vectors[j]
                if mirrored:
                    found_y[j] -= t.T @ x.vectors[at]
                elif not own:
                    found_y[j, 0] -= ones @ t
                np.multiply(t, t, out=k)
                squares += (1 + mirrored) * float(t.ravel() @ t.ravel())
                fourths += (1 + mirrored) * float(k.ravel() @ k.ravel())
                k *= t
                rows[at] += k.sum(1)
                if mirrored or not own:
                    columns[j] += ones @ k
    pairs = len(x.z) * (len(y.z) - own)
    mean = 3 * squares / pairs
    spread = 3 * math.sqrt(max(fourths - squares * squares / pairs, 0.0))  # |3 t'^2 - s|
    delta = BEYOND * float(np.linalg.norm(found_x[:, 1:])) / math.sqrt(VECTORS)
    error = spread * delta + 3 * fourths**0.25 * delta**2 + delta**3
    rows += mean * found_x[:, 0]  # t z less what was found: minus delta z
    if own:
        return rows + columns, rows + columns, error
    return rows, columns + mean * found_y[:, 0], error
