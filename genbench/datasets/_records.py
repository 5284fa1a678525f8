"""Records of CIFAR's binary files: label bytes, then 3,072 bytes of 32x32 pixels, red, green and blue, row by row.

References:
    Learning multiple layers of features from tiny images (Krizhevsky, 2009).
"""

import numpy as np

from genbench.errors import GenbenchError

SHAPE = (3, 32, 32)


def records(data: bytes, labels: int, classes: int, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Images `[n, 3, 32, 32]` uint8 and the last of their label bytes `[n]` int64.

    Raises:
        GenbenchError: no whole number of records, or a label that is none of the classes.
    """
    size = labels + int(np.prod(SHAPE))
    if len(data) % size or not data:
        raise GenbenchError(f"{name} has {len(data):,} bytes, no records of {size:,}", "Replace the file.")
    rows = np.frombuffer(data, np.uint8).reshape(-1, size)
    y = rows[:, labels - 1].astype(np.int64)
    if y.max() >= classes:
        raise GenbenchError(f"{name} has the label {y.max()}, of {classes} classes", "Replace the file.")
    return np.ascontiguousarray(rows[:, labels:]).reshape(-1, *SHAPE), y
