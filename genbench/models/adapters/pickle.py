"""FILE.pt, .pkl and the like with --unsafe-load: a whole model in a pickle, which can run any code as it is read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from genbench.datasets import Dataset
from genbench.files import names_in_zip, sha256_file
from genbench.models.adapters import Given, Source, checkpoint, fitting, onnx
from genbench.models.adapters.code import ready

SUFFIXES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin")


def handles(what: str) -> bool:
    return what.endswith(SUFFIXES)


def identify(given: Given, dataset: Dataset) -> Source:
    """The file, if it may be read; otherwise it is read as a checkpoint, which refuses pickles."""
    if not (given.unsafe and os.path.isfile(given.path)):
        if is_torchscript(given.path):
            raise onnx.program(given.path)
        return checkpoint.identify(given, dataset)
    # The file holds the state, and the code of its classes lies elsewhere: nobody knows where.
    name = given.name or given.path.stem
    return Source(name, "pickle", given.what, sha256_file(given.path), "code", args=given.args, pinned=False)


def is_torchscript(path: Path) -> bool:
    """Whether it is an archive that holds code, as `torch.jit.save` writes."""
    return any("/code/" in name for name in names_in_zip(path))


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    import torch

    model = torch.load(source.what, map_location=device, weights_only=False)
    return fitting(ready(model, source.args, device), source, dataset)
