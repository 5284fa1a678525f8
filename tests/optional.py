"""Optional libraries for tests: a test of what needs one skips where it is not, but never where it is promised."""

import importlib
import os
from types import ModuleType

import pytest

from genbench.features._torchvision import make_importable


def library(name: str) -> ModuleType:
    """The library, imported; without it the test skips, unless GENBENCH_ADAPTERS promises that it is there."""
    make_importable()
    return importlib.import_module(name) if os.environ.get("GENBENCH_ADAPTERS") else pytest.importorskip(name)
