"""An adapter makes a model of what the command line names: `[name=]WHAT[?key=value&...]` -> source -> model.

Every file here defines

    handles(what) -> bool                   whether WHAT is of this kind; reads names, not files
    identify(given, dataset) -> Source      what it is, with the hash of all that decides its values; imports no torch
    open(source, dataset, device) -> model  the model itself: only now any of its code runs

and opens with the sentence that `genbench list adapters` shows. Outside packages bring one by an entry point in the
group `genbench.adapters`. A file that no adapter takes is read as a checkpoint.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from genbench import catalog, reading
from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.files import content_key


@dataclass(frozen=True)
class Given:
    """An argument of the command line, taken apart.

    Arguments:
        name: what the user calls the model, "" for nothing.
        what: the path, module or word that names it.
        args: key=value arguments.
        unsafe: whether pickles may be read, which can run any code.
    """

    name: str
    what: str
    args: dict[str, Any] = field(default_factory=dict)
    unsafe: bool = False

    @property
    def path(self) -> Path:
        return Path(self.what)


@dataclass(frozen=True)
class Source:
    """One model to be measured.

    Arguments:
        name: its row on the leaderboard.
        adapter: the name of the adapter that opens it.
        what: the path or module, without name and arguments.
        sha256: of all that decides its values, except for `args`.
        args: key=value arguments: options of a baseline, or arguments of a callable.
        made_of: what else decides its values: the version or code of its baseline, the state of an object, and as
            "files" the sha256 of what lies at the paths among `args`.
        pinned: whether all that decides its values is known; if not, nothing measured of it is used again.
        extra: what the adapter has to keep for `open`.
    """

    name: str
    adapter: str
    what: str
    sha256: str
    family: str
    parameters: int | None = None
    args: dict[str, Any] = field(default_factory=dict)
    made_of: dict[str, Any] = field(default_factory=dict)
    pinned: bool = True
    extra: Any = field(default=None, repr=False, compare=False)

    @property
    def identity(self) -> dict[str, Any]:
        """What its values depend on: content, not name or place."""
        args = {key: value for key, value in self.args.items() if key not in self.files}
        return {"sha256": self.sha256, "adapter": self.adapter, "args": args, **self.made_of}

    @property
    def files(self) -> dict[str, str]:
        """{argument: sha256} of the arguments that are paths."""
        return self.made_of.get("files", {})

    @property
    def training_seed(self) -> Any:
        """Of a checkpoint, the seed that its card says it was trained with."""
        return self.extra.training.get("seed") if self.adapter == "checkpoint" else None

    @property
    def key(self) -> str:
        """The content key of its identity: what its records are known by, under whatever name."""
        return content_key(self.identity)

    def describe(self) -> dict[str, Any]:
        """What a record says of its model; no name, and paths only as far as they mean something elsewhere."""
        return {
            "key": self.key,
            "family": self.family,
            "adapter": self.adapter,
            "source": public_path(self.what),
            "sha256": self.sha256,
            "parameters": self.parameters,
            "args": {key: public_path(value) if key in self.files else value for key, value in self.args.items()},
        }

    def open(self, dataset: Dataset, device: Any) -> Any:
        """The model, ready to be measured on `dataset`.

        Raises:
            GenbenchError: it is made for another space, or its files do not fit.
        """
        return catalog.load("adapters", self.adapter).open(self, dataset, device)


def parse(spec: str, dataset: Dataset, unsafe: bool = False) -> Source:
    """The source that `spec` names, checked as far as can be without importing torch.

    Raises:
        GenbenchError: nothing there, a file that is no checkpoint, or one made for another space.
    """
    name, what, args = split(spec)
    takers = [one for one in catalog.names("adapters") if catalog.load("adapters", one).handles(what)]
    if len(takers) > 1:
        raise GenbenchError(
            f"{what} can be read by {len(takers)} adapters: {', '.join(takers)}", "Remove one of the plugins."
        )
    adapter = catalog.load("adapters", takers[0] if takers else "checkpoint")
    return adapter.identify(Given(name, what, args, unsafe), dataset)


def split(spec: str) -> tuple[str, str, dict[str, Any]]:
    """`[name=]WHAT[?key=value&...]` -> (name or "", WHAT, arguments)."""
    what, _, query = spec.partition("?")
    name, found, rest = what.partition("=")
    if found and re.fullmatch(r"[\w.+ -]+", name):
        what = rest
    else:
        name = ""
    args: dict[str, Any] = {}
    for key, value in parse_qsl(query, keep_blank_values=True):
        if key in args:
            raise GenbenchError(f"{spec}: argument '{key}' is given twice", "Give it once.")
        args[key] = literal(value, key)
    return name, what, args


def literal(text: str, where: str) -> Any:
    """What an argument's text says: a number, true, false, a list and the like as Python writes them, else the text.

    Raises:
        GenbenchError: it says what no record can hold: an infinite number, bytes, a set.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = text
    return reading.read(Any, value, f"argument {where}={reading.shown(text)}", "Give a number, text, or a list.")


def no_arguments(given: Given) -> None:
    """GenbenchError if arguments are given to what takes none."""
    for key in given.args:
        raise GenbenchError(f"{given.what} takes no arguments, got '{key}'", "Leave out what follows the '?'.")


def public_path(what: str) -> str:
    """A path relative to the package or to the current folder, else its last part."""
    if ":" in what or not Path(what).exists():
        return re.sub(r".*/", "", what)
    path = Path(what).resolve()
    for root in (catalog.BASELINES.parent, catalog.HERE.parent, Path.cwd()):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.name


def fitting(model: Any, source: Source, dataset: Dataset) -> Any:
    """The model itself, if it models the dataset's space.

    Raises:
        GenbenchError: it models another.
    """
    if (space := getattr(model, "space", None)) != dataset.space:
        raise GenbenchError(
            f"{source.name} models {space}, dataset '{dataset.name}' is {dataset.space}",
            "Give the object a `space`, and choose the dataset it was made for.",
        )
    return model
