"""An adapter makes a model of what the command line names: `[name=]WHAT[?key=value&...]` -> source -> model.

Every file here defines

    handles(what) -> bool                   whether WHAT is of this kind; reads names, not files
    identify(given, dataset) -> Source      what it is, with the hash of all that decides its values; imports no torch
    open(source, dataset, device) -> model  the model itself: only now any of its code runs

and opens with the sentence that `genbench list adapters` shows. Outside packages bring one by an entry point in the
group `genbench.adapters`. A file that no adapter takes is read as a checkpoint.

What exists is meant as it stands: an argument is taken apart at its `=` and `?` only where that, or nothing, leads to
something that is there. So `epoch=3-step=100.safetensors` and `what?.npy` are files.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from glob import glob, has_magic
from pathlib import Path
from types import ModuleType
from typing import Any

from genbench import catalog
from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.files import content_key
from genbench.privacy import public, public_value
from genbench.query import arguments, sweep

WORD = r"[^\W\d]\w*"  # of Python: letters, digits and _, no digit first
OBJECT = re.compile(rf"(.*\.py|{WORD}(\.{WORD})*):{WORD}(\.{WORD})*", re.DOTALL)  # FILE.py:OBJECT, module:OBJECT


@dataclass(frozen=True)
class Given:
    """An argument of the command line, taken apart.

    Arguments:
        name: what the user calls the model, "" for nothing.
        what: the path, module or word that names it.
        args: key=value arguments.
        unsafe: whether pickles may be read, which can run any code.
        apart: calls a function in a process of its own, where foreign code may die; None has it run here.
    """

    name: str
    what: str
    args: dict[str, Any] = field(default_factory=dict)
    unsafe: bool = False
    apart: Callable[..., Any] | None = None

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
        unknown: in words what is not known, where that can be said.
        extra: what the adapter has to keep for `open`.
        row: where it is one of several checkpoints that make one row together, the name of that row.
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
    unknown: str = field(default="", compare=False)
    extra: Any = field(default=None, repr=False, compare=False)
    row: str = ""

    @property
    def shown(self) -> str:
        """The name of the row that it stands in."""
        return self.row or self.name

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
    def ours(self) -> bool:
        """Whether no code but that of genbench answers for it, which tests hold to what it says: files of samples, real
        data, and checkpoints of baselines that ship.
        """
        return self.adapter in ("data", "samples") or str(self.made_of.get("baseline")).startswith("version ")

    @property
    def training_seed(self) -> Any:
        """Of a checkpoint, the seed that its card says it was trained with."""
        return self.extra.training.get("seed") if self.adapter == "checkpoint" else None

    @property
    def training_command(self) -> str:
        """Of a checkpoint, the command that its card says made it, without places on anybody's machine."""
        said = self.extra.training.get("command") if self.adapter == "checkpoint" else None
        return public(said) if isinstance(said, str) else ""

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
            "args": {
                key: public_path(value) if key in self.files else public_value(value)
                for key, value in self.args.items()
            },
        }

    def open(self, dataset: Dataset, device: Any) -> Any:
        """The model, ready to be measured on `dataset`.

        Raises:
            GenbenchError: it is made for another space, or its files do not fit.
        """
        return catalog.load("adapters", self.adapter).open(self, dataset, device)


Apart = Callable[..., Any] | None


def parse(spec: str, dataset: Dataset, unsafe: bool = False, apart: Apart = None) -> Source:
    """The source that `spec` names, checked as far as can be without importing torch.

    Arguments:
        apart: see `Given`.

    Raises:
        GenbenchError: nothing there, a file that is no checkpoint, or one made for another space.
    """
    name, what, args = split(spec)
    found = takers(what)
    if len(found) > 1:
        raise GenbenchError(
            f"{what} can be read by {len(found)} adapters: {', '.join(found)}", "Remove one of the plugins."
        )
    adapter = next(iter(found.values()), None) or catalog.load("adapters", "checkpoint")
    return adapter.identify(Given(name, what, args, unsafe, apart), dataset)


def parse_all(spec: str, dataset: Dataset, unsafe: bool = False, apart: Apart = None) -> list[Source]:
    """The sources that `spec` names: one, one for each value of arguments that are swept, `?guidance=1,2,4`, and of
    `NAME=PATTERN` all files that match, which make one row together.

    Raises:
        GenbenchError: as for `parse`, no file matches, or the files are not trainings of one model.
    """
    _, _, query = taken_apart(spec)
    points = sweep(query)
    if len(points) == 1:
        return of_one_point(spec, dataset, unsafe, apart)
    before = spec.removesuffix(query)
    return [
        replace(one, name=f"{one.name} {differs}", row=f"{one.row} {differs}" if one.row else "")
        for differs, own in points
        for one in of_one_point(before + own, dataset, unsafe, apart)
    ]


