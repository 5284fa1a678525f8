"""Files of any framework as arrays: folders of images, parquet, WebDataset shards, `.npz`, `.npy`: data or samples.

Images are read as `_folders.py`, `_parquet.py` and `_shards.py` say, each by the one code in `_images.py`: none is
resized unless that is asked for. Arrays may be `[n, C, H, W]`, `[n, H, W, C]` with C of 1 or 3, or `[n, H, W]`. Nothing
is ever unpickled.
"""

from __future__ import annotations

import io
import math
import sys
import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from genbench.datasets import SPLITS, Dataset
from genbench.datasets import _folders as folders
from genbench.datasets._images import Rule, read_image
from genbench.datasets._pictures import Pictures
from genbench.errors import GenbenchError, ModelError, unknown
from genbench.files import write_atomically
from genbench.numpy_files import Stored, stored
from genbench.reading import As
from genbench.space import Space

__all__ = ["read_image"]

KEYS = ("images", "samples", "x", "arr_0")
CHANNELS = (1, 3)
SHARE = 0.1  # of one array that becomes validation, and as much test
MOST_CLASSES = 1 << 16
SHOWN = 1 << 10  # bytes of a value that an error may show
SUFFIXES = (".npz", ".npy", ".parquet", ".tar")


@dataclass(frozen=True)
class Asked(Rule):
    """How images are read, as `PATH?key=value&...` says: the rule by which they are resized, and what is read.

    Arguments:
        layout: what the subfolders of a folder are: "splits", "classes", or "flat" for nothing; None finds out.
        image, label: columns of parquet; label "none" reads no classes.
    """

    layout: Annotated[str | None, As(Literal["splits", "classes", "flat"] | None)] = None
    image: str | None = None
    label: str | None = None

    @property
    def rule(self) -> Rule:
        return Rule(**{field.name: getattr(self, field.name) for field in fields(Rule)})

    def said(self) -> dict[str, Any]:
        """What differs from the defaults, and of a size the filter too: what an identity holds."""
        found = {name: value for name, value in asdict(self).items() if value != getattr(AS_IT_IS, name)}
        return found | ({"filter": self.filter} if self.size else {})


AS_IT_IS = Asked()


def asked(args: Mapping[str, Any], who: str) -> Asked:
    """What arguments behind a `?` ask for.

    Raises:
        GenbenchError: an argument that there is not, or a value that it cannot have.
    """
    known = [field.name for field in fields(Asked)]
    for name in args:
        if name not in known:
            raise unknown(f"argument of {who}:", name, known)
    return Asked(**args)


def load_path(path: Path, how: Asked = AS_IT_IS) -> Dataset:
    """The dataset at `path`: a folder of images, of parquet or of shards, or a file: these, `.npz`, `.npy`, `.txt`.

    An `.npz` holds `train`, `test` and perhaps `validation`, and perhaps `train_labels`, ...; or one array
    under `images`, `samples`, `x` or `arr_0`, and perhaps `labels`. One set is split 80/10/10 by a
    fixed permutation, which is said on stderr; splits that share examples are warned of. Bytes have
    256 levels, booleans 2; other integers need the number under `levels`. Of a text see `_text.py`.

    Raises:
        GenbenchError: no such file, or nothing that is a dataset.
    """
    if path.suffix == ".txt" and path.is_file():
        from genbench.datasets._text import load_text

        if said := how.said():
            raise GenbenchError(f"{path} is text, which {', '.join(said)} cannot change", "Leave the arguments out.")
        return load_text(path)
    tell_skipped(path)
    arrays = read(path, how)
    tell_classes(path, arrays)
    if any(split in arrays for split in SPLITS):
        data = dataset_of(arrays, *split_by_key(arrays, path), path, how)
    else:
        data = dataset_of(arrays, *split_by_permutation(*single(arrays, path), path), path, how)
        sizes = ", ".join(f"{len(data.split(split)):,} {split}" for split in SPLITS)
        print(
            f"{path} names no splits: a fixed permutation makes {sizes} (keep or change that: "
            f"`genbench split {path} -o FILE.npz`)",
            file=sys.stderr,
        )
    warn_of_copies(data, path)
    return data


