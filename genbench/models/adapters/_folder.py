"""A folder of another framework as data: configurations in JSON, weights in safetensors, and nothing that is run.

Of such a folder only these are read. Pickles (`.bin`, `.pt`, `.ckpt`, ...) can run code as they are read; Python files
beside them, and configurations that name classes to be fetched, are code themselves. Classes come from the installed
library alone, by names that the adapter knows. No weight may be missing or left over.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from genbench import reading
from genbench.errors import GenbenchError, unknown
from genbench.files import sha256_files
from genbench.models.checkpoint import Stored, read_header

PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".distcp", ".msgpack", ".h5")
DAMAGED = "Copy or download the folder again."


def folder_of(what: str) -> Path:
    """The folder behind `SCHEME:FOLDER`.

    Raises:
        GenbenchError: there is none.
    """
    scheme, _, where = what.partition(":")
    if not where:
        raise GenbenchError(f"no folder in '{what}'", f"Give {scheme}:FOLDER.")
    path = Path(where)
    if not path.is_dir():
        raise GenbenchError(
            f"no folder at {path}", f"Download the model first: {scheme}:FOLDER reads what is here, and nothing else."
        )
    return path


def json_of(path: Path) -> dict[str, Any]:
    """A file of JSON as a table. These libraries write infinite numbers, which strict JSON does not know.

    Raises:
        GenbenchError: no such file, or another content.
    """
    try:
        content = json.loads(reading.text_of(path, "configuration", DAMAGED))
    except (ValueError, RecursionError) as error:
        raise GenbenchError(f"{path} is not JSON: {error}", DAMAGED) from error
    if not isinstance(content, dict):
        raise GenbenchError(f"{path} is {reading.shown(content)}, expected a table", DAMAGED)
    return content


def weights_of(folder: Path, stem: str) -> list[Path]:
    """The safetensors files of one model: STEM.safetensors, or what STEM.safetensors.index.json names.

    Raises:
        GenbenchError: none, pickles in their place, or an index that leads out of the folder.
    """
    single, index = folder / f"{stem}.safetensors", folder / f"{stem}.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        table = reading.read(dict[str, str], json_of(index).get("weight_map"), f"{index}: weight_map", DAMAGED)
        names = sorted(set(table.values()))
        for name in names:
            if Path(name).name != name or not name.endswith(".safetensors") or not os.path.isfile(folder / name):
                raise GenbenchError(f"{index} names '{name}', which is no safetensors file beside it", DAMAGED)
        return [folder / name for name in names]
    if pickles := sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES):
        raise GenbenchError(
            f"{folder} has no {single.name}, only {pickles[0]}, which can run code when it is loaded: refused",
            "Convert it where you trust it: load it with its own library, then save_pretrained(FOLDER).",
        )
    variants = sorted(file.name for file in folder.glob(f"{stem}*.safetensors"))
    found = f"; there is {variants[0]}" if variants else ""
    raise GenbenchError(
        f"{folder} has no {single.name}{found}",
        f"Rename it to {single.name}." if variants else "Give the folder that save_pretrained wrote.",
    )


def tensors_of(files: Iterable[Path]) -> dict[str, Stored]:
    """What the headers of safetensors files say of their tensors."""
    return {name: one for file in files for name, one in read_header(file)[0].items()}


def count(tensors: dict[str, Stored]) -> int:
    return sum(math.prod(one.shape) for one in tensors.values())


def hash_of(folder: Path, files: Iterable[Path]) -> str:
    """sha256 of the names and contents of files in the folder."""
    return sha256_files(folder, sorted(files))


def known_arguments(given: dict[str, Any], defaults: dict[str, Any], what: str) -> dict[str, Any]:
    """Every argument of an adapter: as given, else its default.

    Raises:
        GenbenchError: one that the adapter does not know.
    """
    for key in given:
        if key not in defaults:
            raise unknown(f"argument of {what}", key, defaults)
    return {**defaults, **given}


def must(ok: bool, argument: str, value: Any, expected: str) -> None:
    """GenbenchError if an argument is not what it has to be."""
    if not ok:
        raise GenbenchError(f"argument {argument} is {reading.shown(value)}", f"Give {expected}.")


def whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def installed(library: str) -> None:
    """GenbenchError if an optional library is not there; imports nothing."""
    if importlib.util.find_spec(library) is None:
        extra = EXTRAS.get(library, library)
        raise GenbenchError(f"{library} is not installed", f"pip install -c constraints.txt 'genbench[{extra}]'")


def release(library: str) -> str:
    """The version of an optional library, whose code is that of the model; imports nothing."""
    return importlib.metadata.version(library)


@contextmanager
def quiet(library: str) -> Iterator[None]:
    """What a library tells of its loading is not shown: what is wrong with a model is an error of two lines."""
    log = importlib.import_module(f"{library}.utils.logging")
    verbosity, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()


EXTRAS = {"onnxruntime": "onnx"}  # of a library that has another name than what brings it


def imported(library: str, names: Iterable[str]) -> list[Any]:
    """Classes of an optional library, which is only now imported.

    Raises:
        GenbenchError: the library, or what it imports itself, cannot be imported.
    """
    from genbench.features._torchvision import make_importable

    installed(library)
    make_importable()  # both diffusers and transformers import torchvision wherever it is installed
    try:
        module: ModuleType = importlib.import_module(library)
        return [getattr(module, name) for name in names]
    except Exception as error:  # these libraries import parts of themselves on demand, and wrap what those raise
        first: BaseException = error
        while first.__cause__ is not None or first.__context__ is not None:
            first = first.__cause__ or first.__context__  # type: ignore[assignment]
        extra = EXTRAS.get(library, library)
        if "torchvision" in f"{error} {first}":
            raise GenbenchError(
                f"{library} imports torchvision, which does not fit this torch: {first}",
                "Install the torchvision of the same release and build as torch, or remove it: pip uninstall "
                "torchvision.",
            ) from error
        raise GenbenchError(
            f"{library} cannot be imported: {first}",
            f"Take the tested versions: pip install -c constraints.txt 'genbench[{extra}]'",
        ) from error
