"""Rows are known and chosen by what they hold: neither the order in which they came nor rounding decides."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np


def row_keys(x: np.ndarray) -> list[bytes]:
    """128-bit hashes of the values of each of n >= 1 rows `[n, ...]`, the same for 0.0 and -0.0."""
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for flat in _blocks(x) for row in flat]


def may_repeat(x: np.ndarray) -> bool:
    """False only if no two of n >= 1 rows `[n, ...]` have one key; a third of what their keys cost.

    By a sum of the words of every row, each times an odd number: rows that share it may differ, others do.
    """
    width = x[0].nbytes
    factors = np.random.default_rng(0).integers(2**64, size=-(-width // 8), dtype=np.uint64) | np.uint64(1)
    sums = []
    for flat in _blocks(x):
        padded = np.zeros((len(flat), 8 * len(factors)), np.uint8)
        padded[:, :width] = flat.view(np.uint8)
        words = padded.view(np.uint64)
        words ^= words >> np.uint64(32)  # the lower half of a number's bits is often empty
        sums.append(words @ factors)
    ascending = np.sort(np.concatenate(sums))
    return bool((ascending[1:] == ascending[:-1]).any())


def _blocks(x: np.ndarray, block: int = 1024) -> Iterator[np.ndarray]:
    """Rows `[b, width]` without a negative zero."""
    for start in range(0, len(x), block):
        flat = x[start : start + block].reshape(min(block, len(x) - start), -1)
        yield np.ascontiguousarray(flat if x.dtype.kind in "iu" else flat + 0)  # -0.0 + 0 is 0.0


def shuffled(keys: Sequence[bytes], seed: int) -> np.ndarray:
    """The places of rows in a random order that their keys alone decide, not how they came: `[n]`.

    Equal rows come together.
    """
    salt = seed.to_bytes(16, "big")
    drawn = [hashlib.blake2b(key, digest_size=8, salt=salt).digest() for key in keys]
    return np.argsort(np.frombuffer(b"".join(drawn), ">u8"), kind="stable")


def sampled(keys: Sequence[bytes], n: int, seed: int) -> np.ndarray:
    """The places of n rows, a simple random sample that their keys decide `[n]`; equal rows have a chance each.

    By `shuffled` equal rows come together, and the sample would have all of them or none.
    """
    seen: Counter[bytes] = Counter()
    numbered = []
    for key in keys:
        numbered.append(key + seen[key].to_bytes(8, "big"))
        seen[key] += 1
    return shuffled(numbered, seed)[:n]


def chosen(x: np.ndarray, n: int, seed: int, labels: np.ndarray | None = None) -> np.ndarray:
    """The places of n of the rows, at random and in a random order that contents and labels decide: `[n]`.

    The first n of a file are no sample of it: files are often sorted by class.
    """
    keys = row_keys(x)
    if labels is not None:
        keys = [key + int(label).to_bytes(8, "big", signed=True) for key, label in zip(keys, labels, strict=True)]
    return sampled(keys, n, seed)


def few(x: np.ndarray, n: int, seed: int) -> np.ndarray:
    """The rows themselves where there are no more than n, else n of them as `chosen` draws them."""
    return x if len(x) <= n else x[chosen(x, n, seed)]