def of_one_point(spec: str, dataset: Dataset, unsafe: bool, apart: Apart = None) -> list[Source]:
    """The sources of `spec`, whose arguments have one value each."""
    name, what, _ = split(spec)
    if not name or not has_magic(what) or there(what):
        return [parse(spec, dataset, unsafe, apart)]
    scheme, colon, pattern = what.partition(":")
    if not colon or scheme not in catalog.names("adapters"):
        scheme, colon, pattern = "", "", what
    paths = sorted(glob(pattern, recursive=True))
    if not paths:
        raise GenbenchError(
            f"no file matches {what}", "Check the pattern; quote it, so that the shell leaves it alone."
        )
    if len(paths) == 1:
        return [parse(f"{name}={scheme}{colon}{paths[0]}{spec.partition(what)[2]}", dataset, unsafe, apart)]
    start = len(os.path.commonpath([os.path.dirname(path) for path in paths]))
    names = [os.path.splitext(path[start:].lstrip(os.sep))[0] for path in paths]
    rest = spec.partition(what)[2]
    sources = [parse(f"{name}={scheme}{colon}{path}{rest}", dataset, unsafe, apart) for path in paths]
    check_seeds(name, sources)
    found = [replace(one, name=f"{name}/{own}", row=name) for one, own in zip(sources, names, strict=True)]
    return sorted(found, key=lambda one: one.training_seed if isinstance(one.training_seed, int) else math.inf)


def check_seeds(name: str, sources: list[Source]) -> None:
    """Whether sources are trainings of one model: the mean of several models, or of one counted twice, is of none.

    Raises:
        GenbenchError: two have the same content, or their cards differ in what was trained, and on what.
    """
    first: dict[str, Source] = {}
    for one in sources:
        if (same := first.setdefault(one.key, one)) is not one:
            raise GenbenchError(
                f"{one.what} and {same.what} are the same model, which would count twice in the row '{name}'",
                "Leave one of them out.",
            )
        trained = zip(("baselines", "options", "data"), of_training(one), of_training(sources[0]), strict=True)
        for what, mine, other in trained:
            if mine != other:
                raise GenbenchError(
                    f"{sources[0].what} and {one.what} are no seeds of one model: their {what} differ: {other}, {mine}",
                    "Give each model a row of its own: NAME=PATTERN takes checkpoints of one model alone.",
                )


def of_training(source: Source) -> tuple[Any, ...]:
    """Of a checkpoint the baseline, its options and the data, as its card has them; else the adapter."""
    if source.adapter != "checkpoint":
        return source.adapter, None, None
    return source.extra.baseline, source.extra.options, source.extra.dataset.get("name")


def takers(what: str) -> dict[str, ModuleType]:
    """The adapters that handle WHAT, by name; one that a plugin brings and that breaks is in nobody's way.

    `NAME:...` is for the adapter called NAME, if it handles that; else it may be an object of a module.
    """
    named = what.partition(":")[0]
    if named in catalog.names("adapters") and named in (found := those_that_handle(what, [named])):
        return found
    return those_that_handle(what, catalog.names("adapters"))


def those_that_handle(what: str, names: list[str]) -> dict[str, ModuleType]:
    found = {}
    for name in names:
        entry = catalog.find("adapters", name)
        try:
            adapter = catalog.load("adapters", name)
            if adapter.handles(what):
                found[name] = adapter
        except Exception as error:
            if entry.origin == "genbench":
                raise
            why = error.problem if isinstance(error, GenbenchError) else f"{type(error).__name__}: {error}"
            catalog.tell(f"adapter '{name}' of {entry.origin} is left out: {why}")
    return found


def split(spec: str) -> tuple[str, str, dict[str, Any]]:
    """`[name=]WHAT[?key=value&...]` -> (name or "", WHAT, arguments).

    Of all ways to take it apart it is the first whose WHAT is there: whole, behind a name, before arguments, between
    both. Where nothing is there, the name ends at the first `=`, unless it would hold a `/`, and arguments begin at
    the first `?`.

    Raises:
        GenbenchError: an empty name, or arguments that are not key=value, each key once.
    """
    name, what, query = taken_apart(spec)
    if name is not None and not name.strip():
        raise GenbenchError(f"'{spec}' has an empty name", "Write NAME=WHAT, or WHAT alone.")
    return (name or "").strip(), what, arguments(query, spec)


def taken_apart(spec: str) -> tuple[str | None, str, str]:
    """The name or None, WHAT, and the query."""
    return next((way for way in ways(spec) if there(way[1])), usual(spec))


def ways(spec: str) -> Iterator[tuple[str | None, str, str]]:
    """The ways to take an argument apart, from the fewest cuts on: (name, WHAT, query)."""
    cuts = [i for i, c in enumerate(spec) if c == "="]
    for end in [len(spec), *(i for i, c in enumerate(spec) if c == "?")]:
        for start in [-1, *(i for i in cuts if i < end and "?" not in spec[:i])]:  # a `?` before it begins arguments
            yield (None if start < 0 else spec[:start]), spec[start + 1 : end], spec[end + 1 :]


def there(what: str) -> bool:
    """Whether a path is there: all of WHAT, what follows `samples:`, or the file before `:OBJECT`."""
    paths = [what]
    if re.match(r"[a-z][a-z-]*:", what):
        paths.append(what.partition(":")[2])
    if OBJECT.fullmatch(what):
        paths.append(what.rpartition(":")[0])
    return any(path and os.path.exists(path) for path in paths)


def usual(spec: str) -> tuple[str | None, str, str]:
    """How an argument is taken apart of which nothing is there."""
    before, _, query = spec.partition("?")
    name, equals, what = before.partition("=")
    return (name, what, query) if equals and "/" not in name else (None, before, query)


def no_arguments(given: Given) -> None:
    """GenbenchError if arguments are given to what takes none."""
    for key in given.args:
        raise GenbenchError(f"{given.what} takes no arguments, got '{key}'", "Leave out what follows the '?'.")


def public_path(what: str) -> str:
    """A path relative to the package or to the current folder, else its last part."""
    if ":" in what or not os.path.exists(what):
        return what.rpartition("/")[2]
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
