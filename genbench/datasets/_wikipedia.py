"""The first 10^8 bytes of Wikipedia, as Mahoney publishes them: a .zip with one file, split 90, 5 and 5 million.

References:
    Large text compression benchmark (Mahoney, 2006 and later).
    Subword language modeling with neural networks (Mikolov et al., 2012), for the split.
"""

from pathlib import Path

from genbench.datasets._archives import Archive
from genbench.datasets._download import Remote

SIZE = 100_000_000  # bytes
ENDS = (90_000_000, 95_000_000)


def text(name: str, zipped: tuple[str, int], sha256: str, root: Path | None) -> bytes:
    """The text: under the data root as `NAME/NAME.zip`, or unpacked as `NAME/NAME`; or downloaded.

    Arguments:
        zipped, sha256: sha256 and bytes of the .zip, and sha256 of the text.
    """
    remote = Remote(f"{name}/{name}.zip", (f"https://mattmahoney.net/dc/{name}.zip",), "sha256", *zipped)
    return Archive(remote, {name: SIZE}, {name: ("sha256", sha256)}).read(root)[name]
