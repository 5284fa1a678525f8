"""An archive is a remote file with members: what a dataset reads of it, each of a known size.

Only members that are asked for are read, into memory, never onto the disk, so no name in an archive can lead anywhere.
Where the checksums of the members themselves are published, those that lie unpacked under the data root are read too.
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from genbench.datasets._download import CorruptError, Remote, data_root, located, opened
from genbench.errors import GenbenchError

TEXT = 1 << 16  # bytes of a member whose size is not known, such as a list of names


@dataclass(frozen=True)
class Archive:
    """Members `{name in the archive: bytes}` of a .tar.gz or a .zip; None for a short text of unknown size.

    Arguments:
        digests: {name: (algorithm, digest)} of members, where they are published.
    """

    remote: Remote
    members: Mapping[str, int | None]
    digests: Mapping[str, tuple[str, str]]

    def read(self, root: Path | None = None) -> dict[str, bytes]:
        """The verified content of every member.

        Raises:
            GenbenchError: no verified copy can be had, or one that is at hand is corrupt.
        """
        beside = unpacked(self, data_root(root))
        if beside is not None:
            return {name: self.member(name, path) for name, path in beside.items()}
        path = located(self.remote, root)
        try:
            found = from_zip(path, self.members) if path.suffix == ".zip" else from_tar(path, self.members)
        except MemoryError:
            raise
        except Exception as error:  # of damaged bytes tarfile and zipfile raise many kinds, TypeError among them
            raise GenbenchError(
                f"{path} cannot be read: {error}", "Replace it, or remove it to have it downloaded."
            ) from error
        return found

    def member(self, name: str, path: Path) -> bytes:
        """A member that lies unpacked."""
        size = self.members[name]
        with opened(path) as file:
            data = file.read((TEXT if size is None else size) + 1)
        algorithm, digest = self.digests[name]
        if (size is not None and len(data) != size) or hashlib.new(algorithm, data).hexdigest() != digest:
            raise GenbenchError(
                f"{path} is corrupt: it is not the file of {digest}, its {algorithm}",
                f"Replace it, or put {self.remote.path} beside it.",
            )
        return data


def unpacked(archive: Archive, root: Path | None) -> dict[str, Path] | None:
    """Where the members lie under the data root, if all of them do and each can be verified; else None."""
    if root is None or set(archive.digests) != set(archive.members) or (root / archive.remote.path).is_file():
        return None
    folder = root / Path(archive.remote.path).parent
    paths = {name: folder / name for name in archive.members}
    return paths if all(path.is_file() for path in paths.values()) else None


def from_tar(path: Path, members: Mapping[str, int | None]) -> dict[str, bytes]:
    """Members of a .tar.gz, read up to the last that is wanted."""
    found: dict[str, bytes] = {}
    with tarfile.open(path, "r|gz") as archive:
        for info in archive:
            name = info.name.removeprefix("./")
            if name in members and name not in found and info.isreg():
                file = archive.extractfile(info)
                assert file is not None
                found[name] = whole(name, info.size, members[name], file.read)
                if len(found) == len(members):
                    break
    return complete(found, members)


def from_zip(path: Path, members: Mapping[str, int | None]) -> dict[str, bytes]:
    """Members of a .zip."""
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename in members:
                with archive.open(info) as file:
                    found[info.filename] = whole(info.filename, info.file_size, members[info.filename], file.read)
    return complete(found, members)


def whole(name: str, said: int, size: int | None, read) -> bytes:  # type: ignore[no-untyped-def]
    """A member, if its header promises the size that it should have and its content keeps it."""
    if said > TEXT if size is None else said != size:
        raise CorruptError(f"its member {name} has {said:,} bytes, not {size or TEXT:,}")
    data: bytes = read(said + 1)
    if len(data) != said:
        raise CorruptError(f"its member {name} holds {len(data):,} bytes of {said:,}")
    return data


def complete(found: dict[str, bytes], members: Mapping[str, int | None]) -> dict[str, bytes]:
    if absent := [name for name in members if name not in found]:
        raise CorruptError(f"it has no {absent[0]}")
    return found
