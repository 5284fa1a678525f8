"""Photographs of 32x32 pixels in ten classes, 256 levels (CIFAR-10).

The last 5,000 of the 50,000 training images, which are in random order, are for validation. Published distances are
often taken to all 50,000; those to the 45,000 here are other numbers.

The binary version, which needs no pickle. No checksums of its unpacked files are published, so the archive itself is
read: `cifar10/cifar-10-binary.tar.gz` under the data root.

References:
    Learning multiple layers of features from tiny images (Krizhevsky, 2009).
"""

from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._archives import Archive
from genbench.datasets._download import Remote
from genbench.datasets._records import SHAPE, records
from genbench.space import Space

LICENCE = "none stated; cite Krizhevsky (2009)"
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
DOWNLOAD = 170_052_171  # bytes
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # of the archive, as its page says
VALIDATION = 5_000
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6))
TEST = "cifar-10-batches-bin/test_batch.bin"
EACH = 10_000  # images of a file


def archive() -> Archive:
    remote = Remote(
        "cifar10/cifar-10-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
        "md5",
        MD5,
        DOWNLOAD,
    )
    return Archive(remote, dict.fromkeys((*BATCHES, TEST), EACH * 3073), {})


def load(root: Path | None = None) -> Dataset:
    files = archive().read(root)
    parts = [records(files[name], 1, len(CLASSES), name) for name in BATCHES]
    x, y = (np.concatenate(of_all) for of_all in zip(*parts, strict=True))
    test, test_labels = records(files[TEST], 1, len(CLASSES), TEST)
    return Dataset(
        name="cifar10",
        space=Space(SHAPE, levels=256),
        train=x[:-VALIDATION],
        validation=x[-VALIDATION:],
        test=test,
        labels={"train": y[:-VALIDATION], "validation": y[-VALIDATION:], "test": test_labels},
        classes=CLASSES,
        licence=LICENCE,
        source=SOURCE,
    )
