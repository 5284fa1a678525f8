"""samples:PATH[?size=64&crop=center]: a folder of images, parquet, shards, an .npz or an .npy: samples of any model."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from genbench.datasets import Dataset
from genbench.datasets._files import asked, called, files_of, load_labelled, read, tell_skipped
from genbench.datasets._pictures import Pictures
from genbench.errors import GenbenchError
from genbench.files import sha256_file, sha256_files
from genbench.models.adapters import Given, Source
from genbench.models.fixed import FixedSamples


def handles(what: str) -> bool:
    return what.startswith("samples:")


def identify(given: Given, dataset: Dataset) -> Source:
    where = given.what.partition(":")[2]
    if not where:
        raise GenbenchError(f"no path in '{given.what}'", "Give samples:PATH.")
    path, how = Path(where), asked(given.args, given.what)
    digest = hash_path(path)
    tell_skipped(path)
    if path.is_dir():
        tell_classes(path, read(path, how), dataset)
    return Source(given.name or called(path), "samples", str(path), digest, "samples", args=how.said())


def open(source: Source, dataset: Dataset, device: Any) -> FixedSamples:
    how = asked(source.args, source.what)
    return FixedSamples(dataset, *load_labelled(Path(source.what), dataset.space, how, dataset))


def tell_classes(path: Path, arrays: Any, dataset: Dataset) -> None:
    """Warns where subfolders look like classes and are none of the dataset's."""
    from genbench.datasets._files import classes_in

    x = arrays.get("x")
    if isinstance(x, Pictures) and x.classes and dataset.labels is not None and classes_in(x, dataset) is None:
        warnings.warn(
            f"{path}: its subfolders {', '.join(x.classes[:10])} are no classes of '{dataset.name}': the samples are "
            "taken without classes",
            stacklevel=2,
        )


def hash_path(path: Path) -> str:
    """sha256 of a file, or of the names and contents of the images in a folder."""
    if not os.path.exists(path):
        raise GenbenchError(f"no samples at {path}", "Give a folder of images, or a file: .npz, .npy, .parquet, .tar.")
    if path.is_file():
        return sha256_file(path)
    if not path.is_dir():
        raise GenbenchError(f"no samples at {path}", "Give a folder of images, or a file: .npz, .npy, .parquet, .tar.")
    return sha256_files(path, files_of(path)[1])
