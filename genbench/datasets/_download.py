"""A remote file is a path under the data root, the addresses it can be had from, and the checksum of its content.

It is looked for under the data root (`--data-root`, else GENBENCH_DATA), then in the cache
(GENBENCH_CACHE, else ~/.cache/genbench), and then downloaded into the cache, unless
GENBENCH_OFFLINE=1. Every way in is verified; only verified bytes are moved, whole, to their final
name. Files under the data root are the user's and are never written. A download that is longer than it should be, or
slower than any line, breaks off; one that breaks off is gone on with where it was. Nothing is unpacked beyond the size
that is promised.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import queue
import socket
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

from tqdm import tqdm

from genbench.errors import GenbenchError
from genbench.files import at_home
from genbench.locks import is_same, locked

TIMEOUT = 30.0  # seconds without a byte
PATIENCE = 60.0  # seconds until the head of an answer is there, and before the speed of its body counts
SLOWEST = 20_000  # bytes a second on the whole
BLOCK = 1 << 20  # bytes
PARTIAL_CONTENT, RANGE_NOT_SATISFIABLE = 206, 416  # of HTTP
REMEDY = "Set GENBENCH_CACHE to a folder of yours with space."
T = TypeVar("T")


class CorruptError(Exception):
    """The bytes are not those that were promised."""


class Slow(CorruptError):
    """The bytes come too slowly; those that came may be right."""


class Absent(GenbenchError):
    """A file that is neither at hand nor may be downloaded."""


@dataclass(frozen=True)
class Remote:
    """A file with one true content.

    Arguments:
        path: under the data root and under the cache, e.g. "mnist/train-images-idx3-ubyte.gz".
        urls: tried in order.
        algorithm, digest, size: of the file as it lies, which is checked before anything unpacks it; where the path
            ends in .gz and no `unpacked` is given, of the content, since the same data are found compressed in more
            than one way.
        unpacked: bytes of the content of a .gz whose own checksum is known.
    """

    path: str
    urls: tuple[str, ...]
    algorithm: str
    digest: str
    size: int
    unpacked: int | None = None

    @property
    def is_gzip(self) -> bool:
        return self.path.endswith(".gz") and not self.path.endswith(".tar.gz")

    @property
    def of_content(self) -> bool:
        """Whether checksum and size are those of the unpacked content."""
        return self.is_gzip and self.unpacked is None

    @property
    def most(self) -> int:
        """Bytes that the file can have: what deflate cannot shrink it lengthens by less than a thousandth."""
        return self.size + self.size // 1000 + 4096 if self.of_content else self.size

    def content(self, raw: bytes) -> bytes:
        """The verified, decompressed content of a file's raw bytes.

        Raises:
            CorruptError: a broken gzip stream, another size or another checksum.
        """
        if not self.of_content:
            self.check(hashlib.new(self.algorithm, raw, usedforsecurity=False), len(raw))
        if not self.is_gzip:
            return raw
        data = gunzipped(raw, self.size if self.unpacked is None else self.unpacked)
        if self.of_content:
            self.check(hashlib.new(self.algorithm, data, usedforsecurity=False), len(data))
        return data

    def check(self, digest: hashlib._Hash, size: int) -> None:
        if digest.hexdigest() != self.digest:
            raise CorruptError(f"its {self.algorithm} is {digest.hexdigest()}, not {self.digest}")
        if size != self.size:
            raise CorruptError(f"it has {size:,} bytes, not {self.size:,}")

    def read(self, path: Path) -> bytes:
        """The verified content of a file.

        Raises:
            CorruptError: it is another.
        """
        with opened(path) as file:
            raw = file.read(self.most + 1)
        if len(raw) > self.most:
            raise CorruptError(f"it has more than {self.most:,} bytes")
        return self.content(raw)

    def verified(self, path: Path) -> Path:
        """The path itself, if the file there is the true one; of a large file never more than a block is in memory.

        Raises:
            CorruptError: it is another.
        """
        if self.of_content:
            self.read(path)
            return path
        digest, size = hashlib.new(self.algorithm, usedforsecurity=False), 0
        with opened(path) as file:
            for block in blocks(file):
                digest.update(block)
                size += len(block)
        self.check(digest, size)
        return path


def gunzipped(raw: bytes, size: int) -> bytes:
    """The content of a gzip file, which has to have `size` bytes; what promises more is never unpacked.

    Raises:
        CorruptError: a broken stream, or another size.
    """
    parts, left, rest = [], size, raw
    try:
        while rest:  # a file may hold several streams
            stream = zlib.decompressobj(wbits=31)
            parts.append(stream.decompress(rest, left + 1))
            left -= len(parts[-1])
            if left < 0:
                raise CorruptError(f"it unpacks to more than {size:,} bytes")
            if not stream.eof:
                raise CorruptError("its gzip stream is broken (it ends too early)")
            rest = stream.unused_data.lstrip(b"\0")
    except zlib.error as error:
        raise CorruptError(f"its gzip stream is broken ({error})") from error
    if not parts:
        raise CorruptError("its gzip stream is broken (it is empty)")
    return b"".join(parts)


def blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block


def data_root(root: Path | None) -> Path | None:
    """The folder of data at hand: `root`, else GENBENCH_DATA, else None."""
    named = root or os.environ.get("GENBENCH_DATA")
    return at_home(named, "GENBENCH_DATA") if named else None


def cache_root() -> Path:
    """The folder that downloads go to. It is the user's own: shared temporary folders get poisoned."""
    return at_home(os.environ.get("GENBENCH_CACHE") or "~/.cache/genbench", "GENBENCH_CACHE")


