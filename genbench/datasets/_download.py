"""A remote file is a path under the data root, the addresses it can be had from, and the checksum of its content.

It is looked for under the data root (`--data-root`, else GENBENCH_DATA), then in the cache
(GENBENCH_CACHE, else ~/.cache/genbench), and then downloaded into the cache, unless
GENBENCH_OFFLINE=1. Every way in is verified; only verified bytes are moved, whole, to their final
name. Files under the data root are the user's and are never written.
"""

from __future__ import annotations

import gzip
import hashlib
import http.client
import os
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path

from genbench.errors import GenbenchError
from genbench.files import at_home, write_atomically

TIMEOUT = 30.0  # seconds without a byte


class CorruptError(Exception):
    """The bytes are not those that were promised."""


@dataclass(frozen=True)
class Remote:
    """A file with one true content.

    Arguments:
        path: under the data root and under the cache, e.g. "mnist/train-images-idx3-ubyte.gz".
        urls: tried in order.
        algorithm, digest: of the content; where the path ends in .gz, of the decompressed content,
            since the same data are found compressed in more than one way.
    """

    path: str
    urls: tuple[str, ...]
    algorithm: str
    digest: str

    def content(self, raw: bytes) -> bytes:
        """The verified, decompressed content of a file's raw bytes.

        Raises:
            CorruptError: a broken gzip stream, or another checksum.
        """
        try:
            data = gzip.decompress(raw) if self.path.endswith(".gz") else raw
        except (OSError, EOFError, zlib.error) as error:
            raise CorruptError(f"its gzip stream is broken ({error})") from error
        found = hashlib.new(self.algorithm, data, usedforsecurity=False).hexdigest()
        if found != self.digest:
            raise CorruptError(f"its {self.algorithm} is {found}, not {self.digest}")
        return data


def data_root(root: Path | None) -> Path | None:
    """The folder of data at hand: `root`, else GENBENCH_DATA, else None."""
    named = root or os.environ.get("GENBENCH_DATA")
    return at_home(named, "GENBENCH_DATA") if named else None


def cache_root() -> Path:
    """The folder that downloads go to. It is the user's own: shared temporary folders get poisoned."""
    return at_home(os.environ.get("GENBENCH_CACHE") or "~/.cache/genbench", "GENBENCH_CACHE")


def offline() -> bool:
    return os.environ.get("GENBENCH_OFFLINE", "") not in ("", "0")


def fetch(remote: Remote, root: Path | None = None) -> bytes:
    """The content of `remote`: from the data root, the cache, or its addresses, in that order.

    Raises:
        GenbenchError: the file under the root is corrupt, or no verified copy can be had.
    """
    root = data_root(root)
    if root is not None and (root / remote.path).is_file():
        try:
            return remote.content(read(root / remote.path))
        except CorruptError as error:
            raise GenbenchError(
                f"{root / remote.path} is corrupt: {error}", "Replace it, or remove it to have it downloaded."
            ) from error
    cached = cache_root() / remote.path
    corrupt = ""
    if cached.is_file():
        try:
            return remote.content(read(cached))
        except CorruptError as error:  # a disk fault: the cache is ours to repair
            corrupt = f"; the copy in the cache is corrupt: {error}"
    if offline():
        raise GenbenchError(
            f"no {remote.path} under {root or 'GENBENCH_DATA (not set)'} or in the cache {cached}, "
            f"and GENBENCH_OFFLINE is set{corrupt}",
            "Point --data-root or GENBENCH_DATA at a folder that holds it, or go online once.",
        )
    return download(remote, cached)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise GenbenchError(f"{path} cannot be read: {error.strerror}", "Check its permissions.") from error


def download(remote: Remote, target: Path) -> bytes:
    """Downloads `remote` from the first address that gives its true content, and keeps it at `target`.

    Raises:
        GenbenchError: every address failed, with the reason of each; or `target` cannot be written.
    """
    reasons = []
    for url in remote.urls:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
                raw = response.read()  # a body shorter than promised raises IncompleteRead
            data = remote.content(raw)
        except (OSError, http.client.HTTPException, CorruptError) as error:
            reasons.append(f"{url}: {error}")
            continue
        try:
            write_atomically(target, raw)
        except OSError as error:
            raise GenbenchError(
                f"{target} cannot be written: {error.strerror}", "Set GENBENCH_CACHE to a folder of yours with space."
            ) from error
        return data
    raise GenbenchError(
        f"{remote.path} could not be downloaded: {'; '.join(reasons)}",
        f"Try again, or put the file into FOLDER/{remote.path} and pass --data-root FOLDER (or set GENBENCH_DATA).",
    )
