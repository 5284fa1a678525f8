"""Photographs of 32x32 pixels in a hundred classes, 256 levels (CIFAR-100), with the fine of its two labels.

The last 5,000 of the 50,000 training images, which are in random order, are for validation.

The binary version, which needs no pickle: `cifar100/cifar-100-binary.tar.gz` under the data root.

References:
    Learning multiple layers of features from tiny images (Krizhevsky, 2009).
"""

from pathlib import Path

from genbench.datasets import Dataset
from genbench.datasets._archives import Archive
from genbench.datasets._download import Remote
from genbench.datasets._records import SHAPE, records
from genbench.space import Space

LICENCE = "none stated; cite Krizhevsky (2009)"
SOURCE = "https://www.cs.toronto.edu/~kriz/cifar.html"
DOWNLOAD = 168_513_733  # bytes
MD5 = "03b5dce01913d631647c71ecec9e9cb8"  # of the archive, as its page says
VALIDATION = 5_000
CLASSES = 100
TRAIN, TEST = "cifar-100-binary/train.bin", "cifar-100-binary/test.bin"
NAMES = "cifar-100-binary/fine_label_names.txt"
SIZES = {TRAIN: 50_000 * 3074, TEST: 10_000 * 3074}  # bytes


def archive() -> Archive:
    remote = Remote(
        "cifar100/cifar-100-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",),
        "md5",
        MD5,
        DOWNLOAD,
    )
    return Archive(remote, {**SIZES, NAMES: None}, {})


def load(root: Path | None = None) -> Dataset:
    files = archive().read(root)
    x, y = records(files[TRAIN], 2, CLASSES, TRAIN)  # a coarse label, then the fine one
    test, test_labels = records(files[TEST], 2, CLASSES, TEST)
    return Dataset(
        name="cifar100",
        space=Space(SHAPE, levels=256),
        train=x[:-VALIDATION],
        validation=x[-VALIDATION:],
        test=test,
        labels={"train": y[:-VALIDATION], "validation": y[-VALIDATION:], "test": test_labels},
        classes=tuple(files[NAMES].decode("ascii").split()),
        licence=LICENCE,
        source=SOURCE,
    )
