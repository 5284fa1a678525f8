"""Files of any framework as arrays: a folder of images, an `.npz` or an `.npy`, as a dataset or as samples.

Images in a folder are read in the sorted order of their paths, subfolders included, hidden ones and links to folders
not; what is not read is named in a warning. Grey images are `[1, H, W]`, colour ones `[3, H, W]`, and none is resized
or has its values changed: one that says more than 8 bits of one still picture can is refused. Arrays may be
`[n, C, H, W]`, `[n, H, W, C]` with C of 1 or 3, or `[n, H, W]`. Nothing is ever unpickled.
"""

from __future__ import annotations

import io
import math
import os
import re
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.datasets import SPLITS, Dataset
from genbench.errors import GenbenchError, ModelError
from genbench.files import memory, write_atomically
from genbench.numpy_files import Stored, stored
from genbench.space import Space

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".pgm", ".ppm"}
ORIENTATION, BITS_PER_SAMPLE, SAMPLE_FORMAT = 0x0112, 258, 339  # tags of EXIF and TIFF
FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF", "PPM")  # by content, whatever the name says
MOST_PIXELS = 1 << 26  # of one image; a file of a few kilobytes can promise billions
KEYS = ("images", "samples", "x", "arr_0")
CHANNELS = (1, 3)
SHARE = 0.1  # of one array that becomes validation, and as much test
MOST_CLASSES = 1 << 16
SHOWN = 10  # names of files that are left out


def load_path(path: Path) -> Dataset:
    """The dataset at `path`: a folder of images, an `.npz`, an `.npy`, or a text in a `.txt` (see `_text.py`).

    An `.npz` holds `train`, `test` and perhaps `validation`, and perhaps `train_labels`, ...; or one array
    under `images`, `samples`, `x` or `arr_0`, and perhaps `labels`. One array is split 80/10/10 by a
    fixed permutation, which is said on stderr; splits that share examples are warned of. Bytes have
    256 levels, booleans 2; other integers need the number under `levels`.

    Raises:
        GenbenchError: no such file, or nothing that is a dataset.
    """
    if path.suffix == ".txt" and path.is_file():
        from genbench.datasets._text import load_text

        return load_text(path)
    if path.is_dir():
        tell_skipped(path)
    arrays = read(path)
    if any(split in arrays for split in SPLITS):
        data = dataset_of(arrays, *split_by_key(arrays, path), path)
    else:
        data = dataset_of(arrays, *split_by_permutation(*single(arrays, path), path), path)
        sizes = ", ".join(f"{len(data.split(split)):,} {split}" for split in SPLITS)
        print(
            f"{path} names no splits: a fixed permutation makes {sizes} (keep or change that: "
            f"`genbench split {path} -o FILE.npz`)",
            file=sys.stderr,
        )
    warn_of_copies(data, path)
    return data


def split_path(path: Path, test: float = SHARE, validation: float = SHARE, seed: int = 0) -> Dataset:
    """The one array at `path`, split by the permutation of a seed; with the defaults as `load_path` splits it.

    Raises:
        GenbenchError: no such file, one that is split already, or shares that leave a split empty.
    """
    arrays = read(path)
    if named := [split for split in SPLITS if split in arrays]:
        raise GenbenchError(f"{path} is split already: it names {', '.join(named)}", "Use it as it is.")
    found = split_by_permutation(*single(arrays, path), path, test, validation, seed)
    data = dataset_of(arrays, *found, path)
    warn_of_copies(data, path)
    return data


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
    arrays: Mapping[str, Array], parts: dict[str, np.ndarray], labels: dict[str, np.ndarray] | None, path: Path
) -> Dataset:
    """The splits of a file as a dataset, every value checked."""
    given = arrays.get("levels")
    levels = None if given is None else as_levels(loaded(given), path)
    parts = {split: channels_first(x) for split, x in parts.items()}
    space = space_of(parts["train"], levels, path)
    checked = {split: in_space(x, space, f"{path} ({split})") for split, x in parts.items()}
    return Dataset(
        name=called(path),
        space=space,
        train=checked["train"],
        validation=checked["validation"],
        test=checked["test"],
        licence="unknown",
        source=path.name,
        labels=labels,
    )