def split_path(
    path: Path, test: float = SHARE, validation: float = SHARE, seed: int = 0, how: Asked = AS_IT_IS
) -> Dataset:
    """The one array at `path`, split by the permutation of a seed; with the defaults as `load_path` splits it.

    Raises:
        GenbenchError: no such file, one that is split already, or shares that leave a split empty.
    """
    arrays = read(path, how)
    tell_classes(path, arrays)
    if named := [split for split in SPLITS if split in arrays]:
        raise GenbenchError(f"{path} is split already: it names {', '.join(named)}", "Use it as it is.")
    found = split_by_permutation(*single(arrays, path), path, test, validation, seed)
    data = dataset_of(arrays, *found, path, how)
    warn_of_copies(data, path)
    return data


def tell_classes(path: Path, arrays: Mapping[str, Array]) -> None:
    """Says which subfolders are read as classes: whoever sorted images otherwise has to know."""
    classes = next((x.classes for x in arrays.values() if isinstance(x, Pictures)), None)
    if classes and path.is_dir():
        more = ", ..." if len(classes) > folders.SHOWN else ""
        shown = ", ".join(classes[: folders.SHOWN])
        print(f"{path}: its {len(classes)} classes are {shown}{more}", file=sys.stderr)


def write_npz(path: Path, data: Dataset) -> None:
    """The dataset as an `.npz` that names its splits: read again it is the same, but for its name.

    Raises:
        GenbenchError: the file cannot be written.
    """
    arrays = {split: data.split(split) for split in SPLITS}
    if data.labels is not None:
        arrays |= {f"{split}_labels": data.labels[split] for split in SPLITS}
    if data.space.levels is not None:
        arrays["levels"] = np.array(data.space.levels)
    content = io.BytesIO()
    np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    try:
        write_atomically(path, content.getvalue())
    except OSError as error:
        raise GenbenchError(
            f"cannot write {path}: {error.strerror or error}", "Choose another file with -o."
        ) from error


def warn_of_copies(data: Dataset, path: Path) -> None:
    """Warns where examples of validation or test are in another split too, value by value."""
    from genbench.numerics.neighbours import row_keys  # brings torch

    keys = {split: row_keys(data.split(split)) for split in SPLITS}
    found = []
    for split, other in (("test", "train"), ("test", "validation"), ("validation", "train")):
        there = set(keys[other])
        if n := sum(key in there for key in keys[split]):
            found.append(f"{n:,} of {len(keys[split]):,} {split} examples are also in {other}")
    if found:
        warnings.warn(
            f"{path}: {'; '.join(found)}: a model that remembers them scores too well; remove copies "
            "(numpy.unique(x, axis=0)) before it is split",
            stacklevel=3,
        )


def dataset_of(
    arrays: Mapping[str, Array],
    parts: dict[str, np.ndarray],
    labels: dict[str, np.ndarray] | None,
    path: Path,
    how: Asked = AS_IT_IS,
) -> Dataset:
    """The splits of a file as a dataset, every value checked."""
    given = arrays.get("levels")
    levels = None if given is None else as_levels(given, path)
    parts = {split: channels_first(x) for split, x in parts.items()}
    space = space_of(parts["train"], levels, path)
    checked = {split: in_space(x, space, f"{path} ({split})") for split, x in parts.items()}
    return Dataset(
        name=called(path) + (f"-{how.size}" if how.size else ""),
        space=space,
        train=checked["train"],
        validation=checked["validation"],
        test=checked["test"],
        licence="unknown",
        source=path.name,
        labels=labels,
        classes=next((x.classes for x in arrays.values() if isinstance(x, Pictures)), None) if labels else None,
        preprocessing=str(how.rule),
    )


