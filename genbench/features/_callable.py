"""A function in code as an extractor, `FILE.py:NAME` or `module:NAME`.

    images [n, *shape], raw values of the space -> features [n, d], or (features, logits [n, classes])

The function takes and gives NumPy arrays (or gives torch tensors), one batch at a time, and has to
treat every image by itself. It is known by its code, its name and its state, as a model in code is: a
`torch.nn.Module` by its parameters and buffers; a plain function by the `version` that it declares
(`embed.version = 1`), without which nothing that was measured with it is used again, since nobody knows what it reads.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from genbench.errors import GenbenchError
from genbench.features import Extractor, Features, identity, no_weights
from genbench.importing import running, source_file, within
from genbench.models.adapters.code import code_object, folder_of, hash_code
from genbench.models.reach import DECLARED, known_of
from genbench.space import narrowed


def extractor(spec: str, weights: Path | None = None) -> Extractor:
    """The function that `spec` names.

    Raises:
        GenbenchError: no such file, module or name, or nothing that can be called.
    """
    name = spec.rpartition(":")[2]
    no_weights(name, weights)
    code = hash_code(spec)
    try:
        function = code_object(spec)
    except GenbenchError:
        raise
    except Exception as error:
        raise GenbenchError(
            f"{spec} cannot be imported: {type(error).__name__}: {error}", "Fix it, then try again."
        ) from error
    if not callable(function):
        raise GenbenchError(f"{spec} is a {type(function).__name__}, no function", "Name a function of images.")

    def extract(x: np.ndarray) -> Features:
        with within(folder_of(spec)), running(spec):
            found = function(x.copy())  # the function may write into its own copy
        features, logits = found if isinstance(found, tuple) and len(found) == 2 else (found, None)
        return matrix(features, name), None if logits is None else matrix(logits, name)

    state, around, _ = known_of(function, source_file(spec.rpartition(":")[0]), function)
    sha256 = identity(code, name, state or "", *([] if around in (None, DECLARED) else [around]))
    pinned = state is not None and around is not None
    return Extractor(
        name, sha256, f"raw values of the space, as {name}() takes them", extract, pinned=pinned, parallel=False
    )


def matrix(values: Any, name: str) -> np.ndarray:
    """What a function returned, as float32.

    Raises:
        GenbenchError: it is no array of real numbers, or float32 cannot hold it.
    """
    if hasattr(values, "detach"):  # a torch tensor
        values = values.detach().cpu()
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise GenbenchError(
            f"extractor '{name}' returned a {type(values).__name__} of {array.dtype}, no real numbers",
            "Return features [n, d], or (features, logits).",
        )
    found, lost = narrowed(array, np.dtype(np.float32))
    if lost and np.isfinite(array).all() and not np.isfinite(found).all():
        raise GenbenchError(
            f"extractor '{name}' gave features that cannot be kept: {lost}", "Scale them down, or subtract an offset."
        )
    if lost:
        warnings.warn(f"extractor '{name}': {lost}", stacklevel=2)
    return found
