"""FILE.py:OBJECT or package.module:OBJECT: a model in code, or a callable that makes one.

Arguments reach the callable as they stand, `FILE.py:OBJECT?weights=PATH`. What lies at a path among them belongs to the
model's identity: other weights under the same name are another model.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench import catalog
from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.models.adapters import Given, Source, fitting
from genbench.models.adapters.samples import hash_path
from genbench.models.fingerprint import code_of, state_of
from genbench.models.guard import guarded


def handles(what: str) -> bool:
    return not what.startswith(("data:", "samples:")) and re.search(r":\w+$", what) is not None


def identify(given: Given, dataset: Dataset) -> Source:
    """The object, known by its code, its name and its state, for which it has to be opened.

    What its own code raises is kept, and raised again when it is to be measured.
    """
    code, files = hash_code(given.what), hash_files(given.args)
    try:
        with guarded():
            opened: Any = ready(code_object(given.what), given.args, "cpu")
            state = state_of(opened)
    except GenbenchError:
        raise
    except Exception as error:
        opened, state = Broken(error), None
    object_name = given.what.rpartition(":")[2]
    return Source(
        name=given.name or object_name,
        adapter="code",
        what=given.what,
        sha256=code,
        family="code",
        args=given.args,
        made_of={"object": object_name, "state": state, **({"files": files} if files else {})},
        pinned=state is not None,
        extra=[opened],
    )


def hash_files(args: dict[str, Any]) -> dict[str, str]:
    """{argument: sha256} of the files and folders that arguments name."""
    paths = {key: Path(value) for key, value in args.items() if isinstance(value, str) and value}
    return {key: hash_path(path) for key, path in paths.items() if path.exists()}


@dataclass(frozen=True)
class Broken:
    """In place of a model whose code raised."""

    error: Exception


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    """The object that identified the source, the first time; later another, made afresh."""
    if not source.extra:
        return fitting(ready(code_object(source.what), source.args, device), source, dataset)
    model = source.extra[0]
    if isinstance(model, Broken):
        raise model.error
    source.extra.clear()
    return fitting(model.to(device) if hasattr(model, "to") else model, source, dataset)


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
    """sha256 of the code behind FILE.py:OBJECT or module:OBJECT: the file and the modules of its own project.

    Raises:
        GenbenchError: no such file or module, or it is not valid Python.
    """
    where = what.rpartition(":")[0]
    path = catalog.source_file(where)
    if path is None:
        raise GenbenchError(f"no code at {where}", "Give FILE.py:OBJECT or package.module:OBJECT.")
    try:
        return code_of(path)
    except (SyntaxError, ValueError) as error:
        raise GenbenchError(f"{where} is not valid Python: {error}", "Fix it, then try again.") from error