def called(path: Path) -> str:
    """The name of what lies at a path: a file's without its suffix, a folder's whole, `guidance-7.5`."""
    path = path.resolve()
    return path.stem if path.is_file() else path.name or "samples"


def load_samples(path: Path, space: Space) -> np.ndarray:
    """Samples of any framework, `[n, *space.shape]` in the space's dtype: a folder of images, an `.npz` or an `.npy`.

    Raises:
        GenbenchError: no such file, or values that are not in the space.
    """
    return load_labelled(path, space)[0]


def load_labelled(path: Path, space: Space) -> tuple[np.ndarray, np.ndarray | None]:
    """The same, with the class that was asked of every sample, `[n]` int64, where an `.npz` holds `labels`."""
    found, given = single(read(path), path)
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
    space = space_of(found, None if given is None else as_levels(loaded(given), path), path)
    return in_space(found, space, str(path)), space


Array = np.ndarray | Stored  # at hand, or known by its header and not yet read


def loaded(x: Array) -> np.ndarray:
    return x.load() if isinstance(x, Stored) else x


def read(path: Path) -> dict[str, Array]:
    """The arrays in a file by key, known by their headers; images of a folder and the array of an `.npy` are `x`."""
    if path.is_dir():
        return {"x": read_images(path)}
    if not path.is_file():
        raise GenbenchError(f"nothing at {path}", "Give a folder of images, an .npz or an .npy file.")
    if path.suffix not in (".npz", ".npy"):
        raise GenbenchError(f"{path} is neither a folder nor an .npz or .npy file", "Convert it with numpy.savez.")
    return dict(stored(path))


def count_samples(path: Path) -> int:
    """How many samples `load_samples` will find, without decoding a folder's images or unpacking an array."""
    return len(image_paths(path)) if path.is_dir() else len(single(read(path), path)[0])


def listed(folder: Path) -> tuple[list[Path], list[str]]:
    """The images under a folder, in order, and what else is there, in words.

    Raises:
        GenbenchError: a folder in it may not be read.
    """

    def refuse(error: OSError) -> None:
        raise GenbenchError(f"{error.filename} cannot be read: {error.strerror}", "Check its permissions.")

    images, others = [], []
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
            if path.suffix.lower() in IMAGES and not name.startswith(".") and path.is_file():
                images.append(path)
            else:
                others.append(str(path.relative_to(folder)))
    return sorted(images), others


def image_paths(folder: Path) -> list[Path]:
    """Every image under a folder, in order; GenbenchError if there is none."""
    paths, _ = listed(folder)
    if not paths:
        raise GenbenchError(f"no images in {folder}", f"It is searched for {', '.join(sorted(IMAGES))}.")
    return paths


def tell_skipped(folder: Path) -> None:
    """Warns of what lies in a folder of images and is not read."""
    paths, others = listed(folder)
    if others and paths:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        warnings.warn(
            f"{folder}: {len(paths)} images are read; left out: {', '.join(others[:SHOWN])}{more}", stacklevel=2
        )


def read_images(folder: Path) -> np.ndarray:
    """Every image under a folder, `[n, C, H, W]` uint8.

    Raises:
        GenbenchError: no image, an unreadable one, or two of different sizes.
    """
    paths = image_paths(folder)
    first = read_image(paths[0])
    if len(paths) * first.nbytes > memory():
        raise GenbenchError(
            f"{folder}: {len(paths)} images of {list(first.shape)} are more than this machine's memory", "Take fewer."
        )
    images = np.empty((len(paths), *first.shape), np.uint8)
    for i, path in enumerate(paths):
        image = first if i == 0 else read_image(path)
        if image.shape != first.shape:
            raise GenbenchError(
                f"images of two shapes [C, H, W]: {paths[0]} is {list(first.shape)}, {path} is {list(image.shape)}",
                "Bring all of them to one size and one colour mode first: resizing decides the metrics.",
            )
        images[i] = image
    return images


