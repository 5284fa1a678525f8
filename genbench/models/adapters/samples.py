"""samples:PATH[?labels=FILE&size=64&crop=center]: images in a folder, parquet or shards, an .npz, an .npy: samples."""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._files import asked, called, files_of, load_labelled, read, tell_skipped
from genbench.datasets._labels import digest as digest_of
from genbench.datasets._labels import labels_at
from genbench.datasets._pictures import Pictures
from genbench.errors import GenbenchError
from genbench.files import sha256_file, sha256_files
from genbench.models.adapters import Given, Source
from genbench.models.fixed import FixedSamples

NUMBERS = re.compile(r"([0-9]+)")
LABELS = "labels"  # the argument that names a file of them


def handles(what: str) -> bool:
    return what.startswith("samples:")


def identify(given: Given, dataset: Dataset) -> Source:
    where = given.what.partition(":")[2]
    if not where:
        raise GenbenchError(f"no path in '{given.what}'", "Give samples:PATH.")
    path, how = Path(where), asked({k: v for k, v in given.args.items() if k != LABELS}, given.what)
    digest = hash_path(path)
    tell_skipped(path)
    if path.is_dir():
        tell_classes(path, read(path, how), dataset)
    source = Source(given.name or called(path), "samples", str(path), digest, "samples", args=how.said())
    return labelled([source], labels_at(Path(str(given.args[LABELS]))))[0] if LABELS in given.args else source


def labelled(sources: list[Source], labels: np.ndarray) -> list[Source]:
    """Samples that were given no classes with that which was asked of each `[n]`, in the order in which they are read.

    Sources of other adapters stay as they are.
    """
    said = f"{len(labels)} of sha256 {digest_of(labels)}"
    return [
        replace(one, args={**one.args, LABELS: said}, extra=labels)
        if one.adapter == "samples" and one.extra is None
        else one
        for one in sources
    ]


def open(source: Source, dataset: Dataset, device: Any) -> FixedSamples:
    how = asked({k: v for k, v in source.args.items() if k != LABELS}, source.what)
    x, own = load_labelled(Path(source.what), dataset.space, how, dataset)
    given = source.extra
    if given is None:
        return FixedSamples(dataset, x, own)
    check_order(Path(source.what))
    if len(given) != len(x):
        raise GenbenchError(
            f"{len(given)} labels are given for the {len(x)} samples of {source.what}", "Give one each."
        )
    if own is not None and not np.array_equal(own, given):
        raise GenbenchError(f"{source.what} has labels of its own, and others are given", "Leave one of them out.")
    return FixedSamples(dataset, x, given)


def check_order(path: Path) -> None:
    """Whether the files of a folder have one order, so that it is clear whose label is whose.

    Raises:
        GenbenchError: they are numbered, and stand otherwise by their numbers than by their names, 10 before 2.
    """
    paths = files_of(path)[1] if path.is_dir() else []
    names = [file.relative_to(path).as_posix() for file in paths]
    counted = sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in NUMBERS.split(name)])
    if names != counted:
        mine, other = next((one, two) for one, two in zip(names, counted, strict=True) if one != two)
        raise GenbenchError(
            f"{path}: which label belongs to which file is not clear: by their names {mine} comes where by their "
            f"numbers {other} does",
            "Number them with leading zeros, 002 before 010; or put samples and `labels` into one .npz.",
        )


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
