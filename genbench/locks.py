"""Locks between processes: held by a file, let go by the system when their owner dies, however that happens."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OLD = 60.0  # seconds after which an unfinished file that nobody holds belongs to nobody


class Lock:
    """A lock by the name of a file, which is there as long as somebody holds it, or died holding it.

    On a file system without locks (some network ones) it is granted to everybody: work may then be done twice.

    Arguments:
        path: of the file; its folder is made.
        says: what the owner says of itself, for `owner`.
    """

    def __init__(self, path: Path, **says: Any) -> None:
        self.path, self.says = path, says
        self.handle: int | None = None
        self.inherited = False  # from an owner that died

    def take(self, wait: bool = False) -> bool:
        """Whether it is held now; with `wait` until it is.

        Raises:
            OSError: the file cannot be made.
        """
        while True:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o666)
            except FileNotFoundError:  # somebody has removed the folder just now, since it was empty
                continue
            try:
                if not locked(handle, wait):
                    os.close(handle)
                    return False
                if is_same(handle, self.path):  # else its last owner has let it go, and removed it, just now
                    self.inherited = os.fstat(handle).st_size > 0
                    os.ftruncate(handle, 0)
                    os.pwrite(handle, json.dumps({"pid": os.getpid(), "since": time.time(), **self.says}).encode(), 0)
                    self.handle = handle
                    return True
            except BaseException:
                os.close(handle)
                raise
            os.close(handle)

    def free(self) -> None:
        """Lets it go, and removes its file."""
        if self.handle is not None:
            with contextlib.suppress(OSError):
                self.path.unlink()
            os.close(self.handle)
            self.handle = None

    def __enter__(self) -> Lock:
        self.take(wait=True)
        return self

    def __exit__(self, *_: object) -> None:
        self.free()


def locked(handle: int, wait: bool = False) -> bool:
    """Whether this process has now locked an open file; yes where the file system knows no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def is_same(handle: int, path: Path) -> bool:
    """Whether an open file still has its name."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(handle), os.stat(path))
    return False


def owner(path: Path) -> dict[str, Any] | None:
    """What the living owner of a lock says of itself, None where nobody holds it."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        if locked(handle):
            return None
        with contextlib.suppress(ValueError):
            said = json.loads(os.pread(handle, 10_000, 0) or b"{}")
            return said if isinstance(said, dict) else {}
        return {}
    finally:
        os.close(handle)


def abandoned(paths: Iterator[Path]) -> list[Path]:
    """Of unfinished files those whose writer is dead."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if time.time() - os.fstat(handle).st_mtime > OLD:
                    found.append(path)
            finally:
                os.close(handle)
    return found
