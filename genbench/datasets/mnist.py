"""Handwritten digits of 28x28 pixels with 256 levels (MNIST).

The last 10,000 of the 60,000 training images are for validation.

References:
    Gradient-based learning applied to document recognition (LeCun, Bottou, Bengio, Haffner, 1998).
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._download import Remote, fetch
from genbench.datasets._idx import parse
from genbench.space import Space

LICENCE = "CC BY-SA 3.0"
SOURCE = "https://ossci-datasets.s3.amazonaws.com/mnist/"
DOWNLOAD = 11_594_722  # bytes
FILES = {  # of the unpacked content: md5, bytes
    "train-images-idx3-ubyte": ("6bbc9ace898e44ae57da46a324031adb", 47_040_016),
    "train-labels-idx1-ubyte": ("a25bea736e30d166cdddb491f175f624", 60_008),
    "t10k-images-idx3-ubyte": ("2646ac647ad5339dbf082846283269ea", 7_840_016),
    "t10k-labels-idx1-ubyte": ("27ae3e4e09519cfbb04c329615203637", 10_008),
}
VALIDATION = 10_000


def read(name: str, root: Path | None) -> np.ndarray:
    """The array in one of the four files."""
    file = Remote(f"mnist/{name}.gz", (f"{SOURCE}{name}.gz",), "md5", *FILES[name])
    return parse(fetch(file, root), name)


def load(root: Path | None = None) -> Dataset:
    return of_files("mnist", partial(read, root=root), licence=LICENCE, source=SOURCE)


def of_files(name: str, read: Callable[[str], np.ndarray], **said: Any) -> Dataset:
    """The dataset in four files of MNIST's layout; `read` gives the array in one of them, by its name."""
    images = read("train-images-idx3-ubyte")[:, None]  # [60000, 1, 28, 28]
    labels = read("train-labels-idx1-ubyte").astype(np.int64)
    return Dataset(
        name=name,
        space=Space((1, 28, 28), levels=256),
        train=images[:-VALIDATION],
        validation=images[-VALIDATION:],
        test=read("t10k-images-idx3-ubyte")[:, None],
        labels={
            "train": labels[:-VALIDATION],
            "validation": labels[-VALIDATION:],
            "test": read("t10k-labels-idx1-ubyte").astype(np.int64),
        },
        **said,
    )
