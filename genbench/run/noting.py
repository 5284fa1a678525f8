"""What is warned of while something is made, as texts for its record."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from genbench.privacy import LONGER
from genbench.text import capped, said

LONGEST = 2000  # characters of a warning


@contextmanager
def noting() -> Iterator[list[str]]:
    """Warnings become texts, each once, instead of being shown."""
    texts: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield texts
    found = [said(w.message) for w in caught if issubclass(w.category, UserWarning | RuntimeWarning)]
    texts += dict.fromkeys(capped(text, LONGER * LONGEST) for text in found)
