"""IDX is the file format of MNIST: an array of bytes behind its shape.

Two zero bytes, the code of the type (8: unsigned bytes), the number of dimensions, each dimension
as a big-endian 32-bit integer, then the values in row-major order (LeCun, Cortes, Burges, 1998).
"""

import math
import struct

import numpy as np

from genbench.errors import GenbenchError

UNSIGNED_BYTES = 8
DIMENSIONS, LONGEST = 4, 1 << 16  # at most; the longest side of an array that holds nothing


def parse(data: bytes, name: str) -> np.ndarray:
    """The uint8 array in `data`, of the shape its header gives.

    Raises:
        GenbenchError: no IDX header, values that are not unsigned bytes, or fewer or more than promised.
    """
    remedy = "Replace the file; the official ones are listed in genbench/datasets/mnist.py."
    if len(data) < 4 or data[:2] != b"\0\0":
        raise GenbenchError(f"{name} is not an IDX file", remedy)
    kind, dimensions = data[2], data[3]
    if kind != UNSIGNED_BYTES:
        raise GenbenchError(f"{name} holds values of IDX type 0x{kind:02x}, not unsigned bytes (0x08)", remedy)
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise GenbenchError(f"{name} ends within its header", remedy)
    shape = struct.unpack(f">{dimensions}I", data[4:start])
    if not 1 <= dimensions <= DIMENSIONS or (0 in shape and max(shape) > LONGEST):
        raise GenbenchError(f"{name} promises an array {list(shape[:9])} of {dimensions} dimensions", remedy)
    if len(data) - start != math.prod(shape):
        raise GenbenchError(f"{name} promises {math.prod(shape):,} values and holds {len(data) - start:,}", remedy)
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()
