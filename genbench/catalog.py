"""The catalog finds baselines, datasets, metrics, extractors, adapters and suites by where they are.

A member is a file: `baselines/FAMILY/*.py`, `genbench/datasets/*.py`, `genbench/metrics/*.py`,
`genbench/features/*.py`, `genbench/models/adapters/*.py`, `genbench/suites/*.toml`; a leading underscore hides a
file. Outside members come from entry points (`genbench.baselines`, ...) and from `use_plugin`. Listing imports
nothing: the first line of the docstring and the constants are read from the source.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import sys
import typing
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any

import genbench.baselines
from genbench import reading
from genbench.errors import GenbenchError, unknown
from genbench.space import Space

if TYPE_CHECKING:
    import torch

HERE = Path(__file__).parent
BASELINES = Path(genbench.baselines.__path__[0])  # with the checkpoints that ship, by dataset
PACKAGES = {
    "baselines": "genbench.baselines",
    "datasets": "genbench.datasets",
    "metrics": "genbench.metrics",
    "extractors": "genbench.features",
    "adapters": "genbench.models.adapters",
}
KINDS = (*PACKAGES, "suites")
# What a plugin file defines says what it is.
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
    """

    name: str
    kind: str
    module: str | None
    path: Path | None
    origin: str

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
        package = self.path.with_name("__init__.py")
        return literals(package).get("FAMILY", "other") if package.is_file() else "other"

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The parameters of a metric's `compute` that have a default, which has to be a literal."""
        assert self.path is not None
        for node in ast.parse(self.path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name == "compute":
                arguments = node.args
                late = arguments.args[len(arguments.args) - len(arguments.defaults) :]
                pairs = [*zip(late, arguments.defaults, strict=True)]
                pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d]
                return {a.arg: ast.literal_eval(d) for a, d in pairs}
        return {}

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


def literals(path: Path) -> dict[str, Any]:
    """The literal constants at the top level of a source file, and `__doc__`; runs none of it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: dict[str, Any] = {"__doc__": ast.get_docstring(tree) or ""}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = ast.literal_eval(node.value)
            except ValueError:
                continue
    return found


_plugins: list[Path] = []


def use_plugin(plugin: str) -> None:
    """Adds the members in a file, or in an importable module, to the catalog of this process.

    Raises:
        GenbenchError: no such file or module, or it defines no member.
    """
    path = source_file(plugin)
    if path is None:
        raise GenbenchError(f"no plugin at {plugin}", "Give a .py file or an importable module.")
    if kind_of(path) is None:
        marks = ", ".join(f"{mark}() ({kind})" for kind, mark in MARKS.items())
        raise GenbenchError(
            f"{path} defines no member of the catalog", f"It needs one of {marks}; see CONTRIBUTING.md."
        )
    if path.resolve() not in _plugins:
        _plugins.append(path.resolve())


def source_file(where: str) -> Path | None:
    """The source of a `.py` file or of an importable module, None where there is none; runs none of it."""
    path = Path(where)
    if path.suffix != ".py":
        try:
            spec = importlib.util.find_spec(where)
        except (ImportError, ValueError):
            return None
        if spec is None or spec.origin is None:
            return None
        path = Path(spec.origin)
    return path if path.is_file() else None


def kind_of(path: Path) -> str | None:
    """The kind of member that a source file defines, read without running it."""
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        raise GenbenchError(f"{path} is not valid Python: {error}", "Mend it, then try again.") from error
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    return next((kind for kind, mark in MARKS.items() if mark in functions), None)


def entries(kind: str) -> dict[str, Entry]:
    """Every member of a kind by name, built-ins first; they win a clash of names."""
    if kind == "suites":
        return {p.stem: Entry(p.stem, kind, None, p, "genbench") for p in sorted((HERE / "suites").glob("*.toml"))}
    found = {}
    for path, module in sources(kind):
        name = path.stem.replace("_", "-")
        found[name] = Entry(name, kind, module, path, "genbench")
    for point in entry_points(group=f"genbench.{kind}"):
        try:
            spec = importlib.util.find_spec(point.module)
        except ImportError:
            spec = None
        path_ = Path(spec.origin) if spec and spec.origin else None
        origin = point.dist.name if point.dist else "unknown"
        add(found, Entry(point.name, kind, point.module, path_, origin))
    for path in _plugins:
        if kind_of(path) == kind:
            add(found, Entry(path.stem.replace("_", "-"), kind, None, path, str(path)))
    return found


def sources(kind: str) -> Iterator[tuple[Path, str]]:
    """Every built-in member's source file and module, in the order of their names; baselines lie in family folders."""
    package = PACKAGES[kind]
    folder, pattern = (BASELINES, "*/*.py") if kind == "baselines" else (HERE.joinpath(*package.split(".")[1:]), "*.py")
    for path in sorted(folder.glob(pattern), key=lambda path: path.name):
        if not path.name.startswith("_"):
            yield path, ".".join([package, *path.relative_to(folder).with_suffix("").parts])


def add(found: dict[str, Entry], entry: Entry) -> None:
    """Adds an outside member, unless a built-in has its name."""
    if entry.name in found:
        warnings.warn(
            f"{entry.kind[:-1]} '{entry.name}' of {entry.origin} is hidden by the one of {found[entry.name].origin}",
            stacklevel=2,
        )
    else:
        found[entry.name] = entry


def names(kind: str) -> list[str]:
    return list(entries(kind))


def find(kind: str, name: str) -> Entry:
    """The member called `name`; GenbenchError with the nearest name if there is none."""
    known = entries(kind)
    if name.replace("_", "-") in known:
        return known[name.replace("_", "-")]
    raise unknown(kind[:-1], name, known)


def load(kind: str, name: str) -> ModuleType:
    """The imported module of a member.

    Raises:
        GenbenchError: no such member, or importing it failed.
    """
    entry = find(kind, name)
    try:
        module = importlib.import_module(entry.module) if entry.module else import_file(entry.path)
    except Exception as error:
        raise GenbenchError(
            f"{kind[:-1]} '{name}' of {entry.origin} cannot be imported: {type(error).__name__}: {error}",
            "Mend or remove the plugin; the rest of the catalog works without it.",
        ) from error
    if not hasattr(module, MARKS[kind]):
        raise GenbenchError(
            f"{kind[:-1]} '{name}' of {entry.origin} defines no {MARKS[kind]}()", "See CONTRIBUTING.md."
        )
    return module


def import_file(path: Path | None) -> ModuleType:
    """Imports a source file under a name made from its path, once."""
    assert path is not None
    path = path.resolve()
    name = f"genbench_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def trainable(name: str) -> ModuleType:
    """The module whose `build` makes the network called `name`: a baseline, or an extractor trained here."""
    extractors = entries("extractors")
    is_extractor = name in extractors and name not in entries("baselines")
    module = load("extractors" if is_extractor else "baselines", name)
    if not hasattr(module, "build"):
        raise GenbenchError(f"extractor '{name}' is not trained here", "Its weights come with it or are downloaded.")
    return module


def options_of(name: str) -> dict[str, Any]:
    """The options of a baseline's `build` with their defaults, in order."""
    parameters = list(inspect.signature(trainable(name).build).parameters.values())
    return {p.name: p.default for p in parameters[1:]}


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
    """The types of a function's arguments, as far as it declares types that the reader knows."""
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # a plugin may annotate as it likes
        return {}
    found = {}
    for name, hint in hints.items():
        with contextlib.suppress(TypeError):
            reading.shape_of(hint)
            found[name] = hint
    return found
