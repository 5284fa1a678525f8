"""NumPy files that strangers made: headers first, then only what is needed.

Nothing is unpickled. A file that promises more than it holds, or more than this machine has memory for, is refused
before a byte of it is unpacked.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from genbench.errors import GenbenchError
from genbench.files import memory

ALONE = "x"  # what the one array of an .npy is called
PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes; others unpack a million bytes from one


class Damaged(Exception):
    """Why a file cannot be read."""


@dataclass(frozen=True)
class Stored:
    """An array in a file, known by its header.

    Arguments:
        path, key: the file, and the name in it, None in an `.npy`.
    """

    path: Path
    key: str | None
    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int:
        return self.shape[0] if self.shape else 0

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def load(self) -> np.ndarray:
        """The array itself.

        Raises:
            GenbenchError: its bytes are damaged, or there is no memory for them.
        """
        size = math.prod(self.shape) * self.dtype.itemsize
        if size > memory():
            raise GenbenchError(
                f"{self.path} holds {size / 1e9:,.0f} GB, more than this machine's memory", "Save fewer examples."
            )
        return attempt(self.path, self.unpack)

    def unpack(self) -> np.ndarray:
        if self.key is None:
            return np.load(self.path, allow_pickle=False)
        with zipfile.ZipFile(self.path) as archive, archive.open(f"{self.key}.npy") as file:
            return np.lib.format.read_array(file, allow_pickle=False)


def stored(path: Path) -> dict[str, Stored]:
    """The arrays of an `.npz` by name, or the one of an `.npy` under "x"; reads their headers alone.

    Raises:
        GenbenchError: no such file, a pickle, or one that is damaged.
    """
    return attempt(path, lambda: inside(path))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array in a file.

    Raises:
        GenbenchError: no such file, or one that is damaged.
    """
    return {name: one.load() for name, one in stored(path).items()}


def attempt(path: Path, make: Callable[[], Any]) -> Any:
    """`make()`, whose errors become the one that names the file."""
    try:
        return make()
    except GenbenchError:
        raise
    except Exception as error:  # on damaged files the readers of zip, deflate and headers raise many kinds
        why = "there is not enough memory for it" if isinstance(error, MemoryError) else error
        raise GenbenchError(f"{path} cannot be read: {why}", "Save it again with numpy.save or numpy.savez.") from error


def inside(path: Path) -> dict[str, Stored]:
    with open(path, "rb") as file:
        start = file.read(8)
    if not start.startswith(b"PK"):
        if not start.startswith(b"\x93NUMPY"):
            raise Damaged("it is no NumPy file, perhaps a pickle")
        return {ALONE: header(path, None, lambda: open(path, "rb"), path.stat().st_size)}
    found = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename:
                continue  # no array
            if info.compress_type not in PACKED or info.flag_bits & 1:
                raise Damaged(f"'{name}' is packed in a way that numpy does not write")
            found[name] = header(path, name, lambda info=info: archive.open(info), info.file_size)  # type: ignore[misc]
    return found


def header(path: Path, key: str | None, opened: Callable[[], AbstractContextManager[IO[bytes]]], size: int) -> Stored:
    """What the header of an array says, if the `size` bytes behind it can hold that."""
    with opened() as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise Damaged(f"it is of version {version[0]}.{version[1]}, which no plain numbers need")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        start = file.tell()
    if dtype.hasobject:
        raise GenbenchError(
            f"{path} holds Python objects, which can run code when they are loaded: refused",
            "Save plain numbers: numpy.stack the arrays, so that their dtype is not object.",
        )
    if min(shape, default=0) < 0 or start + math.prod(shape) * dtype.itemsize != size:
        raise Damaged(f"{dtype} {list(shape)} is not what its {size - start:,} bytes hold")
    return Stored(path, key, tuple(shape), dtype)
