"""FILE.py:OBJECT or package.module:OBJECT: a model in code, or a callable that makes one."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

from genbench import catalog
from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.files import sha256_file
from genbench.models.adapters import Given, Source, fitting


def handles(what: str) -> bool:
    return not what.startswith(("data:", "samples:")) and re.search(r":\w+$", what) is not None


def identify(given: Given, dataset: Dataset) -> Source:
    name = given.name or given.what.rpartition(":")[2]
    return Source(name, "code", given.what, hash_code(given.what), "code", args=given.args)


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    return fitting(ready(code_object(source.what), source.args, device), source, dataset)


def ready(model: Any, args: dict[str, Any], device: Any) -> Any:
    """The object, or what a class or function makes, on the device and in evaluation mode where it can be."""
    if isinstance(model, type) or not hasattr(model, "space"):
        model = model(**args)
    if hasattr(model, "to"):
        model = model.to(device)
    if hasattr(model, "eval"):
        model.eval()
    return model


def code_object(what: str) -> Any:
    """The object that FILE.py:OBJECT or module:OBJECT names; runs the file."""
    where, _, name = what.rpartition(":")
    module = catalog.import_file(Path(where)) if where.endswith(".py") else importlib.import_module(where)
    if not hasattr(module, name):
        raise GenbenchError(f"{where} has no '{name}'", "Name an object at its top level, as FILE.py:OBJECT.")
    return getattr(module, name)


def hash_code(what: str) -> str:
    """sha256 of the source file of FILE.py:OBJECT or module:OBJECT."""
    where = what.rpartition(":")[0]
    path = catalog.source_file(where)
    if path is None:
        raise GenbenchError(f"no code at {where}", "Give FILE.py:OBJECT or package.module:OBJECT.")
    return sha256_file(path)
