"""A model in this process's memory, as a notebook or a training loop hands it to `genbench.evaluate`."""

from __future__ import annotations

import hashlib
import inspect
import secrets
from typing import Any

from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.models.adapters import Given, Source, fitting


def handles(what: str) -> bool:
    return False  # nothing on a command line names what is in memory


def identify(given: Given, dataset: Dataset) -> Source:
    raise GenbenchError(f"'{given.what}' names nothing in memory", "Hand the object to genbench.evaluate.")


def held(model: Any, name: str = "") -> Source:
    """The object as a source, called `name` or as its class is called."""
    what = type(model).__qualname__
    parameters = sum(p.numel() for p in model.parameters()) if hasattr(model, "parameters") else None
    return Source(name or type(model).__name__, "object", what, digest(model), "object", parameters, extra=model)


def digest(model: Any) -> str:
    """sha256 of the code of the model's class and of its state.

    Of an object without a `state_dict`, or whose code is not at hand, nobody knows what decides its values: it gets a
    digest that no other has, so that nothing of it is ever taken for another's.
    """
    try:
        code = inspect.getsource(type(model))
    except (OSError, TypeError):
        code = None
    if code is None or not hasattr(model, "state_dict"):
        return secrets.token_hex(32)
    import torch

    found = hashlib.sha256(f"{type(model).__module__}.{type(model).__qualname__}\0{code}\0".encode())
    for key, value in sorted(model.state_dict().items()):
        found.update(f"{key}\0".encode())
        if not isinstance(value, torch.Tensor):
            found.update(repr(value).encode())
            continue
        found.update(f"{value.dtype} {tuple(value.shape)}\0".encode())
        found.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    """The object itself, in evaluation mode; whoever hands it over has put it where it should be."""
    model = source.extra
    if hasattr(model, "to"):
        model = model.to(device)
    if hasattr(model, "eval"):
        model.eval()
    return fitting(model, source, dataset)
