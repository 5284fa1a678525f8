"""A model in this process's memory, as a notebook or a training loop hands it to `genbench.evaluate`."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.models.adapters import Given, Source, fitting
from genbench.models.fingerprint import code_of
from genbench.models.reach import known_of


def handles(what: str) -> bool:
    return False  # nothing on a command line names what is in memory


def identify(given: Given, dataset: Dataset) -> Source:
    raise GenbenchError(f"'{given.what}' names nothing in memory", "Hand the object to genbench.evaluate.")


def held(model: Any, name: str = "") -> Source:
    """The object as a source, called `name` or as its class is called.

    Known by the code of its class and by its state; where nobody knows all of that, nothing of it is used again.
    """
    kind = type(model)
    code = code_of_class(kind)
    state, around, unknown = known_of(kind, file_of_class(kind), model)
    return Source(
        name=name or kind.__name__,
        adapter="object",
        what=kind.__qualname__,
        sha256=code or "unknown",
        family="object",
        parameters=sum(p.numel() for p in model.parameters()) if hasattr(model, "parameters") else None,
        made_of={"object": kind.__qualname__, "state": state, "around": around},
        pinned=code is not None and state is not None and around is not None,
        unknown=unknown,
        extra=model,
    )


def code_of_class(kind: type) -> str | None:
    """sha256 of the code that a class is made of, None where it is not at hand."""
    try:
        file = file_of_class(kind)
        return code_of(file) if file else hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()
    except (OSError, TypeError, SyntaxError):
        return None


def file_of_class(kind: type) -> Path | None:
    """The source file of a class, None for one of a notebook, or of a compiled module."""
    try:
        file = Path(inspect.getsourcefile(kind) or "")
    except TypeError:
        return None
    return file if file.is_file() else None


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    """The object itself, in evaluation mode; whoever hands it over has put it where it should be."""
    model = source.extra
    if hasattr(model, "to"):
        model = model.to(device)
    if hasattr(model, "eval"):
        model.eval()
    return fitting(model, source, dataset)