def called(path: Path) -> str:
    """The name of what lies at a path: a file's without its suffix, a folder's whole, `guidance-7.5`."""
    path = path.resolve()
    return path.stem if path.is_file() else path.name or "samples"


def load_samples(path: Path, space: Space) -> np.ndarray:
    """Samples of any framework, `[n, *space.shape]` in the space's dtype, of every kind that data can be.

    Raises:
        GenbenchError: no such file, or values that are not in the space.
    """
    return load_labelled(path, space)[0]


def load_labelled(
    path: Path, space: Space, how: Asked = AS_IT_IS, known: Dataset | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The same, with the class that was asked of every sample, `[n]` int64, where the files say it.

    Arguments:
        known: the dataset whose classes the names of subfolders are held against, see `classes_in`.
    """
    found, given = single(read(path, how), path)
    if isinstance(found, Pictures) and found.classes is not None:
        given = classes_in(found, known)
    labels = None if given is None else as_labels(given, len(found), f"{path} (labels)")
    if found.shape[1:] != space.shape and space.is_image:
        c, h, w = space.shape
        if found.shape[1:] == (h, w, c):
            found = np.moveaxis(loaded(found), -1, 1)
        elif found.shape[1:] == (h, w) and c == 1:
            found = loaded(found)[:, None]
    return in_space(found, space, str(path)), labels


def load_alone(path: Path) -> tuple[np.ndarray, Space]:
    """Samples without a dataset that says their space, `[n, *shape]`, in the space that their values have.

    Raises:
        GenbenchError: no such file, or values whose space is not clear.
    """
    arrays = read(path)
    found = channels_first(loaded(single(arrays, path)[0]))
    given = arrays.get("levels")
    space = space_of(found, None if given is None else as_levels(given, path), path)
    return in_space(found, space, str(path)), space


def classes_in(x: Pictures, known: Dataset | None) -> np.ndarray | None:
    """The classes of samples as the dataset numbers them `[n]`: by the names of its classes, or by their numbers.

    None where their names are neither: then nobody knows which class was asked of a sample.
    """
    if x.labels is None or x.classes is None or known is None or known.labels is None:
        return None
    numbers = tuple(map(str, range(known.n_classes)))
    for names in (known.classes, numbers):
        if names and set(x.classes) <= set(names):
            return np.array([names.index(name) for name in x.classes])[x.labels]
    return None


Array = np.ndarray | Stored | Pictures  # at hand, or known and not yet read


def loaded(x: Array) -> np.ndarray:
    return x if isinstance(x, np.ndarray) else x.load()


def taken(x: Array, index: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Parts of an array that share no rows; of pictures each is decoded into its part."""
    if isinstance(x, Pictures):
        return x.parts(index)
    whole = loaded(x)
    return {part: whole[places] for part, places in index.items()}


def read(path: Path, how: Asked = AS_IT_IS) -> dict[str, Array]:
    """The arrays in a file by key, known by their headers; images and the array of an `.npy` are `x`."""
    if path.is_dir() or path.suffix in (".parquet", ".tar"):
        return dict(read_pictures(path, how))
    if not path.is_file():
        raise GenbenchError(f"nothing at {path}", f"Give a folder of images, or a file: {', '.join(SUFFIXES)}.")
    if path.suffix not in (".npz", ".npy"):
        raise GenbenchError(
            f"{path} is neither a folder nor one of {', '.join(SUFFIXES)}", "Convert it with numpy.savez."
        )
    if said := how.said():
        raise GenbenchError(f"{path} holds arrays, which {', '.join(said)} cannot change", "Leave the arguments out.")
    return dict(stored(path))


def read_pictures(path: Path, how: Asked) -> Mapping[str, Array]:
    """Encoded pictures and their classes: `x` and `labels`, or by splits."""
    kind, paths, _ = files_of(path)
    if kind != "parquet" and (how.image or how.label):
        raise GenbenchError(f"{path} has no columns to name", "Leave out image= and label=: they are of parquet.")
    if kind == "images":
        return folders.read_folder(path, paths, how.rule, how.layout)
    splits = {one: None if how.layout == "flat" else split_of(path, one) for one in paths}
    if None in splits.values() and len(set(splits.values())) > 1:
        bare = next(one for one, split in splits.items() if split is None)
        raise GenbenchError(
            f"{path}: the names of some files say their split, that of {bare.name} does not",
            f"Name all of them (train-00000.{kind}), or read them as one: '{path}?layout=flat'.",
        )
    found: dict[str, Array] = {}
    for split in dict.fromkeys(splits.values()):
        some = [one for one in paths if splits[one] == split]
        x = pictures_of(path, kind, some, how)
        found[split or "x"] = x
        if x.labels is not None:
            found[f"{split}_labels" if split else "labels"] = x.labels
    return found


def pictures_of(path: Path, kind: str, paths: list[Path], how: Asked) -> Pictures:
    """What several files of one split hold."""
    if kind == "tar":
        from genbench.datasets._shards import read_shards

        return read_shards(path, paths, how.rule)
    from genbench.datasets._parquet import read_parquet

    return read_parquet(path, paths, how.rule, how.image, how.label)


def split_of(root: Path, file: Path) -> str | None:
    """The split that the name of a file says, or that of a folder between it and the root; None for no split."""
    if root == file:
        return None
    parts = file.relative_to(root).parts
    return next((split for name in reversed(parts) if (split := folders.split_of(name))), None)


def files_of(path: Path) -> tuple[str, list[Path], list[str]]:
    """What is read at a path, "images", "parquet" or "tar", its files in order, and what else is there, in words.

    Raises:
        GenbenchError: there is nothing, or parquet beside shards.
    """
    if path.is_file():
        return path.suffix[1:], [path], []
    if not path.is_dir():
        raise GenbenchError(f"nothing at {path}", f"Give a folder of images, or a file: {', '.join(SUFFIXES)}.")
    images, others = folders.listed(path)
    if images:
        return "images", images, others
    found = {kind: folders.listed(path, (f".{kind}",)) for kind in ("parquet", "tar")}
    kinds = [kind for kind, (paths, _) in found.items() if paths]
    if len(kinds) > 1:
        raise GenbenchError(f"{path} holds both parquet and .tar files", "Give a folder that holds one kind.")
    if not kinds:
        looked = ", ".join([*sorted(folders.IMAGES), ".parquet", ".tar"])
        raise GenbenchError(f"no images in {path}", f"It is searched for {looked}.")
    return kinds[0], *found[kinds[0]]


def tell_skipped(path: Path) -> None:
    """Warns of what lies in a folder and is not read."""
    if path.is_dir():
        kind, paths, others = files_of(path)
        folders.tell_skipped(path, paths, others, kind if kind == "images" else f".{kind} files")


def count_samples(path: Path) -> int:
    """How many samples `load_samples` will find, without decoding images or unpacking an array."""
    if not path.is_dir() and path.suffix not in (".parquet", ".tar"):
        return len(single(read(path), path)[0])
    kind, paths, _ = files_of(path)
    if kind == "parquet":
        from genbench.datasets._parquet import rows

        return sum(map(rows, paths))
    return len(paths) if kind == "images" else len(pictures_of(path, kind, paths, AS_IT_IS))


def single(arrays: Mapping[str, Array], path: Path) -> tuple[Array, Array | None]:
    """The one array of examples in a file, and its labels if there are any."""
    found = [key for key in KEYS if key in arrays] or [key for key in arrays if key not in ("labels", "levels")]
    if named := [key for key in SPLITS if isinstance(arrays.get(key), Pictures)]:
        raise GenbenchError(
            f"{path} holds the splits {', '.join(named)}: which of them are the examples is not clear",
            f"Name the folder of one, {path}/{named[0]}, or read all: '{path}?layout=flat'.",
        )
    if len(found) != 1:
        raise GenbenchError(
            f"{path} holds {', '.join(sorted(arrays)) or 'no arrays'}: which are the examples is not clear",
            f"Use one of the keys {', '.join(KEYS)}, or train, validation and test for a dataset.",
        )
    x = arrays[found[0]]
    if x.ndim < 2 or len(x) == 0:
        raise GenbenchError(f"{path} holds an array {list(x.shape)}", "Examples are stacked: [n, ...], n at least 1.")
    return x, arrays.get("labels")


def split_by_key(arrays: Mapping[str, Array], path: Path) -> tuple[dict[str, np.ndarray], Any]:
    """The three splits of an `.npz` that names them, and their labels or None."""
    of_one_shape(arrays, path)
    missing = [split for split in SPLITS if split not in arrays]
    if missing == ["validation"] and arrays["train"].ndim > 1 and len(arrays["train"]) > 1:
        arrays, missing = with_validation(arrays, path), []
    if missing:
        raise GenbenchError(f"{path} has no {' and no '.join(missing)}", "A dataset names train, validation and test.")
    keys = {split: f"{split}_labels" for split in SPLITS}
    absent = [key for key in keys.values() if key not in arrays]
    if 0 < len(absent) < len(SPLITS):
        raise GenbenchError(f"{path} has labels, but no {' and no '.join(absent)}", "Label every split, or none.")
    parts = {split: arrays[split] for split in SPLITS}
    for split, x in parts.items():
        if x.ndim < 2 or len(x) == 0:
            raise GenbenchError(f"{path} ({split}) holds an array {list(x.shape)}", "Examples are stacked: [n, ...].")
    whole = {split: loaded(x) for split, x in parts.items()}
    if absent:
        return whole, None
    return whole, {s: as_labels(arrays[key], len(parts[s]), f"{path} ({key})") for s, key in keys.items()}


def of_one_shape(arrays: Mapping[str, Array], path: Path) -> None:
    """Raises GenbenchError where pictures of two splits have two shapes, with what brings them together."""
    splits = {split: x for split in SPLITS if isinstance(x := arrays.get(split), Pictures)}
    for split, x in splits.items():
        first, other = next(iter(splits.values())), x.shape[1:]
        if other != first.shape[1:]:
            raise GenbenchError(
                f"{path}: images of two shapes [C, H, W]: those of {next(iter(splits))} are {list(first.shape[1:])}, "
                f"those of {split} are {list(other)}",
                first.remedy(other),
            )


def with_validation(arrays: Mapping[str, Array], path: Path) -> dict[str, Array]:
    """The arrays of an `.npz` that names train and test, with a tenth of the former as validation, which is said."""
    n = len(arrays["train"])
    held, rest = np.split(np.random.RandomState(0).permutation(n), [max(1, n // 10)])
    parts = taken(arrays["train"], {"train": rest, "validation": held})
    found: dict[str, Array] = {**arrays, **parts}
    if "train_labels" in arrays and arrays["train_labels"].shape == (n,):  # what is larger is not unpacked
        labels = loaded(arrays["train_labels"])
        found |= {"train_labels": labels[rest], "validation_labels": labels[held]}
    print(f"{path} names no validation: {len(held):,} of its {n:,} train examples are held out for it", file=sys.stderr)
    return found


def split_by_permutation(
    x: Array,
    y: Array | None,
    path: Path,
    test: float = SHARE,
    validation: float = SHARE,
    seed: int = 0,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray] | None]:
    """Three splits by one permutation (NumPy's RandomState stream, frozen since 1.16), 80/10/10 by default."""
    n = x.shape[0]  # of pictures the first is read: one that cannot be is the error to say
    n_test, n_validation = (math.floor(n * share + 1e-9) for share in (test, validation))  # 100 x 0.29 is 28.999...
    sizes = {"train": n - n_validation - n_test, "validation": n_validation, "test": n_test}
    if empty := [split for split, size in sizes.items() if size < 1]:
        raise GenbenchError(
            f"{path} holds {n} examples: with {test:g} of them for test and {validation:g} for validation none is "
            f"left for {' and '.join(empty)}",
            "Give it more examples, or name the splits: `genbench split DATA -o FILE.npz --test 0.2`.",
        )
    order = np.random.RandomState(seed).permutation(n)
    index = dict(zip(SPLITS, np.split(order, np.cumsum([*sizes.values()])[:-1]), strict=True))
    parts = taken(x, index)
    if y is None:
        return parts, None
    labels = as_labels(y, n, f"{path} (labels)")
    return parts, {split: labels[i] for split, i in index.items()}


def as_labels(given: Array, n: int, who: str) -> np.ndarray:
    y = loaded(given) if given.shape == (n,) and given.dtype.kind in "iu" else None
    if y is None or y.min() < 0:
        raise GenbenchError(
            f"{who}: {given.dtype} {list(given.shape)} are no labels of {n} examples",
            "Labels are integers from 0, one each.",
        )
    if y.max() >= MOST_CLASSES:
        raise GenbenchError(
            f"{who}: a label is {y.max()}, too large for a class", f"Number the classes 0, 1, ... below {MOST_CLASSES}."
        )
    return y.astype(np.int64)


def as_levels(given: Array, path: Path) -> int:
    one = math.prod(given.shape) == 1 and given.dtype.itemsize <= SHOWN  # what is larger is not unpacked
    levels = loaded(given).tolist() if one else f"an array {list(given.shape)} of {given.dtype}"
    while isinstance(levels, list):
        (levels,) = levels
    if given.dtype.kind not in "iu" or not isinstance(levels, int) or levels < 2:
        raise GenbenchError(f"{path}: levels is {levels!s:.50}", "It is one integer, at least 2.")
    return levels


def channels_first(x: np.ndarray) -> np.ndarray:
    """`[n, H, W]` and `[n, H, W, C]` as `[n, C, H, W]`; where both readings fit, channels stand first."""
    if x.ndim == 3:
        return x[:, None]
    if x.ndim == 4 and x.shape[-1] in CHANNELS and x.shape[1] not in CHANNELS:
        return np.moveaxis(x, -1, 1)
    return x


def space_of(x: np.ndarray, levels: int | None, path: Path) -> Space:
    """The space of a dataset's arrays: real numbers, or integers of known levels."""
    if levels is None and x.dtype.kind in "iu" and x.dtype != np.uint8:
        raise GenbenchError(
            f"{path} holds {x.dtype}, whose number of levels is unknown",
            "Save bytes (uint8: 256 levels), or an .npz that says it: numpy.savez(file, x=x, levels=17).",
        )
    if levels is None and x.dtype.kind in "bu":
        levels = 2 if x.dtype.kind == "b" else 256
    try:
        return Space(x.shape[1:], levels)
    except ValueError as error:
        raise GenbenchError(
            f"{path} holds an array {list(x.shape)}: {error}", "Examples are stacked: [n, ...]."
        ) from error


def in_space(found: Array, space: Space, who: str) -> np.ndarray:
    """The array in the space's dtype; GenbenchError if its shape, dtype or values are not the space's."""
    try:
        space.check_kind(
            found.shape, np.dtype(np.uint8) if found.dtype.kind == "b" and space.levels == 2 else found.dtype, who
        )
        x = loaded(found)
        x = space.checked(x.astype(np.uint8) if x.dtype.kind == "b" else x, who)
    except ModelError as error:
        values = "real numbers" if space.levels is None else f"integers 0..{space.levels - 1}"
        raise GenbenchError(
            str(error), f"It needs finite {values} of shape [n, {', '.join(map(str, space.shape))}]."
        ) from error
    return np.ascontiguousarray(x)
