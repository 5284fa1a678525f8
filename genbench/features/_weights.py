"""Weights that do not ship: a file with a name, an address and a checksum.

They are looked for where `--extractor-weights` says, then in the cache (GENBENCH_CACHE, else
~/.cache/genbench) and in torch's (TORCH_HOME, else ~/.cache/torch), where torch-fidelity keeps
them, and then downloaded into the former, unless GENBENCH_OFFLINE=1. Only verified bytes are moved,
whole, to their final name. Files that were named, and those of torch's cache, are never written.
"""

from __future__ import annotations

import functools
import http.client
import os
from dataclasses import dataclass
from pathlib import Path

from genbench.datasets._download import CorruptError, cache_root, offline, save
from genbench.errors import GenbenchError
from genbench.files import at_home, sha256_file, state_of

MOST = 16 << 30  # bytes of a file of weights


@dataclass(frozen=True)
class Weights:
    """A file with one true content.

    Arguments:
        file: its name in the caches.
        url: where it is published.
        sha256: of its content, or as many first digits of it as are published.
    """

    file: str
    url: str
    sha256: str

    def verify(self, sha256: str) -> None:
        if not sha256.startswith(self.sha256):
            raise CorruptError(f"its sha256 is {sha256}, not {self.sha256}{'...' * (len(self.sha256) < 64)}")


def sha256_of(path: Path) -> str:
    """sha256 of a file, computed once while the file stays as it is."""
    return _sha256(path.resolve(), *state_of(path))


@functools.lru_cache(maxsize=16)
def _sha256(path: Path, *changed: int) -> str:
    return sha256_file(path)


def torch_cache() -> Path:
    """Where torch.hub, and so torch-fidelity, keeps weights; found without importing torch."""
    home = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "torch"
    return at_home(home, "TORCH_HOME") / "hub" / "checkpoints"


def find(weights: Weights, name: str) -> Path:
    """The verified file of extractor `name`: from a cache, or downloaded.

    Raises:
        GenbenchError: torch's copy is corrupt, or no verified copy can be had.
    """
    own, theirs = cache_root() / "extractors" / weights.file, torch_cache() / weights.file
    corrupt = ""
    if own.is_file():
        try:
            weights.verify(sha256_of(own))
            return own
        except CorruptError as error:  # a disk fault: this cache is ours to repair
            corrupt = f"; the copy there is corrupt: {error}"
    if theirs.is_file():
        try:
            weights.verify(sha256_of(theirs))
            return theirs
        except CorruptError as error:
            raise GenbenchError(f"{theirs} is corrupt: {error}", "Remove it, to have it downloaded again.") from error
    if offline():
        raise GenbenchError(
            f"extractor '{name}' needs {weights.file}, which is neither at {own} nor in {theirs.parent}, "
            f"and GENBENCH_OFFLINE is set{corrupt}",
            f"Put {weights.url} into {own.parent}, or name the file: --extractor-weights FILE; or go online once.",
        )
    download(weights, own, name)
    return own


def download(weights: Weights, target: Path, name: str) -> None:
    """Downloads to a file of its own beside `target`, which gets its name when it is whole and verified.

    Raises:
        GenbenchError: it cannot be had, is not what was promised, or cannot be written.
    """
    remedy = f"Try again, or put the file into {target.parent}, or name it: --extractor-weights FILE."
    try:
        save(weights.url, target, "sha256", MOST, lambda path, sha256, size: weights.verify(sha256))
    except (OSError, http.client.HTTPException, CorruptError) as error:
        raise GenbenchError(
            f"the weights of extractor '{name}' could not be downloaded: {weights.url}: {error}", remedy
        ) from error
