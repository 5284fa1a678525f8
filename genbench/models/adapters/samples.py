"""samples:PATH: a folder of images, an .npz or an .npy: the samples of any model, from any framework."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from genbench.datasets import Dataset
from genbench.datasets._files import called, load_labelled
from genbench.errors import GenbenchError
from genbench.files import sha256_file, sha256_files
from genbench.models.adapters import Given, Source, no_arguments
from genbench.models.fixed import FixedSamples


def handles(what: str) -> bool:
    return what.startswith("samples:")


def identify(given: Given, dataset: Dataset) -> Source:
    no_arguments(given)
    from genbench.datasets._files import tell_skipped

    where = given.what.partition(":")[2]
    if not where:
        raise GenbenchError(f"no path in '{given.what}'", "Give samples:PATH.")
    path = Path(where)
    if path.is_dir():
        tell_skipped(path)
    return Source(given.name or called(path), "samples", str(path), hash_path(path), "samples")


def open(source: Source, dataset: Dataset, device: Any) -> FixedSamples:
    return FixedSamples(dataset, *load_labelled(Path(source.what), dataset.space))


def hash_path(path: Path) -> str:
    """sha256 of a file, or of the names and contents of the images in a folder."""
    from genbench.datasets._files import image_paths

    if not os.path.exists(path):
        raise GenbenchError(f"no samples at {path}", "Give a folder of images, an .npz or an .npy file.")
    if path.is_file():
        return sha256_file(path)
    if not path.is_dir():
        raise GenbenchError(f"no samples at {path}", "Give a folder of images, an .npz or an .npy file.")
    return sha256_files(path, image_paths(path))
