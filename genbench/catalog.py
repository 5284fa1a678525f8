"""The catalog finds baselines, datasets, metrics, extractors, adapters and suites by where they are.

A member is a file: `baselines/FAMILY/*.py`, `genbench/datasets/*.py`, `genbench/metrics/*.py`,
`genbench/features/*.py`, `genbench/models/adapters/*.py`, `genbench/suites/*.toml`; a leading underscore hides a
file. Outside members come from entry points (`genbench.baselines`, ...) and from `use_plugin`. Listing runs no member:
the first line of the docstring and the constants are read from the source. (Of an entry point `package.module` Python
imports the package to find the module.) An outside member that cannot be used is left out, with one warning.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.util
import inspect
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, distributions, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import genbench.baselines
from genbench import plugins, reading
from genbench.errors import GenbenchError, unknown
from genbench.importing import import_file, running, source_file, source_of
from genbench.plugins import spelt
from genbench.source import Broken, literals, parsed

if TYPE_CHECKING:
    import torch

    from genbench.space import Space

HERE = Path(__file__).parent
INTERVALS = "intervals"  # the parameter by which a metric can spare the work that its interval takes
BASELINES = Path(genbench.baselines.__path__[0])  # with the checkpoints that ship, by dataset
PACKAGES = {
    "baselines": "genbench.baselines",
    "datasets": "genbench.datasets",
    "metrics": "genbench.metrics",
    "extractors": "genbench.features",
    "adapters": "genbench.models.adapters",
}
KINDS = (*PACKAGES, "suites")
# The name that a source file defines says what it is.
MARKS = {
    "adapters": "handles",
    "extractors": "extractor",
    "metrics": "compute",
    "datasets": "load",
    "baselines": "build",
}


@dataclass(frozen=True)
class Entry:
    """One member of the catalog.

    Arguments:
        name: as the command line spells it, with hyphens.
        module: the dotted module, for members that are importable.
        path: the source file, for members that are files.
        origin: "genbench", the distribution's name, or the plugin file.
        fault: why it cannot even be found, "" if it can.
    """

    name: str
    kind: str
    module: str | None
    path: Path | None
    origin: str
    fault: str = ""

    @cached_property
    def constants(self) -> dict[str, Any]:
        """The literal constants at the top level of the source (FAMILY, OUTPUTS, ...), and `__doc__`."""
        if self.path is None or self.path.suffix != ".py":
            return {}
        return literals(self.path)

    @property
    def family(self) -> str:
        """A baseline's: what its file says, else what the folder that it lies in says."""
        if "FAMILY" in self.constants or self.path is None:
            return self.constants.get("FAMILY", "other")
        return self.folder.get("FAMILY", "other")

    @property
    def examples(self) -> tuple[str, ...]:
        """The baselines that stand for the family of one that ships."""
        return self.folder.get("EXAMPLES", ())

    @property
    def folder(self) -> dict[str, Any]:
        """What the folder says of the baselines in it."""
        package = self.path.with_name("__init__.py") if self.path else None
        if self.origin != "genbench" or package is None or not package.is_file():
            return {}
        return literals(package)

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a metric's `compute` that have a default, which has to be a literal.

        Without that which leaves the interval out: it decides no value.
        """
        assert self.path is not None
        found = {name: ast.literal_eval(default) for name, default in self.signature.items() if default is not None}
        return {name: default for name, default in found.items() if not (name == INTERVALS and self.spares)}

    @property
    def spares(self) -> bool:
        """Whether a metric can leave out an interval that takes work of its own: `compute(..., intervals=True)`."""
        default = self.signature.get(INTERVALS)
        return isinstance(default, ast.Constant) and default.value is True

    @cached_property
    def signature(self) -> dict[str, ast.expr | None]:
        """The parameters of a metric's `compute`, each with its default as it is written."""
        assert self.path is not None
        for node in parsed(self.path).body:
            if isinstance(node, ast.FunctionDef) and node.name == "compute":
                given, late = [*node.args.posonlyargs, *node.args.args], node.args.defaults
                defaults = [*[None] * (len(given) - len(late)), *late, *node.args.kw_defaults]
                return {a.arg: d for a, d in zip([*given, *node.args.kwonlyargs], defaults, strict=True)}
        return {}

    @property
    def made_of(self) -> str:
        """What decides its behaviour: the version that a built-in member declares, the code of one from outside."""
        if self.origin == "genbench" or self.path is None:
            return f"version {self.constants.get('VERSION', 1)}"
        from genbench.models.fingerprint import code_of
        from genbench.models.reach import environment_read

        read = environment_read(self.path)
        return f"code {code_of(self.path)}" + (f" in {read}" if read else "")

    @property
    def reaches(self) -> str:
        """Of one from outside a compiled library that may open files unseen, "" where its code reaches none."""
        if self.origin == "genbench" or self.path is None:
            return ""
        from genbench.models.compiled import reached
        from genbench.models.fingerprint import files_of

        return reached(files_of(self.path))

    @property
    def weights(self) -> Path | None:
        """The safetensors file that ships beside an extractor's source."""
        weights = self.path.with_suffix(".safetensors") if self.path else None
        return weights if weights and weights.is_file() else None

    @property
    def summary(self) -> str:
        """The first line of the docstring, or of a suite's comment."""
        if self.kind == "suites" and self.path is not None:
            return self.path.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
        return self.constants.get("__doc__", "").split("\n", 1)[0]


