"""A dataset is named train, validation and test arrays of one space, with a licence and a hash of its content.

Every file here defines `load(root)`, where `root` is the data root or None, and opens with the
sentence that `genbench list datasets` shows. It says LICENCE, SOURCE and DOWNLOAD (bytes that its first use downloads,
0 for none), as literals that can be read without loading anything.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genbench.errors import GenbenchError
from genbench.space import Space
from genbench.text import said

if TYPE_CHECKING:
    from genbench.numerics.speech import LogMel

SPLITS = ("train", "validation", "test")
SHOWN = 10  # names of classes
# Published under hashes that do not say where one split ends, nor which characters the numbers mean.
PUBLISHED = {"patches": (30000, 700, 1000), "tinyshakespeare": (7842, 435, 435)}


@dataclass(frozen=True)
class Dataset:
    """Arrays `[n, *space.shape]` in the space's dtype.

    Arguments:
        labels: class of every example by split, int64 `[n]`, or None.
        classes: the names of the classes, in the order of their numbers, where they have names.
        preprocessing: what was done to the pixels before they became values, "" for nothing.
        licence, source: where it comes from and what may be done with it.
        draw: makes a fresh training batch from indices, where training data are dynamic
            (binarisation, crops): `(index [b], numpy generator) -> [b, *shape]`.
        log_density: the true log-density in nats, `[n, *shape] -> [n]`, where the data are generated.
        modes: centres `[m, d]` of the modes and their standard deviation, where the data have them.
        value: what one dimension is: "dim" (bits/dim) or "char" (bits/char).
        sequence: whether the examples of a split are pieces of one sequence, in its order, which depend on each other.
        sound: how an example becomes audio, where it is a spectrogram.
        target: the other domain, where the data are for translation: of the same space, and unpaired.
        factors: what each example was made of, by split, int64 `[n, f]`, where the data are generated from factors;
            `factor_names` are their names.
        outside: other data of this space by name, `[n, *shape]` each, made or read when they are asked for: what a
            model of this data should find strange. What is made of any images is in `datasets/_outside.py`.
    """

    name: str
    space: Space
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    licence: str
    source: str
    labels: dict[str, np.ndarray] | None = None
    draw: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None
    log_density: Callable[[np.ndarray], np.ndarray] | None = None
    modes: tuple[np.ndarray, float] | None = None
    vocabulary: str | None = None
    value: str = "dim"
    sequence: bool = False
    sound: LogMel | None = None
    target: Dataset | None = None
    classes: tuple[str, ...] | None = None
    preprocessing: str = ""
    factors: dict[str, np.ndarray] | None = None
    factor_names: tuple[str, ...] = ()
    outside: Mapping[str, Callable[[], np.ndarray]] | None = None

    def __post_init__(self) -> None:
        for split in SPLITS:
            x, who = self.split(split), f"{self.name}/{split}"
            self.space.checked(x[:1], who)
            if x.dtype != self.space.dtype:
                object.__setattr__(self, split, self.space.checked(x, who))
        if self.target is not None and self.target.space != self.space:
            raise ValueError(f"{self.name}: the target domain is of another space, {self.target.space}")

    def split(self, name: str) -> np.ndarray:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    def labels_of(self, split: str) -> np.ndarray:
        """Classes `[n]` int64.

        Raises:
            GenbenchError: the dataset has none.
        """
        if self.labels is None:
            raise GenbenchError(f"dataset '{self.name}' has no labels", "Choose a dataset that has, such as digits.")
        return self.labels[split].astype(np.int64, copy=False)

    def batch(self, index: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Training examples `[len(index), *shape]`."""
        return self.train[index] if self.draw is None else self.draw(index, rng)

    @property
    def n_classes(self) -> int:
        """As many as have names, or as the labels of all splits need: one may stand in the test split alone."""
        if self.labels is None:
            return 0
        if self.classes:
            return len(self.classes)
        return max((int(y.max()) + 1 for y in self.labels.values() if len(y)), default=0)

    def facts(self) -> dict[str, str]:
        """What `genbench describe` shows of it."""
        levels = self.space.levels
        facts = {
            "shape": "x".join(map(str, self.space.shape)) + (" (channels, height, width)" * self.space.is_image),
            "levels": "real numbers" if levels is None else f"{levels:,} (integers 0..{levels - 1})",
            **{split: f"{len(self.split(split)):,} examples" for split in SPLITS},
            "classes": self.classes_in_words() if self.labels else "no labels",
            "licence": self.licence,
            "source": self.source,
            "sha256": self.sha256,
        }
        if self.draw is not None:
            facts["train"] += ", drawn afresh for every batch"
        if self.factors is not None:
            sizes = (np.max([values.max(0) for values in self.factors.values() if len(values)], axis=0) + 1).tolist()
            facts["factors"] = ", ".join(f"{name} ({n})" for name, n in zip(self.factor_names, sizes, strict=True))
        if self.modes is not None:
            facts["modes"] = f"{len(self.modes[0]):,}, of standard deviation {self.modes[1]:g}"
        if self.target is not None:
            counts = ", ".join(f"{len(self.target.split(split)):,} {split}" for split in SPLITS)
            facts["target"] = f"{self.target.name}: {counts}; {self.target.licence}, {self.target.source}"
        if self.preprocessing:
            facts["preprocessing"] = self.preprocessing
        return facts

    def classes_in_words(self) -> str:
        n, more = self.n_classes, ""
        if self.classes:
            more = f": {', '.join(self.classes[:SHOWN])}{', ...' if len(self.classes) > SHOWN else ''}"
        there = {split: len(np.unique(y)) for split, y in (self.labels or {}).items()}
        fewer = ", ".join(f"{k:,} in {split}" for split, k in there.items() if k < n)
        return f"{n:,}{more}" + (f" (of these {fewer})" if fewer else "")

    @property
    def identity(self) -> dict[str, object]:
        """What of the data decides values: the content, the modes, what one dimension is called, and what depends."""
        found: dict[str, object] = {"name": self.name, "sha256": self.sha256, "per": self.value}
        if self.modes is not None:
            centres, sd = self.modes
            digest = hashlib.sha256(f"{np.shape(centres)} {float(sd)!r}".encode())
            digest.update(np.ascontiguousarray(centres, np.float64).tobytes())
            found["modes"] = digest.hexdigest()
        if self.sequence:
            found["sequence"] = True
        if self.preprocessing:
            found["preprocessing"] = self.preprocessing
        if self.classes is not None:  # which folders of samples are of which class
            found["classes"] = list(self.classes)
        return found

    @cached_property
    def sha256(self) -> str:
        """Of the space, and of every split with its labels and its factors; of both domains where there are two.

        Where nothing stands between the splits it is of their sizes too: the same examples, divided otherwise, are
        other data. So is a text of which only the characters differ that its numbers mean.
        """
        digest = hashlib.sha256(json.dumps(self.space.to_dict(), sort_keys=True).encode())
        for split in SPLITS:
            digest.update(np.ascontiguousarray(self.split(split)).data)  # no copy: it may not fit
            if self.labels is not None:
                digest.update(self.labels[split].astype(np.int64).tobytes())
            if self.factors is not None:
                digest.update(self.factors[split].astype(np.int64).tobytes())
        if self.target is not None:
            digest.update(self.target.sha256.encode())
        sizes = tuple(len(self.split(split)) for split in SPLITS)
        if PUBLISHED.get(self.name) != sizes:
            if self.labels is None and self.factors is None:
                digest.update(repr(sizes).encode())
            if self.vocabulary is not None:
                digest.update(self.vocabulary.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()


def bare(dataset: Dataset) -> Dataset:
    """The arrays and what is said of them, without the functions, which no other process can be sent."""
    target = None if dataset.target is None else bare(dataset.target)
    return replace(dataset, draw=None, log_density=None, outside=None, target=target)


def load(name: str, root: Path | None = None) -> Dataset:
    """The dataset called `name` in the catalog, or the one in a folder or a file at a path, `PATH[?key=value&...]`.

    Raises:
        GenbenchError: no such dataset, or its files are neither at hand nor downloadable.
    """
    from genbench import catalog

    if is_path(name) and name not in catalog.names("datasets"):
        from genbench.datasets import _files
        from genbench.query import parted

        path, args = parted(name)
        return _files.load_path(Path(path), _files.asked(args, path))
    module, origin = catalog.load("datasets", name), catalog.find("datasets", name).origin
    if origin == "genbench":
        return module.load(root)
    try:
        return module.load(root)
    except GenbenchError:
        raise
    except Exception as error:  # code of somebody else raises anything
        raise GenbenchError(
            f"dataset '{name}' of {origin} cannot be loaded: {type(error).__name__}: {said(error)}",
            "Fix it, then try again.",
        ) from error


def is_path(name: str) -> bool:
    """Whether it names a folder or a file, with arguments or without, and no member of the catalog."""
    path = name if os.path.exists(name) else name.partition("?")[0]
    return "/" in path or Path(path).suffix in (".npz", ".npy", ".txt", ".parquet", ".tar") or Path(path).is_dir()