def read_image(path: Path) -> np.ndarray:
    """One image, `[C, H, W]` uint8, C = 1 or 3; transparency is dropped where it is nowhere used.

    Raises:
        GenbenchError: it is unreadable, or more than 8 bits of one still picture, so that PIL would read part of it.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of broken metadata: the pixels are what counts
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as file:
                why = beyond(file)
                if not why:
                    file.load()
                    image = file.copy()
    except Exception as error:  # on damaged files PIL's decoders raise nearly anything
        raise GenbenchError(
            f"{path} cannot be read as an image: {error}", "Remove it, or export it again as PNG."
        ) from error
    if why:
        raise GenbenchError(f"{path} {why}", "Export it as one picture of 8-bit grey or RGB, as PNG.")
    grey = image.mode in ("1", "L", "LA")
    if image.mode in ("P", "PA", "LA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        if np.asarray(image.getchannel("A")).min() < 255:
            raise GenbenchError(f"{path} is transparent", "Flatten it onto a background: its pixels depend on it.")
        image = image.convert("L" if grey else "RGB")
    if image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "RGB"):
        raise GenbenchError(f"{path} has the colour mode {image.mode}", "Export it as 8-bit grey or RGB.")
    x = np.asarray(image)
    return x[None] if x.ndim == 2 else np.moveaxis(x, -1, 0)


def beyond(file: ImageFile) -> str:
    """What an opened image file holds that its pixels in PIL's mode would not say, in words; "" for nothing."""
    if file.width * file.height > MOST_PIXELS:
        return f"has {file.width:,} x {file.height:,} pixels, more than {MOST_PIXELS:,}"
    if file.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA"):
        return f"has the colour mode {file.mode}"
    if file.format == "TIFF":
        tags: Mapping[int, Any] = file.tag_v2  # type: ignore[attr-defined]
        bits, kinds = tags.get(BITS_PER_SAMPLE, (8,)), tags.get(SAMPLE_FORMAT, (1,))
        if max(bits) > 8 or set(kinds) != {1}:
            return f"has {max(bits)}-bit values" if max(bits) > 8 else "has signed values"
        if len(bits) != len(file.getbands()):
            return f"has {len(bits)} channels, which PIL reads as {file.mode}"
    for tile in file.tile:
        # How the decoder unpacks: ("RGB;16B"), or of a PPM its mode and largest value, ("RGB", 65535).
        said = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        deep = [text for text in said if isinstance(text, str) and re.search(r"^(?!BGR).*;(12|16|24|32)", text)]
        if deep or (file.format == "PPM" and max([v for v in said if isinstance(v, int)], default=0) > 255):
            return "has more than 8 bits in a value"
    if (frames := getattr(file, "n_frames", 1)) > 1:
        return f"holds {frames} pictures"
    # Last, since reading EXIF can load the picture, which forgets how it was packed.
    if (turned := file.getexif().get(ORIENTATION, 1)) != 1:
        return f"is to be turned before it is shown (EXIF orientation {turned})"
    return ""


def single(arrays: Mapping[str, Array], path: Path) -> tuple[Array, Array | None]:
    """The one array of examples in a file, and its labels if there are any."""
    found = [key for key in KEYS if key in arrays] or [key for key in arrays if key not in ("labels", "levels")]
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


def with_validation(arrays: Mapping[str, Array], path: Path) -> dict[str, Array]:
    """The arrays of an `.npz` that names train and test, with a tenth of the former as validation, which is said."""
    n = len(arrays["train"])
    held, rest = np.split(np.random.RandomState(0).permutation(n), [max(1, n // 10)])
    train = loaded(arrays["train"])
    found: dict[str, Array] = {**arrays, "train": train[rest], "validation": train[held]}
    labels = loaded(arrays["train_labels"]) if "train_labels" in arrays else None
    if labels is not None and labels.shape == (n,):
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
    n = len(x)
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
    whole = loaded(x)
    parts = {split: whole[i] for split, i in index.items()}
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
    levels = loaded(given).tolist() if math.prod(given.shape) == 1 else f"an array {list(given.shape)}"
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
