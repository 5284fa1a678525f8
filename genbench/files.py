"""Content and files: keys of what is equal, writing all of a file or nothing, and whether that can be done at all."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import secrets
import stat
import sys
import time
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench.errors import GenbenchError
from genbench.locks import Lock, abandoned, locked, owner

if TYPE_CHECKING:
    import numpy as np

UNFINISHED = ".genbench-"  # how the names of files begin that are being written


def sha256_file(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_array(x: np.ndarray) -> str:
    """Of its type, its shape and its contents, in the order of C."""
    digest = hashlib.sha256(f"{x.dtype.str} {x.shape}".encode())
    digest.update(x.tobytes())
    return digest.hexdigest()


def state_of(path: Path) -> tuple[int, ...]:
    """Tells one content of a file from the next, for what remembers it; empty where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def names_in_zip(path: Path) -> list[str]:
    """The names in a ZIP archive; none where it is no file, no archive, or a damaged one, which nothing reads."""
    try:
        if not os.path.isfile(path) or not zipfile.is_zipfile(path):
            return []
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except Exception:  # of damaged bytes zipfile raises many kinds
        return []


def at_home(path: str | Path, instead: str) -> Path:
    """`path` with its `~` spelt out.

    Raises:
        GenbenchError: nobody knows where home is; `instead` is the variable that makes it unnecessary.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise GenbenchError(f"there is no home folder for {path}: {error}", f"Set {instead} to a folder.") from error


def memory() -> int:
    """Bytes of memory that the machine has, which no array can exceed."""
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):
        return sys.maxsize
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def destination(path: Path) -> Path:
    """Where the bytes of `path` will lie: at the end of its symbolic links.

    Raises:
        OSError: something is there that is no regular file (replacing a device or a pipe would destroy it), a file
            that may not be written, or no file can have such a name.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return Path(os.path.realpath(path))
    except ValueError as error:  # a zero byte, or half a character
        raise OSError(errno.EINVAL, "no file can have such a name", str(path)) from error
    if stat.S_ISDIR(mode):
        raise OSError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is a device or a pipe, no regular file", str(path))
    if not os.access(path, os.W_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return Path(os.path.realpath(path))


class Draft:
    """A file that is written beside its destination and takes its name when it is whole.

    Raises:
        OSError: nothing can be written there.
    """

    def __init__(self, path: Path) -> None:
        self.path = destination(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # Not named after the file, whose name may be as long as names can be.
        self.draft = self.path.with_name(f"{UNFINISHED}{secrets.token_hex(8)}")
        self.handle: int | None = os.open(self.draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        locked(self.handle)  # so that whoever sweeps sees that it has an owner
        if self.path.exists():
            os.chmod(self.draft, stat.S_IMODE(self.path.stat().st_mode))

    def fill(self, data: bytes) -> None:
        """Replaces what it holds; room that earlier bytes took is used again."""
        assert self.handle is not None
        os.lseek(self.handle, 0, os.SEEK_SET)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.handle, rest) :]
        os.ftruncate(self.handle, len(data))
        os.fsync(self.handle)

    def publish(self) -> None:
        """Gives it its name."""
        self.close()
        os.replace(self.draft, self.path)

    def discard(self) -> None:
        """Leaves nothing behind; after `publish` nothing is left to do."""
        self.close()
        self.draft.unlink(missing_ok=True)

    def close(self) -> None:
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None


def reserved(path: Path) -> Lock:
    """The right to make a file that takes long, until it is freed; its lock lies beside the file.

    Raises:
        GenbenchError: another process is at it.
        OSError: nothing can be written there.
    """
    name = hashlib.sha256(path.name.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    lock = Lock(path.with_name(f"{UNFINISHED}lock-{name}"))
    if not lock.take():
        who = owner(lock.path) or {}
        since = time.strftime("%H:%M", time.localtime(who["since"])) if "since" in who else "just now"
        raise GenbenchError(
            f"{path} is being made by another process, {who.get('pid', 'unknown')}, since {since}",
            "Wait for it, or name another file with -o.",
        )
    return lock


def write_atomically(path: Path, data: bytes) -> None:
    """All of `data` or nothing: a temporary file in the same folder, fsynced, renamed.

    A symbolic link is followed; what is no regular file is never replaced; a file keeps its permissions.

    Raises:
        OSError: it cannot be written.
    """
    draft = Draft(path)
    try:
        draft.fill(data)
        draft.publish()
    finally:
        draft.discard()


def sweep(*folders: Path) -> None:
    """Removes from these folders the unfinished files of processes that died."""
    for folder in folders:
        for path in abandoned(folder.glob(f"{UNFINISHED}*")):
            with contextlib.suppress(OSError):
                path.unlink()


def check_folder(folder: Path, option: str = "-o") -> None:
    """Whether files can be written into a folder that may not exist yet; leaves nothing behind.

    Raises:
        GenbenchError: they cannot.
    """
    nearest = folder
    while not os.path.lexists(nearest) and nearest != nearest.parent:
        nearest = nearest.parent
    try:
        if not nearest.is_dir():
            raise OSError(errno.ENOTDIR, f"{nearest} is no folder")
        probe = Draft(nearest / "probe")
        try:
            probe.fill(b"0")
        finally:
            probe.discard()
    except OSError as error:
        raise GenbenchError(
            f"cannot write into {folder}: {error.strerror or error}", f"Choose another place with {option}."
        ) from error


def sha256_files(folder: Path, files: Iterable[Path]) -> str:
    """sha256 of the names and contents of files in a folder, in the order given."""
    digest = hashlib.sha256()
    for file in files:
        name = file.relative_to(folder).as_posix().encode("utf-8", "surrogateescape")  # whatever bytes it has
        digest.update(name + b"\0" + bytes.fromhex(sha256_file(file)))
    return digest.hexdigest()


def canonical(content: Any) -> str:
    """JSON with sorted keys and no spaces: equal content, equal text."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def content_key(content: Any) -> str:
    """The first 16 hex digits of sha256 over canonical JSON."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()[:16]
