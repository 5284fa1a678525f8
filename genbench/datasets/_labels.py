"""Labels in a file: the class that is to be asked of every sample, or that was asked of samples at hand.

An `.npy`, an `.npz` with one array or one called `labels`, or text with one number in every line.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from genbench.datasets._files import as_labels
from genbench.errors import GenbenchError
from genbench.numpy_files import stored

MOST = 1 << 28  # bytes of a file
REMEDY = "Give one whole number from 0 for every sample: an .npy, an .npz, or a line each."


def labels_at(path: Path) -> np.ndarray:
    """The labels in a file, int64 `[n]`.

    Raises:
        GenbenchError: no such file, or something in it that is no label.
    """
    if not path.is_file():
        raise GenbenchError(f"no labels at {path}", REMEDY)
    if path.suffix in (".npy", ".npz"):
        arrays = stored(path)
        keys = ["labels"] if "labels" in arrays else list(arrays)
        if len(keys) != 1:
            raise GenbenchError(f"{path} holds {', '.join(keys) or 'no arrays'}: which are the labels?", REMEDY)
        found = arrays[keys[0]]
        if len(found) * found.dtype.itemsize > MOST:
            raise GenbenchError(f"{path} has {len(found):,} entries, more than labels take", REMEDY)
        if found.ndim != 1:
            raise none_in(found.shape, str(path))
        return checked(found.load(), str(path))
    if path.stat().st_size > MOST:
        raise GenbenchError(f"{path} has {path.stat().st_size:,} bytes, more than labels take", REMEDY)
    lines = path.read_bytes().split(b"\n")
    if lines[-1].strip() == b"":
        lines.pop()
    for i, line in enumerate(lines, 1):
        if not line.strip().isdigit() or len(line) > 12:
            raise GenbenchError(f"{path}, line {i}: {line[:30]!r} is no label", REMEDY)
    return checked(np.array([int(line) for line in lines], np.int64), str(path))


def checked(given: np.ndarray, who: str) -> np.ndarray:
    """Labels as int64 `[n]`, n at least 1.

    Raises:
        GenbenchError: they are none.
    """
    given = np.asarray(given)
    if given.ndim != 1 or not len(given):
        raise none_in(given.shape, who)
    return as_labels(given, len(given), who)


def none_in(shape: tuple[int, ...], who: str) -> GenbenchError:
    return GenbenchError(f"{who}: an array {list(shape)} holds no labels", REMEDY)


def digest(labels: np.ndarray) -> str:
    """sha256 of labels, whatever file they came from."""
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
