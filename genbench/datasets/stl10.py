"""Photographs of 96x96 pixels in ten classes, 256 levels (STL-10): its 5,000 labelled training and 8,000 test images.

The last 500 of the training images are for validation. Its 100,000 images without labels, on which generative models
are often trained, are not read: they are of other classes too.

Read under the data root are `stl10/stl10_binary.tar.gz`, or its files unpacked, `stl10/stl10_binary/train_X.bin` and
so on, whose checksums are known. The archive has to be unpacked up to the last of them in every call.

References:
    An analysis of single-layer networks in unsupervised feature learning (Coates, Lee, Ng, 2011).
"""

from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._archives import Archive
from genbench.datasets._download import Remote
from genbench.errors import GenbenchError
from genbench.space import Space

LICENCE = "none stated (images of ImageNet); cite Coates, Lee, Ng (2011)"
SOURCE = "https://cs.stanford.edu/~acoates/stl10/"
DOWNLOAD = 2_640_397_119  # bytes
MD5 = "91f7769df0f17e558f3565bffb0c7dfb"  # of the archive
SIDE = 96
PIXELS = 3 * SIDE * SIDE
VALIDATION = 500
CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
FILES = {  # bytes, md5
    "stl10_binary/train_X.bin": (5_000 * PIXELS, "918c2871b30a85fa023e0c44e0bee87f"),
    "stl10_binary/train_y.bin": (5_000, "5a34089d4802c674881badbb80307741"),
    "stl10_binary/test_X.bin": (8_000 * PIXELS, "7f263ba9f9e0b06b93213547f721ac82"),
    "stl10_binary/test_y.bin": (8_000, "36f9794fa4beb8a2c72628de14fa638e"),
}


def archive() -> Archive:
    urls = ("http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz", f"{SOURCE}stl10_binary.tar.gz")
    return Archive(
        Remote("stl10/stl10_binary.tar.gz", urls, "md5", MD5, DOWNLOAD),
        {name: size for name, (size, _) in FILES.items()},
        {name: ("md5", md5) for name, (_, md5) in FILES.items()},
    )


def images(data: bytes) -> np.ndarray:
    """`[n, 3, 96, 96]`: in the file the columns of a channel stand one after the other."""
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(-1, 3, SIDE, SIDE).swapaxes(2, 3))


def labels(data: bytes, name: str) -> np.ndarray:
    """`[n]` int64 from 0; in the file they count from 1."""
    y = np.frombuffer(data, np.uint8).astype(np.int64) - 1
    if y.min() < 0 or y.max() >= len(CLASSES):
        raise GenbenchError(f"{name} has a label that is not from 1 to {len(CLASSES)}", "Replace the file.")
    return y


def load(root: Path | None = None) -> Dataset:
    train, train_labels, test, test_labels = FILES
    files = archive().read(root)
    x, y = images(files.pop(train)), labels(files[train_labels], train_labels)
    return Dataset(
        name="stl10",
        space=Space((3, SIDE, SIDE), levels=256),
        train=x[:-VALIDATION],
        validation=x[-VALIDATION:],
        test=images(files.pop(test)),
        labels={
            "train": y[:-VALIDATION],
            "validation": y[-VALIDATION:],
            "test": labels(files[test_labels], test_labels),
        },
        classes=CLASSES,
        licence=LICENCE,
        source=SOURCE,
    )