_plugins: list[Path] = []


def use_plugin(plugin: str) -> None:
    """Adds the members in a file, or in an importable module, to the catalog of this process.

    Raises:
        GenbenchError: no such file or module, or it defines no member, or one that cannot be used.
    """
    path = source_file(plugin)
    if path is None:
        raise GenbenchError(f"no plugin at {plugin}", "Give a .py file or an importable module.")
    kind = kind_of(path)
    if kind is None:
        marks = ", ".join(f"{mark}() ({kind})" for kind, mark in MARKS.items())
        raise GenbenchError(
            f"{path} defines no member of the catalog", f"It needs one of {marks}; see CONTRIBUTING.md."
        )
    path = path.resolve()
    try:
        plugins.check(Entry(spelt(path.stem), kind, None, path, str(path)), {})
    except Broken as error:
        raise GenbenchError(f"{kind[:-1]} plugin {path} cannot be used: {error}", "Fix it, then try again.") from error
    if path not in _plugins:
        _plugins.append(path)


def kind_of(path: Path) -> str | None:
    """The kind of member that a source file defines, read without running it."""
    try:
        tree = parsed(path)
    except Broken as error:
        raise GenbenchError(str(error), "Fix it, then try again.") from error
    defined = {name for node in tree.body for name in callables(node)}
    return next((kind for kind, mark in MARKS.items() if mark in defined), None)


def callables(node: ast.stmt) -> set[str]:
    """The names that a statement gives to what can be called: `def build`, `build = Model`, `build = partial(...)`."""
    if isinstance(node, ast.FunctionDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Name | ast.Attribute | ast.Call):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return {target.id for target in targets if isinstance(target, ast.Name)}
    return set()


def entries(kind: str) -> dict[str, Entry]:
    """Every member of a kind by name, built-ins first; they win a clash of names.

    An outside member that cannot be used is left out, with a warning once in a process.
    """
    return scan(kind)[0]


def scan(kind: str) -> tuple[dict[str, Entry], dict[str, str]]:
    """The members of a kind by name, and of those that cannot be used, why not."""
    if kind == "suites":
        return {p.stem: Entry(p.stem, kind, None, p, "genbench") for p in sorted((HERE / "suites").glob("*.toml"))}, {}
    found = {}
    for path, module in sources(kind):
        name = spelt(path.stem)
        found[name] = Entry(name, kind, module, path, "genbench")
    broken: dict[str, str] = {}
    for entry in outside(kind):
        if entry.name in found:
            first = found[entry.name]
            if (entry.module, entry.path) != (first.module, first.path):
                tell(f"{kind[:-1]} '{entry.name}' of {entry.origin} is hidden by the one of {first.origin}")
            continue
        try:
            plugins.check(entry, found)
        except Broken as error:
            broken[entry.name] = f"{kind[:-1]} '{entry.name}' of {entry.origin} cannot be used: {error}"
            tell(broken[entry.name])
        else:
            found[entry.name] = entry
    return found, {name: why for name, why in broken.items() if name not in found}


