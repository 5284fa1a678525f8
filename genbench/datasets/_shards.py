"""WebDataset shards: .tar files in which the files of an example stand together, with one name up to its first dot.

An example is one picture, `KEY.png`, `KEY.jpg` and so on, and perhaps its class: a number in `KEY.cls`, or under `cls`
or `label` in `KEY.json`. Other files are left out, with a warning that names their endings; pickles are refused.
Nothing is unpacked onto the disk, and of a shard only the picture that is decoded is in memory.

References:
    WebDataset (Aizman, Maltby, Breuel, 2019): High performance I/O for large scale deep learning.
"""

from __future__ import annotations

import tarfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from genbench import reading
from genbench.datasets._folders import IMAGES
from genbench.datasets._images import Rule
from genbench.datasets._pictures import BEYOND, Pictures
from genbench.errors import GenbenchError

PICKLES = {"pkl", "pickle", "pyd", "pt", "pth", "ten", "npy", "npz"}
HARMLESS = {"npy", "npz", "ten"}  # arrays, which are no pictures: left out
BLOCK = 512  # bytes of a .tar
SMALL = 1 << 20  # bytes of a class


@dataclass(frozen=True)
class Member:
    """A file in a shard: where its bytes lie."""

    name: str
    start: int
    size: int

    def read(self, path: Path) -> bytes:
        with open(path, "rb") as file:
            file.seek(self.start)
            data = file.read(self.size)
        if len(data) != self.size:
            raise GenbenchError(f"{path}: {self.name} is cut off", "Make the shard again.")
        return data


@dataclass(frozen=True)
class Example:
    """One picture, and its class if it has one."""

    path: Path
    image: Member
    label: int | None


def examples(path: Path) -> list[Example]:
    """The examples of a shard, in its order.

    Raises:
        GenbenchError: it is damaged or compressed, holds a pickle, or an example is no one picture.
    """
    grouped: dict[str, dict[str, Member]] = {}
    left: set[str] = set()
    last = ""
    for member in members(path):
        place = PurePosixPath(member.name)
        stem, _, ending = place.name.partition(".")
        key, ending = str(place.parent / stem), ending.lower()
        if ending.rpartition(".")[2] in PICKLES - HARMLESS:
            raise GenbenchError(
                f"{path} holds {member.name}, a pickle, which can run code when it is loaded: refused",
                "Write classes as text (KEY.cls) or as JSON, and make the shard again.",
            )
        if f".{ending}" not in IMAGES and ending not in ("cls", "json"):
            left.add(f".{ending}")
            continue
        if (key in grouped and key != last) or ending in grouped.get(key, {}):
            raise GenbenchError(f"{path} holds {member.name} twice, or apart from its example", "Make the shard again.")
        grouped.setdefault(key, {})[ending] = member
        last = key
    if left:
        warnings.warn(f"{path}: files that end in {', '.join(sorted(left))} are left out", stacklevel=2)
    return [example(path, key, group) for key, group in grouped.items()]


def members(path: Path) -> Iterator[Member]:
    """The regular files in a .tar; others, such as links, are told."""
    others, end = [], 0
    try:
        with tarfile.open(path, "r:") as archive:
            for info in archive:
                end = info.offset_data + (-(-info.size // BLOCK) * BLOCK if info.isreg() else 0)
                if info.isreg() and not info.issparse():
                    yield Member(info.name, info.offset_data, info.size)
                elif not info.isdir():
                    others.append(info.name)
    except MemoryError:
        raise
    except Exception as error:  # of damaged bytes tarfile raises many kinds
        raise GenbenchError(f"{path} cannot be read as a .tar: {error}", "Write it without compression.") from error
    if not ends(path, end):  # tarfile takes what it finds for the whole
        raise GenbenchError(f"{path} has no end: it is cut off, or more stands behind it", "Make the shard again.")
    if others:
        warnings.warn(f"{path}: left out are links and the like: {', '.join(others[:10])}", stacklevel=3)


def ends(path: Path, place: int) -> bool:
    """Whether an archive ends at a place: with nothing but zeros, a block of them at least."""
    zeros = 0
    with open(path, "rb") as file:
        file.seek(place)
        while part := file.read(1 << 20):
            if part.strip(b"\0"):
                return False
            zeros += len(part)
    return zeros >= BLOCK


def example(path: Path, key: str, group: dict[str, Member]) -> Example:
    """Raises GenbenchError for an example that has not one picture, or whose class cannot be read."""
    images = [member for ending, member in group.items() if f".{ending}" in IMAGES]
    if len(images) != 1:
        raise GenbenchError(
            f"{path}: example {key} has {len(images)} pictures ({', '.join(sorted(group))})", "Each has exactly one."
        )
    return Example(path, images[0], label_of(path, group))


def label_of(path: Path, group: dict[str, Member]) -> int | None:
    """The class of an example, from its .cls, else from its .json."""
    for ending in ("cls", "json"):
        if (member := group.get(ending)) is None:
            continue
        if member.size > SMALL:
            raise GenbenchError(
                f"{path}: {member.name} has {member.size:,} bytes, too many for a class", "Make the shard again."
            )
        origin, said = f"{path}: {member.name}", member.read(path)
        if ending == "cls":
            text = said.decode("ascii", "replace").strip()
            if not (text.isascii() and text.isdigit() and len(text) < 10):  # below BEYOND
                raise GenbenchError(f"{origin} is {reading.shown(text)}, no class", "A class is a number from 0.")
            return int(text)
        content: Any = reading.parse_json(said, origin, "Make the shard again.")
        for name in ("cls", "label"):
            if isinstance(content, dict) and content.get(name) is not None:
                if type(content[name]) is not int or not 0 <= content[name] < BEYOND:
                    raise GenbenchError(
                        f"{origin}: {name} is {reading.shown(content[name])}, no class", "A class is a number from 0."
                    )
                return content[name]
    return None


def read_shards(where: Path, paths: list[Path], rule: Rule) -> Pictures:
    """The pictures of several shards, one after the other.

    Raises:
        GenbenchError: there is none, some have classes and some do not, or as for `examples`.
    """
    found = [one for path in paths for one in examples(path)]
    if not found:
        raise GenbenchError(f"no images in {where}", f"A shard is searched for {', '.join(sorted(IMAGES))}.")
    labels = [one.label for one in found]
    if None in labels and any(label is not None for label in labels):
        bare = found[labels.index(None)]
        raise GenbenchError(f"{bare.path}: {bare.image.name} has no class, others have", "Give one to all, or to none.")

    def encoded() -> Iterator[tuple[str, bytes]]:
        for one in found:
            yield f"{one.path}: {one.image.name}", one.image.read(one.path)

    known = None if None in labels else np.array(labels, np.int64)
    return Pictures(where, len(found), encoded, known, None, rule)
