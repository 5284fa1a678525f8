"""A source is what the command line calls a model: `[name=]WHAT[?key=value&...]`.

    vae.safetensors                a checkpoint; its card names the baseline and its options
    samples:PATH                   a folder of images, an .npz or .npy: any model from any framework
    FILE.py:OBJECT, module:OBJECT  a model in code, or a callable that makes one
    data:test                      the dataset's own test split: the reference row

Parsing a source reads headers and hashes files; only `open` imports torch.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from genbench import catalog
from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.models.checkpoint import Card, read_card, sha256_file

PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".bin")


class FixedSamples:
    """Samples that were drawn elsewhere: `fixed` `[n, *shape]`, no way to draw more.

    Arguments:
        labels: the class that was asked of every sample `[n]`, where the model that drew them took one.
    """

    def __init__(self, dataset: Dataset, fixed: np.ndarray, labels: np.ndarray | None = None) -> None:
        self.space = dataset.space
        self.fixed, self.labels = fixed, labels


class TrueData(FixedSamples):
    """The test split as a model: real data under the protocol of generated ones, with the true density if known."""

    def __init__(self, dataset: Dataset, split: str) -> None:
        super().__init__(dataset, dataset.split(split), None if dataset.labels is None else dataset.labels[split])
        self.log_density = dataset.log_density


@dataclass(frozen=True)
class Source:
    """One model to be measured.

    Arguments:
        name: its row on the leaderboard.
        adapter: "checkpoint", "samples", "code", "data", "pickle" or "memory".
        what: the path or module, without name and arguments.
        sha256: of the checkpoint, of the samples' files or of the samples themselves, or of the source code.
        args: key=value arguments: options of `build`, or arguments of the callable.
        make: of a source in memory, makes its samples.
    """

    name: str
    adapter: str
    what: str
    sha256: str
    family: str
    parameters: int | None = None
    args: dict[str, Any] = field(default_factory=dict)
    card: Card | None = None
    make: Callable[[], np.ndarray] | None = field(default=None, repr=False, compare=False)

    @property
    def identity(self) -> dict[str, Any]:
        """What its values depend on: content, not name or place."""
        return {"sha256": self.sha256, "adapter": self.adapter, "args": self.args}

    def describe(self) -> dict[str, Any]:
        """What a record says of its model; paths only as far as they mean something elsewhere."""
        return {
            "name": self.name,
            "family": self.family,
            "adapter": self.adapter,
            "source": public_path(self.what),
            "sha256": self.sha256,
            "parameters": self.parameters,
            "args": self.args,
        }

    def open(self, dataset: Dataset, device: Any) -> Any:
        """The model, ready to be measured on `dataset`."""
        if self.adapter == "data":
            return TrueData(dataset, self.what.partition(":")[2])
        if self.adapter == "samples":
            from genbench.datasets._files import load_labelled

            return FixedSamples(dataset, *load_labelled(Path(self.what), dataset.space))
        if self.adapter == "memory":
            assert self.make is not None
            return FixedSamples(dataset, self.make())
        if self.adapter == "checkpoint":
            from genbench.models.checkpoint import load_weights

            assert self.card is not None
            model = catalog.build(self.card.baseline, self.card.space, {**self.card.options, **self.args})
            load_weights(Path(self.what), model, device)
            return model
        return self.open_code(dataset, device)

    def open_code(self, dataset: Dataset, device: Any) -> Any:
        """A model in code or in a trusted pickle, moved to the device where it can be."""
        if self.adapter == "pickle":
            import torch

            model = torch.load(self.what, map_location=device, weights_only=False)
        else:
            model = code_object(self.what)
        if isinstance(model, type) or not hasattr(model, "space"):
            model = model(**self.args)
        if hasattr(model, "to"):
            model = model.to(device)
        if hasattr(model, "eval"):
            model.eval()
        if (space := getattr(model, "space", None)) != dataset.space:
            raise GenbenchError(
                f"{self.name} models {space}, dataset '{dataset.name}' is {dataset.space}",
                "Give the object a `space`, and choose the dataset it was made for.",
            )
        return model


def public_path(what: str) -> str:
    """A path relative to the package or to the current folder, else its last part."""
    if ":" in what or not Path(what).exists():
        return re.sub(r".*/", "", what)
    path = Path(what).resolve()
    for root in (catalog.BASELINES.parent, catalog.HERE.parent, Path.cwd()):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.name


def parse(spec: str, dataset: Dataset, unsafe: bool = False) -> Source:
    """The source that `spec` names, checked as far as can be without importing torch.

    Raises:
        GenbenchError: nothing there, a file that is no checkpoint, or one made for another space.
    """
    name, what, args = split(spec)
    if what.startswith("data:"):
        split_name = what.partition(":")[2]
        if split_name not in ("train", "validation", "test"):
            raise GenbenchError(f"no split '{split_name}' in {spec}", "Splits are train, validation and test.")
        return Source(name or f"real {split_name} data", "data", what, dataset.sha256, "reference")
    if what.startswith("samples:"):
        path = Path(what.partition(":")[2])
        return Source(name or path.stem, "samples", str(path), hash_path(path), "samples", args=args)
    if re.search(r":\w+$", what):
        return Source(name or what.rpartition(":")[2], "code", what, hash_code(what), "code", args=args)
    path = Path(what)
    if unsafe and path.suffix in PICKLES and path.is_file():
        return Source(name or path.stem, "pickle", what, sha256_file(path), "code", args=args)
    card = read_card(path)
    if card.space != dataset.space:
        trained = card.dataset.get("name", "another dataset")
        raise GenbenchError(
            f"{path} models {card.space} ({trained}), dataset '{dataset.name}' is {dataset.space}",
            f"Evaluate it with --dataset {trained}, or leave it out.",
        )
    known = catalog.entries("baselines")
    if card.baseline not in known:
        raise GenbenchError(
            f"{path} needs baseline '{card.baseline}', which is not installed",
            "Install its distribution, or name its file: --plugin FILE.py.",
        )
    family = known[card.baseline].family
    return Source(name or path.stem, "checkpoint", what, sha256_file(path), family, card.parameters, args, card)


def in_memory(name: str, family: str, make: Callable[[], np.ndarray], args: dict[str, Any]) -> Source:
    """Samples that this process makes whenever they are asked for, always the same; known by their content."""
    x = np.ascontiguousarray(make())
    digest = hashlib.sha256(f"{x.dtype.str} {x.shape}".encode() + x.tobytes()).hexdigest()
    return Source(name, "memory", name, digest, family, args=args, make=make)


def split(spec: str) -> tuple[str, str, dict[str, Any]]:
    """`[name=]WHAT[?key=value&...]` -> (name or "", WHAT, arguments)."""
    what, _, query = spec.partition("?")
    name, found, rest = what.partition("=")
    if found and re.fullmatch(r"[\w.+ -]+", name):
        what = rest
    else:
        name = ""
    args = dict(parse_qsl(query, keep_blank_values=True))
    return name, what, {key: literal(value) for key, value in args.items()}


def literal(text: str) -> Any:
    """A Python literal, or the text itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def hash_path(path: Path) -> str:
    """sha256 of a file, or of the names and contents of all files in a folder."""
    if not path.exists():
        raise GenbenchError(f"no samples at {path}", "Give a folder of images, an .npz or an .npy file.")
    if path.is_file():
        return sha256_file(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(file.relative_to(path).as_posix().encode() + b"\0" + bytes.fromhex(sha256_file(file)))
    return digest.hexdigest()


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