def outside(kind: str) -> Iterator[Entry]:
    """The members of a kind that came with other distributions, then those in files named by the user."""
    for point, origin in points(f"genbench.{kind}"):
        name = spelt(point.name)
        try:
            with running(point.module):
                spec = importlib.util.find_spec(point.module)
        except Exception as error:
            yield Entry(name, kind, None, None, origin, f"{type(error).__name__}: {error}")
            continue
        path = source_of(spec)
        if spec is None:
            yield Entry(name, kind, None, None, origin, f"there is no module {point.module}")
        elif path is None:
            where = spec.origin or "a package without __init__.py"
            yield Entry(name, kind, None, None, origin, f"{point.module} has no source to read: it is {where}")
        else:
            yield Entry(name, kind, point.module, path, origin)
    for path in _plugins:
        if kind_of(path) == kind:
            yield Entry(spelt(path.stem), kind, None, path, str(path))


def points(group: str) -> Iterator[tuple[EntryPoint, str]]:
    """The entry points of a group with the names of their distributions; one that cannot be read is told."""
    # To read them anew each time that a member is looked up takes most of a call that finds everything measured.
    state = tuple((folder, changed(folder)) for folder in sys.path)
    if _points.get("state") != state:
        try:
            every = entry_points()  # one reading for all groups
            found = [point for kind in PACKAGES for point in every.select(group=f"genbench.{kind}")]
        except Exception:  # one malformed entry_points.txt hides those of all distributions
            yield from readable(group)
            return
        _points.update(state=state, found=found)
    yield from ((p, p.dist.name if p.dist else "unknown") for p in _points["found"] if p.group == group)


def readable(group: str) -> Iterator[tuple[EntryPoint, str]]:
    """The entry points of a group, of all distributions of which they can be read."""
    for distribution in distributions():
        name = str(distribution.metadata["Name"])
        try:
            yield from [(point, name) for point in distribution.entry_points if point.group == group]
        except Exception as error:
            tell(f"the entry points of {name} cannot be read: {type(error).__name__}: {error}")


_points: dict[str, Any] = {}  # those of all groups ("found"), and what they were read from ("state")


def changed(folder: str) -> int | None:
    """When something was installed there or taken away, None where there is no such folder."""
    try:
        return os.stat(folder or ".").st_mtime_ns
    except OSError:
        return None


class PluginWarning(UserWarning):
    """Something is wrong with an outside member."""


_told: set[str] = set()


def tell(message: str) -> None:
    """Warns, once in a process."""
    if message not in _told:
        _told.add(message)
        warnings.warn(message, PluginWarning, stacklevel=3)


@cache
def sources(kind: str) -> tuple[tuple[Path, str], ...]:
    """Every built-in member's source file and module, in the order of their names; baselines lie in family folders."""
    package = PACKAGES[kind]
    folder, pattern = (BASELINES, "*/*.py") if kind == "baselines" else (HERE.joinpath(*package.split(".")[1:]), "*.py")
    paths = sorted((path for path in folder.glob(pattern) if path.name[0] != "_"), key=lambda path: path.name)
    return tuple((path, ".".join([package, *path.relative_to(folder).with_suffix("").parts])) for path in paths)


@cache
def families() -> frozenset[str]:
    """Those that baselines which ship are of."""
    return frozenset(literals(folder)["FAMILY"] for folder in BASELINES.glob("*/__init__.py"))


def names(kind: str) -> list[str]:
    return list(entries(kind))


def find(kind: str, name: str) -> Entry:
    """The member called `name`.

    Raises:
        GenbenchError: there is none, with the nearest name; or it cannot be used, with the reason.
    """
    known = entries(kind)
    if spelt(name) in known:
        return known[spelt(name)]
    raise absent(kind[:-1], name, known, [kind])


def absent(what: str, name: str, known: Iterable[str], kinds: Iterable[str] = KINDS) -> GenbenchError:
    """The error for a name that is none of the known: why its plugin cannot be used, or the nearest name."""
    for kind in kinds:
        if why := scan(kind)[1].get(spelt(name)):
            return GenbenchError(why, REMEDY)
    return unknown(what, name, known)


