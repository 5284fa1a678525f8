"""FILE.py:OBJECT or package.module:OBJECT: a model in code, or a callable that makes one.

Arguments reach the callable as they stand, `FILE.py:OBJECT?weights=PATH`. What lies at a path among them belongs to the
model's identity: other weights under the same name are another model.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genbench import importing
from genbench.datasets import Dataset
from genbench.errors import Died, GenbenchError, ModelError, unknown
from genbench.files import sha256_file, sha256_files
from genbench.models.adapters import OBJECT, Given, Source, fitting
from genbench.models.fingerprint import code_of, state_of
from genbench.models.guard import guarded
from genbench.models.reach import known_of


def handles(what: str) -> bool:
    """FILE.py:OBJECT and module:OBJECT, unless a file has that very name."""
    if what.startswith(("data:", "samples:")) or os.path.exists(what):
        return False
    return OBJECT.fullmatch(what) is not None


def identify(given: Given, dataset: Dataset) -> Source:
    """The object, known by its code, its name and its state, for which it has to be opened.

    What its own code raises is kept, and raised again when it is to be measured; so is a death of its process.
    """
    code, files = hash_code(given.what), hash_files(given.args)
    extra: list[Any] = []
    try:
        if given.apart is None:
            opened, state, around, unknown = identified(given.what, given.args)
            extra = [opened]
        else:
            state, around, unknown = given.apart(known_alone, given.what, given.args)
    except Died:
        state = around = None
        unknown = ""
    object_name = given.what.rpartition(":")[2]
    return Source(
        name=given.name or object_name,
        adapter="code",
        what=given.what,
        sha256=code,
        family="code",
        args=given.args,
        made_of={"object": object_name, "state": state, "around": around, **({"files": files} if files else {})},
        pinned=state is not None and around is not None,
        unknown=unknown,
        extra=extra,
    )


def identified(what: str, args: dict[str, Any]) -> tuple[Any, str | None, str | None, str]:
    """The object, or in its place what its code raised; the hash of its state, that of what its code reaches, and what
    of these is not known, in words.

    Raises:
        GenbenchError: there is no such object, or arguments that it does not take.
    """
    try:
        with guarded():
            found = code_object(what)
            opened = ready(found, args, "cpu")
            return opened, *known_of(found, importing.source_file(what.rpartition(":")[0]), opened)
    except GenbenchError:
        raise
    except Exception as error:
        return Broken(error), None, None, ""


def known_alone(what: str, args: dict[str, Any]) -> tuple[str | None, str | None, str]:
    """What is known of the object: all that another process needs of it."""
    return identified(what, args)[1:]


def hash_files(args: dict[str, Any]) -> dict[str, str]:
    """{argument: sha256} of the files and folders that arguments name."""
    paths = {key: Path(value) for key, value in args.items() if isinstance(value, str) and value}
    return {key: hash_all(path) for key, path in paths.items() if os.path.exists(path)}


def hash_all(path: Path) -> str:
    """sha256 of a file, or of the names and contents of all files in a folder."""
    if path.is_file():
        return sha256_file(path)
    return sha256_files(path, sorted(file for file in path.rglob("*") if file.is_file()))


@dataclass(frozen=True)
class Broken:
    """In place of a model whose code raised."""

    error: Exception


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    """The object that identified the source, the first time; later, and in another process, one made afresh.

    Raises:
        ModelError: what is made afresh is another model, by its code or its state, than the one that was identified.
    """
    importing.enter(folder_of(source.what))  # what the model imports while it runs is found here first
    if not source.extra:
        model = ready(code_object(source.what), source.args, "cpu")
        if hash_code(source.what) != source.sha256:
            raise ModelError(f"{source.what} has changed since it was planned: measure it again")
        if source.pinned and state_of(model) != source.made_of["state"]:
            raise ModelError(
                f"{source.what} makes another model each time (weights or attributes that no seed decides): seed it "
                "where it is made, or load its weights"
            )
    else:
        model = source.extra[0]
        if isinstance(model, Broken):
            raise model.error
        source.extra.clear()
    return fitting(model.to(device) if hasattr(model, "to") else model, source, dataset)


def ready(model: Any, args: dict[str, Any], device: Any) -> Any:
    """The object, or what a class or function makes, on the device and in evaluation mode where it can be."""
    if isinstance(model, type) or not hasattr(model, "space"):
        with importing.running(str(getattr(model, "__module__", "model"))):
            model = model(**args)
    elif args:
        raise GenbenchError(
            f"an object takes no arguments, and {', '.join(args)} are given",
            "Name the class or the function that makes it.",
        )
    if hasattr(model, "to"):
        model = model.to(device)
    if hasattr(model, "eval"):
        model.eval()
    return model


def code_object(what: str) -> Any:
    """The object that FILE.py:OBJECT or module:OBJECT names, `Class.attribute` included; runs the file.

    Raises:
        GenbenchError: there is no such object.
        ModelError: the file calls `sys.exit`.
        Exception: whatever else its code raises.
    """
    where, _, name = what.rpartition(":")
    found = importing.import_file(Path(where)) if where.endswith(".py") else importing.import_module(where)
    for part in name.split("."):
        if not hasattr(found, part):
            public = (one for one in dir(found) if not one.startswith("_"))
            raise GenbenchError(f"{where} has no '{name}'", unknown("object", part, public).remedy)
        found = getattr(found, part)
    return found


def folder_of(what: str) -> Path:
    """The folder that code imports from first of all: the file's, or the current one."""
    where = what.rpartition(":")[0]
    return Path(where).parent if where.endswith(".py") else Path.cwd()


def hash_code(what: str) -> str:
    """sha256 of the code behind FILE.py:OBJECT or module:OBJECT: the file and the modules of its own project.

    Raises:
        GenbenchError: no such file or module, or it is not valid Python.
    """
    where = what.rpartition(":")[0]
    path = importing.source_file(where)
    if path is None:
        raise GenbenchError(f"no code at {where}", "Give FILE.py:OBJECT or package.module:OBJECT.")
    try:
        return code_of(path)
    except (SyntaxError, ValueError) as error:
        raise GenbenchError(f"{where} is not valid Python: {error}", "Fix it, then try again.") from error