def offline() -> bool:
    return os.environ.get("GENBENCH_OFFLINE", "") not in ("", "0")


@contextmanager
def kept_offline() -> Iterator[None]:
    """Within it nothing is downloaded."""
    before = os.environ.get("GENBENCH_OFFLINE")
    os.environ["GENBENCH_OFFLINE"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["GENBENCH_OFFLINE"]
        else:
            os.environ["GENBENCH_OFFLINE"] = before


def fetch(remote: Remote, root: Path | None = None) -> bytes:
    """The content of `remote`: from the data root, the cache, or its addresses, in that order.

    Raises:
        GenbenchError: the file under the root is corrupt, or no verified copy can be had.
    """
    return found(remote, root, remote.read)


def located(remote: Remote, root: Path | None = None) -> Path:
    """Where a verified copy of `remote` lies, which may be too large for memory. Errors are those of `fetch`."""
    return found(remote, root, remote.verified)


def found(remote: Remote, root: Path | None, take: Callable[[Path], T]) -> T:
    """What `take` makes of the first copy of `remote` that there is; of one that it refuses, why."""
    root = data_root(root)
    if root is not None and (root / remote.path).is_file():
        try:
            return take(root / remote.path)
        except CorruptError as error:
            raise GenbenchError(
                f"{root / remote.path} is corrupt: {error}", "Replace it, or remove it to have it downloaded."
            ) from error
    cached = cache_root() / remote.path
    corrupt = ""
    if cached.is_file():
        try:
            return take(cached)
        except CorruptError as error:  # a disk fault: the cache is ours to repair
            corrupt = f"; the copy in the cache is corrupt: {error}"
    if offline():
        raise Absent(
            f"no {remote.path} under {root or 'GENBENCH_DATA (not set)'} or in the cache {cached}, "
            f"and GENBENCH_OFFLINE is set{corrupt}",
            "Point --data-root or GENBENCH_DATA at a folder that holds it, or go online once.",
        )
    download(remote, cached)
    try:
        return take(cached)
    except CorruptError as error:
        raise GenbenchError(f"{cached} was damaged while it was written: {error}", "Check the disk.") from error


def read(path: Path) -> bytes:
    """All of a file. Errors are those of `opened`."""
    with opened(path) as file:
        return file.read()


def opened(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise GenbenchError(f"{path} cannot be read: {error.strerror}", "Check its permissions.") from error


def download(remote: Remote, target: Path) -> None:
    """Downloads `remote` from the first address that gives its true content, and keeps it at `target`.

    Raises:
        GenbenchError: every address failed, with the reason of each; or `target` cannot be written.
    """

    def verify(path: Path, digest: str, size: int) -> None:
        if remote.of_content:
            remote.read(path)
        elif digest != remote.digest or size != remote.size:
            remote.verified(path)

    reasons = []
    for url in remote.urls:
        try:
            save(url, target, remote.algorithm, remote.most, verify)
        except (OSError, http.client.HTTPException, CorruptError) as error:
            reasons.append(f"{url}: {error}")
            continue
        return
    raise GenbenchError(
        f"{remote.path} could not be downloaded: {'; '.join(reasons)}",
        f"Try again, or put the file into FOLDER/{remote.path} and pass --data-root FOLDER (or set GENBENCH_DATA).",
    )


def save(url: str, target: Path, algorithm: str, most: int, verify: Callable[[Path, str, int], None]) -> None:
    """Downloads to a file of its own beside `target`, which gets its name when it is whole and verified.

    Where a download breaks off, what has come stays in that file, and the next one, from whichever address, goes on
    behind it; if the whole is then another than it should be, it is fetched once more from its beginning.

    Arguments:
        most: bytes, after which it breaks off.
        verify: is given the file, its digest by `algorithm` and its size, and raises a CorruptError if it is another.

    Raises:
        OSError, http.client.HTTPException, CorruptError: it cannot be had, or is not what was promised.
        GenbenchError: it cannot be written.
    """
    draft, file = unfinished(target)
    keep = False
    try:
        with file:
            while True:
                begun = file.seek(0, os.SEEK_END)
                try:
                    digest, size = continued(url, file, algorithm, most, target.name)
                    written(file, target)
                    verify(draft, digest, size)
                    break
                except CorruptError as error:
                    keep = isinstance(error, Slow)
                    if keep or not begun:
                        raise
                    file.truncate(0)  # what had come earlier was of something else
                except (OSError, http.client.HTTPException):
                    keep = True
                    raise
        os.chmod(draft, 0o644)
        os.replace(draft, target)
    finally:
        if not keep or (draft.exists() and not draft.stat().st_size):
            draft.unlink(missing_ok=True)


def unfinished(target: Path) -> tuple[Path, IO[bytes]]:
    """The file that a download of `target` goes to, open: with what an earlier one left, unless another process is at
    it, which has it to itself.

    Raises:
        GenbenchError: there can be none.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".genbench-{target.name}.part")
        file = open(os.open(draft, os.O_CREAT | os.O_RDWR, 0o600), "r+b")  # noqa: SIM115
        if locked(file.fileno()) and is_same(file.fileno(), draft):
            return draft, file
        file.close()
        handle, name = tempfile.mkstemp(prefix=".genbench-", dir=target.parent)
        return Path(name), os.fdopen(handle, "r+b")
    except OSError as error:
        raise GenbenchError(f"{target} cannot be written: {error.strerror}", REMEDY) from error


def written(file: IO[bytes], target: Path) -> None:
    """Sees to it that all of a file is on the disk."""
    try:
        file.flush()
        os.fsync(file.fileno())
    except OSError as error:
        raise GenbenchError(f"{target} cannot be written: {error.strerror}", REMEDY) from error


def continued(url: str, file: IO[bytes], algorithm: str, most: int, name: str) -> tuple[str, int]:
    """Fills a file that holds the beginning of what lies at an address, or nothing: its digest and its size.

    A server that knows no ranges, or has fewer bytes than are here, gives all of it. Errors are those of `received`.
    """
    start = file.seek(0, os.SEEK_END)
    headers = {"Range": f"bytes={start}-"} if start else {}
    try:
        response = answered(url, headers)
    except urllib.error.HTTPError as error:
        if not start or error.code != RANGE_NOT_SATISFIABLE:
            raise
        error.close()
        response, start = answered(url, {}), 0
    with response:
        said = (response.headers.get("Content-Range") or "").partition("/")[0].rpartition("-")[0]
        if start and (response.status != PARTIAL_CONTENT or said.strip() != f"bytes {start}"):
            if response.status == PARTIAL_CONTENT:
                raise CorruptError(f"asked from byte {start:,} on, it gave '{said}'")
            start = 0
        file.truncate(start)
        digest = hashlib.new(algorithm, usedforsecurity=False)
        file.seek(0)
        for block in blocks(file):
            digest.update(block)
        return received(response, file, algorithm, most, name, start, digest)


def answered(url: str, headers: dict[str, str]) -> Any:
    """The answer to a request, after redirections, up to its body. Errors are those of `received`."""
    request = urllib.request.Request(url, headers=headers)
    return in_time(lambda: urllib.request.urlopen(request, timeout=TIMEOUT), PATIENCE, "no whole answer came")


def in_time(work: Callable[[], T], seconds: float, otherwise: str) -> T:
    """What `work` gives, in a thread of its own: a server that sends a byte now and then can keep any reading waiting.

    Raises:
        Slow: it takes longer. The thread is left alone with its socket, and ends with the process at the latest.
    """
    found: queue.Queue[Callable[[], T]] = queue.Queue()

    def run() -> None:
        try:
            value = work()
        except BaseException as error:
            failed = error
            found.put(lambda: raised(failed))
        else:
            found.put(lambda: value)

    threading.Thread(target=run, daemon=True).start()
    try:
        give = found.get(timeout=max(0.0, seconds))
    except queue.Empty:
        raise Slow(f"{otherwise} in {seconds:.0f} s") from None
    return give()


def hang_up(response: Any) -> None:
    """Ends the connection below a response, and so whoever waits for more of it."""
    with suppress(OSError, AttributeError, ValueError), socket.socket(fileno=os.dup(response.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def raised(error: BaseException) -> NoReturn:
    raise error


def received(
    response: Any, file: IO[bytes], algorithm: str, most: int, name: str, start: int = 0, digest: Any = None
) -> tuple[str, int]:
    """Writes the body of a response into a file, block by block: the digest and the size of all that is in it.

    Arguments:
        start, digest: bytes that the file holds already, and their digest.

    Raises:
        CorruptError: it is larger than `most`.
        Slow: it comes slower than any line would bring it.
        http.client.IncompleteRead: it is shorter than it says.
    """
    said = response.headers.get("Content-Length")
    promised = start + int(said) if said and said.isdigit() and len(said) < 20 else None
    if promised is not None and promised > most:
        raise CorruptError(f"it has {promised:,} bytes, more than {most:,}")
    digest, size = digest or hashlib.new(algorithm, usedforsecurity=False), start
    started = time.monotonic()
    with tqdm(
        total=promised, initial=start, unit="B", unit_scale=True, desc=name, disable=not sys.stderr.isatty()
    ) as bar:
        while True:
            latest = PATIENCE + (size - start) / SLOWEST  # when the next bytes have to be there
            seconds = time.monotonic() - started
            so_far = f"only {size - start:,} bytes came"
            if seconds > latest:
                raise Slow(f"{so_far} in {seconds:.0f} s")
            try:
                block = in_time(lambda: response.read1(BLOCK), latest - seconds, so_far)
            except Slow:
                hang_up(response)  # else nobody could close it, while a thread reads from it
                raise
            if not block:
                break
            size += len(block)
            if size > most:
                raise CorruptError(f"it has more than {most:,} bytes")
            digest.update(block)
            try:
                bar.update(file.write(block))
            except OSError as error:
                raise GenbenchError(f"{name} cannot be written: {error.strerror}", REMEDY) from error
    if promised is not None and size < promised:
        raise http.client.IncompleteRead(b"", promised - size)
    return digest.hexdigest(), size
