"""Rows are known and chosen by what they hold: neither the order in which they came nor rounding decides."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence

import numpy as np


def row_keys(x: np.ndarray) -> list[bytes]:
    """128-bit hashes of the values of each of n >= 1 rows `[n, ...]`, the same for 0.0 and -0.0."""
    flat = x.reshape(len(x), -1)
    if x.dtype.kind not in "iu":  # integers may be more than memory holds twice
        flat = np.ascontiguousarray(flat + 0)  # -0.0 + 0 is 0.0
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in flat]


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
