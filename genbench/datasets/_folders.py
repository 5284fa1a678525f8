"""A folder of images: in the sorted order of their paths, with classes or splits where its subfolders name them.

Subfolders are read at any depth, hidden ones and links to folders are not; what is not read is named in a warning.
First of all they may name splits: `train`, `validation` (or `valid`, `val`) and `test`. In a split, or in a folder
without splits, every image may lie in a subfolder: the first below is then its class. Classes are numbered in the
order of their names; of names that are the numbers 0, 1, ... each is its own.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from genbench.datasets._images import Rule
from genbench.datasets._pictures import Pictures
from genbench.errors import GenbenchError

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".pgm", ".ppm"}
SHOWN = 10  # names of files that are left out, of classes
ALMOST = ("training", "testing", "eval", "evaluation", "dev")  # splits by other names, and hardly classes
NAMES = {"train": "train", "validation": "validation", "valid": "validation", "val": "validation", "test": "test"}


def listed(folder: Path, suffixes: Iterable[str] = IMAGES) -> tuple[list[Path], list[str]]:
    """The files under a folder with one of these suffixes, in order, and what else is there, in words.

    Raises:
        GenbenchError: a folder in it may not be read.
    """

    def refuse(error: OSError) -> None:
        raise GenbenchError(f"{error.filename} cannot be read: {error.strerror}", "Check its permissions.")

    found, others = [], []
    for place, folders, files in os.walk(folder, onerror=refuse):
        here = Path(place)
        for name in sorted(folders):
            if name.startswith("."):
                others.append(f"{(here / name).relative_to(folder)}/ (hidden)")
            elif (here / name).is_symlink():
                others.append(f"{(here / name).relative_to(folder)}/ (a link to a folder)")
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in sorted(files):
            path = here / name
            if path.suffix.lower() in suffixes and not name.startswith(".") and path.is_file():
                found.append(path)
            else:
                others.append(str(path.relative_to(folder)))
    return sorted(found), others


def tell_skipped(folder: Path, paths: list[Path], others: list[str], what: str = "images") -> None:
    """Warns of what lies in a folder and is not read."""
    if others and paths:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        warnings.warn(
            f"{folder}: {len(paths)} {what} are read; left out: {', '.join(others[:SHOWN])}{more}", stacklevel=2
        )


def split_of(name: str) -> str | None:
    """The split that a file's or a folder's name begins with: `train`, `train-00000-of-00002.parquet`."""
    word = name.casefold()
    for alias, split in NAMES.items():
        if word.startswith(alias) and not word[len(alias) : len(alias) + 1].isalpha():
            return split
    return None


def by_split(folder: Path, paths: list[Path], layout: str | None) -> dict[str, list[Path]] | None:
    """The files of every split, where the first subfolders name splits; None where they do not.

    Arguments:
        layout: "splits" or "classes", as the user says; None finds out.

    Raises:
        GenbenchError: it is not clear whether they do, or two name the same split.
    """
    if layout in ("classes", "flat"):
        return None
    first = list(dict.fromkeys(path.relative_to(folder).parts[0] for path in paths))
    named = {name: NAMES[name.casefold()] for name in first if name.casefold() in NAMES and (folder / name).is_dir()}
    if layout is None and (almost := [name for name in first if name.casefold() in ALMOST]):
        raise GenbenchError(
            f"{folder} has {', '.join(almost)}, which are no names of splits and hardly classes",
            f"Call them train, validation and test, or read them as classes: '{folder}?layout=classes'.",
        )
    if not {"train", "test"} & set(named.values()):
        if layout == "splits":
            raise GenbenchError(f"{folder} has no folders train and test", "Leave out layout=splits.")
        return None
    others = [name for name in first if name not in named]
    if others and layout is None and not {"train", "test"} <= set(named.values()):
        raise GenbenchError(
            f"{folder} has {', '.join(named)} beside {', '.join(others[:SHOWN])}: it is not clear whether they are "
            "splits or classes",
            f"Say it: '{folder}?layout=splits' or '{folder}?layout=classes'.",
        )
    found: dict[str, list[Path]] = {}
    for name, split in named.items():
        if split in found:
            both = [one for one, other in named.items() if other == split]
            raise GenbenchError(f"{folder} has {' and '.join(both)}, both {split}", "Join them, or move one away.")
        found[split] = [path for path in paths if path.relative_to(folder).parts[0] == name]
        if name != split:
            print(f"{folder}: {name} is read as {split}", file=sys.stderr)
    if others:
        warnings.warn(f"{folder}: its splits are read; left out: {', '.join(others[:SHOWN])}", stacklevel=2)
    return found


def class_names(folder: Path, paths: list[Path]) -> list[str] | None:
    """The class of every image: its first subfolder, where every image lies in one and there are several."""
    parts = [path.relative_to(folder).parts for path in paths]
    if any(len(part) < 2 for part in parts) or len({part[0] for part in parts}) < 2:
        return None
    return [part[0] for part in parts]


def numbered(names: Iterable[str]) -> tuple[str, ...]:
    """Classes in the order of their numbers: 0, 1, ..., 10 where that is what they are called, else sorted."""
    known = set(names)
    digits = tuple(str(i) for i in range(len(known)))
    return digits if known == set(digits) else tuple(sorted(known))


def read_folder(folder: Path, paths: list[Path], rule: Rule, layout: str | None) -> dict[str, Pictures | np.ndarray]:
    """The images under a folder: `x` and perhaps `labels`, or the splits with theirs. Nothing is decoded.

    Arguments:
        paths: of all its images.
        layout: what subfolders are, "splits", "classes" or "flat" (nothing); None finds out.

    Raises:
        GenbenchError: classes that training lacks, or subfolders of which it is not clear what they are.
    """
    splits = by_split(folder, paths, layout)
    groups = {"x": (folder, paths)}
    if splits is not None:
        groups = {split: (folder / some[0].relative_to(folder).parts[0], some) for split, some in splits.items()}
    names = {key: None if layout == "flat" else class_names(*group) for key, group in groups.items()}
    if layout == "classes" and names["x"] is None:
        raise GenbenchError(
            f"{folder}: not every image lies in a subfolder, or there is one alone, so they are no classes",
            "Put every image into the folder of its class.",
        )
    if any(names.values()) and not all(names.values()):
        sorted_ones = [key for key, one in names.items() if one]
        raise GenbenchError(
            f"{folder}: the images of {', '.join(sorted_ones)} lie in folders of classes, those of "
            f"{', '.join(key for key in names if key not in sorted_ones)} do not",
            "Sort the images of all splits into folders of their classes, or of none.",
        )
    classes = numbered(name for one in names.values() for name in one or ()) or None
    if lost := set(classes or ()) - set(names.get("train") or classes or ()):
        raise GenbenchError(
            f"{folder}: no training image is of the class {', '.join(sorted(lost)[:SHOWN])}",
            "Every class needs training images; remove the others.",
        )
    number = {name: i for i, name in enumerate(classes or ())}
    found: dict[str, Pictures | np.ndarray] = {}
    for key, (_, some) in groups.items():
        labels = np.array([number[name] for name in names[key] or ()], np.int64) if classes else None
        found[key] = Pictures(folder, len(some), partial(files, some), labels, classes, rule)
        if labels is not None:
            found["labels" if key == "x" else f"{key}_labels"] = labels
    return found


def files(paths: list[Path]) -> Iterator[tuple[str, Path]]:
    yield from ((str(path), path) for path in paths)