REMEDY = "Fix or remove the plugin; the rest of the catalog works without it."


def load(kind: str, name: str) -> ModuleType:
    """The imported module of a member.

    Raises:
        GenbenchError: no such member, or importing it failed.
    """
    entry = find(kind, name)
    try:
        module = imported(entry)
    except MemoryError:  # which is nobody's mistake
        raise
    except Exception as error:
        raise GenbenchError(
            f"{kind[:-1]} '{name}' of {entry.origin} cannot be imported: {type(error).__name__}: {error}", REMEDY
        ) from error
    if not callable(getattr(module, MARKS[kind], None)):
        raise GenbenchError(
            f"{kind[:-1]} '{name}' of {entry.origin} defines no {MARKS[kind]}()", "See CONTRIBUTING.md."
        )
    return module


read_at_import: set[str] = set()  # by baselines and metrics from outside: no identity holds it


def imported(entry: Entry) -> ModuleType:
    if entry.origin == "genbench" or entry.kind not in ("baselines", "metrics"):
        return imported_once(entry)
    from genbench.models.fingerprint import hashed
    from genbench.models.witness import watching

    with watching() as read:
        module = imported_once(entry)
    if read:
        read_at_import.update(read - hashed())
    return module


def imported_once(entry: Entry) -> ModuleType:
    if entry.module is None:
        assert entry.path is not None
        return import_file(entry.path)
    if entry.module in sys.modules:
        return sys.modules[entry.module]
    with running(entry.module):
        return importlib.import_module(entry.module)


def trained(name: str) -> Entry:
    """The member that `genbench train` knows by this name: a baseline, or an extractor trained here."""
    is_extractor = name in entries("extractors") and name not in entries("baselines")
    return find("extractors" if is_extractor else "baselines", name)


def trainable(name: str) -> ModuleType:
    """The module whose `build` makes the network called `name`: a baseline, or an extractor trained here."""
    module = load(trained(name).kind, name)
    if not hasattr(module, "build"):
        raise GenbenchError(f"extractor '{name}' is not trained here", "Its weights come with it or are downloaded.")
    return module


def options_of(name: str) -> dict[str, Any]:
    """The options of a baseline with their defaults, in order: what its `build` takes by name beside the space.

    `build` is a class, a function, or a `partial` of one, whose keywords are then the defaults.
    """
    options = list(inspect.signature(trainable(name).build).parameters.values())[1:]
    return {p.name: p.default for p in options if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}


def build(name: str, space: Space, options: dict[str, Any]) -> torch.nn.Module:
    """A new model of baseline `name` for `space`.

    Raises:
        GenbenchError: no such baseline or option, an option of another type, or the baseline cannot model that space.
    """
    known, make = options_of(name), trainable(name).build
    types = annotations_of(make)
    for key, value in options.items():
        if key not in known:
            raise unknown(f"option of baseline '{name}'", key, known)
        try:
            if key in types:
                reading.shape_of(types[key]).read(value, key)
            if type(known[key]) is int and known[key] >= 0:  # it counts something
                reading.shape_of(Annotated[int, reading.Within(0)]).read(value, key)
        except reading.Malformed as error:
            raise GenbenchError(
                f"option of baseline '{name}': {error}", f"`genbench describe {name}` shows its options."
            ) from error
    try:
        return make(space, **options)
    except GenbenchError:
        raise
    except Exception as error:  # with options that cannot be, constructors raise many kinds
        raise GenbenchError(
            f"baseline '{name}' cannot be built for {space}: {error or type(error).__name__}",
            f"`genbench describe {name}` shows its options and spaces.",
        ) from error


def annotations_of(function: Any) -> dict[str, Any]:
    """The types of a callable's arguments, as far as it declares types that the reader knows."""
    try:
        parameters = inspect.signature(function, eval_str=True).parameters
    except Exception:  # a plugin may annotate as it likes
        return {}
    found = {}
    for name, parameter in parameters.items():
        with contextlib.suppress(TypeError):
            reading.shape_of(parameter.annotation)
            found[name] = parameter.annotation
    return found
