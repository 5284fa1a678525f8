"""Data that come inside scikit-learn, read without importing it, which takes most of a second of every command."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from genbench.errors import GenbenchError


def inside(name: str) -> Path:
    """A file of `sklearn/datasets`.

    Raises:
        GenbenchError: scikit-learn is not installed, or not as it was.
    """
    spec = find_spec("sklearn")
    folders = spec.submodule_search_locations if spec else None
    for folder in folders or []:
        path = Path(folder, "datasets", name)
        if path.is_file():
            return path
    raise GenbenchError(f"scikit-learn has no datasets/{name}", "Install a release of it that has.")
