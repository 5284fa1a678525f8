"""Parquet files with encoded pictures, as the Hub keeps them: a column of `{bytes, path}`, and one of classes.

Only the bytes are read; a path in a file is never followed. The names of the classes are in the metadata that the
library `datasets` writes. It takes pyarrow: `pip install -c constraints.txt 'genbench[parquet]'`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from genbench import reading
from genbench.datasets._images import Rule
from genbench.datasets._pictures import BEYOND, Pictures
from genbench.errors import GenbenchError, unknown
from genbench.files import memory

ROWS = 16  # encoded pictures in memory at once, as far as the file's own pages allow
IMAGE, LABEL = ("image", "img"), ("label", "labels")  # what columns are called, where several could be meant
NOTHING = "none"  # label=none: no column is read as classes


def opened(path: Path) -> Any:
    """The parquet file at a path.

    Raises:
        GenbenchError: pyarrow is not installed, or it is no parquet file.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise GenbenchError(
            f"{path} is parquet, which takes pyarrow, and that is not installed",
            "pip install -c constraints.txt 'genbench[parquet]'",
        ) from error
    try:
        # As pages of the file: a buffer of pyarrow's own is as large as a page says it is, whatever the file holds.
        file = pq.ParquetFile(path, memory_map=True, pre_buffer=False)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last of names of columns
        raise GenbenchError(f"{path} cannot be read as parquet: {error}", "Write it again.") from error
    groups = (file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
    if max(groups, default=0) > memory() // 2:
        raise GenbenchError(
            f"{path} has a row group of more than half of this machine's memory", "Write it with smaller ones."
        )
    return file


def rows(path: Path) -> int:
    return int(opened(path).metadata.num_rows)


def read_parquet(where: Path, paths: list[Path], rule: Rule, image: str | None, label: str | None) -> Pictures:
    """The pictures of several files, one after the other.

    Arguments:
        image, label: the columns, where the user names them.

    Raises:
        GenbenchError: there is none, a file cannot be read, or it is not clear which columns are meant.
    """
    columns = {path: columns_of(path, image, label) for path in paths}
    first = columns[paths[0]]
    for path, found in columns.items():
        if found != first:
            raise GenbenchError(f"{paths[0]} and {path} have other columns or classes", "Read them by themselves.")
    column, classes_in, names = first
    n = sum(map(rows, paths))
    if not n:
        raise GenbenchError(f"no images in {where}", "Its files have no rows.")
    labels = None if classes_in is None else np.concatenate([classes_of(path, classes_in) for path in paths])

    if labels is not None and names is not None and labels.max() >= len(names):
        raise GenbenchError(
            f"{where}: column {classes_in} has class {labels.max()}, of {len(names)} that have names", "Write it again."
        )

    def encoded() -> Iterator[tuple[str, bytes]]:
        for path in paths:
            yield from pictures(path, column)

    return Pictures(where, n, encoded, labels, names, rule)


def columns_of(path: Path, image: str | None, label: str | None) -> tuple[str, str | None, tuple[str, ...] | None]:
    """The column of pictures, that of classes or None, and the names of the classes or None."""
    schema = opened(path).schema_arrow
    import pyarrow as pa

    pictured, whole = [], []
    for field in schema:
        inner = field.type
        if pa.types.is_struct(inner) and any(f.name == "bytes" and is_binary(f.type) for f in inner):
            pictured.append(field.name)
        if pa.types.is_integer(inner):
            whole.append(field.name)
    column = chosen(path, "images", "image", image, pictured, IMAGE)
    if column is None:
        raise GenbenchError(
            f"{path} has no column of images, which are structs with `bytes`: it has {', '.join(schema.names)[:200]}",
            "Write it with the library datasets, or keep the images as files.",
        )
    if label == NOTHING:
        return column, None, None
    classes = chosen(path, "classes", "label", label, whole, LABEL, needed=False)
    if classes is None and whole:
        warnings.warn(
            f"{path}: no column is read as classes; ?label=NAME reads one: {', '.join(whole)[:200]}", stacklevel=3
        )
    return column, classes, None if classes is None else names_of(path, schema, classes)


def is_binary(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def chosen(
    path: Path, what: str, key: str, named: str | None, there: list[str], usual: tuple[str, ...], needed: bool = True
) -> str | None:
    """The column that is meant: the one that is named, else one of a usual name, else the only one if one is needed."""
    if named is not None:
        if named not in there:
            raise unknown(f"column of {what} in {path}:", named, there)
        return named
    if known := [name for name in usual if name in there]:
        return known[0]
    if needed and len(there) > 1:
        raise GenbenchError(
            f"{path} has several columns of {what}: {', '.join(there)}", f"Name one: ?{key}={there[0]}."
        )
    return there[0] if needed and there else None


def names_of(path: Path, schema: Any, column: str) -> tuple[str, ...] | None:
    """The names of classes in the metadata of the library `datasets`, if it says any."""
    said = (schema.metadata or {}).get(b"huggingface")
    if said is None:
        return None
    content = reading.parse_json(said, f"{path}: its metadata", "Write it again.")
    feature: Any = content
    for key in ("info", "features", column):
        feature = feature.get(key) if isinstance(feature, dict) else None
    names = feature.get("names") if isinstance(feature, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)


def classes_of(path: Path, column: str) -> np.ndarray:
    """Classes `[n]` int64.

    Raises:
        GenbenchError: one is missing or negative, which on the Hub means that nobody may know it.
    """
    import pyarrow as pa

    try:
        values = opened(path).read(columns=[column]).column(column)
    except (pa.ArrowException, OSError) as error:
        raise GenbenchError(f"{path} cannot be read: {error}", "Write it again.") from error
    classes = None if values.null_count else values.to_numpy()
    if classes is None or (classes < 0).any():
        raise GenbenchError(
            f"{path}: column {column} lacks classes (null, or -1 as the Hub has it)", "Read none: ?label=none."
        )
    if (classes >= BEYOND).any():
        raise GenbenchError(f"{path}: column {column} holds numbers that are no classes", "Read none: ?label=none.")
    return classes.astype(np.int64)


def pictures(path: Path, column: str) -> Iterator[tuple[str, bytes]]:
    """The encoded pictures of a file with their names, a few at a time."""
    import pyarrow as pa

    row = 0
    try:
        file = opened(path)
        every = (
            batch
            for group in range(file.metadata.num_row_groups)  # else a batch spans groups, and waits for all of them
            for batch in file.iter_batches(batch_size=ROWS, row_groups=[group], columns=[f"{column}.bytes"])
        )
        for batch in every:
            for one in batch.column(0).field("bytes"):
                content = one.as_py()
                if content is None:
                    raise GenbenchError(
                        f"{path}: row {row} of {column} holds no bytes, perhaps a path alone, which is not followed",
                        "Embed the images: datasets.Dataset.to_parquet does.",
                    )
                yield f"{path}: row {row}", content
                row += 1
    except (pa.ArrowException, OSError) as error:
        raise GenbenchError(f"{path} cannot be read: {error}", "Write it again.") from error
