"""Articles of clothing, grey images of 28x28 pixels with 256 levels (Fashion-MNIST), in the format of MNIST.

The last 10,000 of the 60,000 training images are for validation, as `mnist` has it. The files under the data root have
the names of MNIST's, in a folder `fashion-mnist`.

References:
    Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms (Xiao, Rasul, Vollgraf, 2017).
"""

from functools import partial
from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._download import Remote, fetch
from genbench.datasets._idx import parse
from genbench.datasets.mnist import of_files

LICENCE = "MIT"
SOURCE = "https://github.com/zalandoresearch/fashion-mnist"
DOWNLOAD = 30_878_645  # bytes
MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
FILES = {  # of the .gz: md5, as its page says, and bytes; bytes unpacked
    "train-images-idx3-ubyte": ("8d4fb7e6c68d591d4c3dfef9ec88bf0d", 26_421_880, 47_040_016),
    "train-labels-idx1-ubyte": ("25c81989df183df01b3e8a0aad5dffbe", 29_515, 60_008),
    "t10k-images-idx3-ubyte": ("bef4ecab320f06d8554ea6380940ec79", 4_422_102, 7_840_016),
    "t10k-labels-idx1-ubyte": ("bb300cfdad3c16e7a12a480ee83cd310", 5_148, 10_008),
}
CLASSES = (
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip


def read(name: str, root: Path | None) -> np.ndarray:
    """The array in one of the four files."""
    urls = tuple(f"{mirror}{name}.gz" for mirror in MIRRORS)
    return parse(fetch(Remote(f"fashion-mnist/{name}.gz", urls, "md5", *FILES[name]), root), name)


def load(root: Path | None = None) -> Dataset:
    return of_files("fashion-mnist", partial(read, root=root), classes=CLASSES, licence=LICENCE, source=SOURCE)
