"""Code of somebody else is found and imported: a file as `python FILE.py` would, a module as `python -m MODULE` would.

A file's folder stands first on `sys.path` while the file is imported, and stays there, so that what it imports later is
found too, also by a child process, which inherits the path. Two folders may hold modules of one name: entering a folder
takes those of the others out of sight, and puts its own back.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import ModuleType

from genbench.errors import ModelError
from genbench.files import sha256_file
from genbench.models.witness import have_compiled_code_tell


@contextmanager
def prints_on_stderr() -> Iterator[None]:
    """stdout belongs to results: what code within prints goes to stderr, and so does what its child processes print,
    and compiled code, which know file descriptors only.
    """
    with redirect_stdout(sys.stderr), ExitStack() as undo:
        with suppress(OSError):  # one of them is closed
            stdout = os.dup(1)
            undo.callback(os.close, stdout)
            os.dup2(2, 1)
            undo.callback(os.dup2, stdout, 1)
            undo.callback(flush_compiled)
        yield


def flush_compiled() -> None:
    """Has compiled code write what it holds back, while stdout is not the results'."""
    with suppress(OSError, TypeError, AttributeError):  # no C library by this name
        ctypes.CDLL(None).fflush(None)


@contextmanager
def running(what: str) -> Iterator[None]:
    """Runs foreign code by itself: no arguments of ours, its prints on stderr, and its exit an exception.

    Raises:
        ModelError: the code calls `sys.exit`.
    """
    argv, sys.argv = sys.argv, [what]
    try:
        with prints_on_stderr():
            yield
    except SystemExit as stop:
        raise ModelError(f"{what} calls sys.exit({stop.code!r})") from stop
    finally:
        sys.argv = argv


@dataclass
class Project:
    """A folder that stands on `sys.path` for the code in it.

    Arguments:
        others: names of modules that were imported before, and are not its own wherever they lie.
        hidden: its modules while they are out of sight.
    """

    folder: Path
    others: frozenset[str]
    hidden: dict[str, ModuleType] = field(default_factory=dict)

    def own(self) -> dict[str, ModuleType]:
        """The modules in sight that were found in the folder, with their submodules."""
        modules = list(sys.modules.items())
        tops = {name for name, module in modules if "." not in name and self.holds(name, module)}
        return {name: module for name, module in modules if name.partition(".")[0] in tops} if tops else {}

    def holds(self, name: str, module: ModuleType) -> bool:
        spec = getattr(module, "__spec__", None)
        if name in self.others or not isinstance(spec, ModuleSpec):
            return False
        if spec.has_location and spec.origin:
            if not spec.origin.startswith(str(self.folder)):  # nearly all of them, in a fraction of the time
                return False
            file = Path(spec.origin)
            return (file.parents[1] if file.stem == "__init__" else file.parent) == self.folder
        return str(self.folder / name) in (spec.submodule_search_locations or ())  # a package without __init__.py

    def has(self, name: str) -> bool:
        """Whether `import name` finds something in the folder."""
        return name in self.hidden or PathFinder.find_spec(name, [str(self.folder)]) is not None

    def hide(self, names: set[str]) -> None:
        """Takes its modules of these names out of sight."""
        for name in self.own():
            if name.partition(".")[0] in names:
                self.hidden[name] = sys.modules.pop(name)

    def files(self) -> set[Path]:
        """The sources of its modules."""
        named = {getattr(module, "__file__", None) for module in [*self.own().values(), *self.hidden.values()]}
        return {Path(file) for file in named if file and os.path.isfile(file)}

    def refresh(self) -> None:
        """Forgets its modules if the source of one has changed since it was imported."""
        read = {file: _read[file] for file in self.files() if file in _read}
        if any(sha256_file(file) != sha256 for file, sha256 in read.items()):
            for name in self.own():
                del sys.modules[name]
            self.hidden = {}


class FromSource(SourceFileLoader):
    """Compiles what a source holds now, and remembers it.

    Byte code is neither read nor written: it knows its source by the second and the size, and an edit may keep both.
    Age alone would not do either: the clock of a file system is coarser than two edits are apart, and a copy keeps it.
    """

    def path_stats(self, path: str) -> Mapping[str, float]:
        raise OSError("no byte code belongs to it")

    def get_data(self, path: str) -> bytes:
        data = super().get_data(path)
        if path == self.path:
            _read[Path(path)] = hashlib.sha256(data).hexdigest()
        return data


class InFolders(PathFinder):
    """The finder of Python itself, which has the sources in the folders that were entered loaded `FromSource`."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec, top = super().find_spec(fullname, path, target), fullname.partition(".")[0]
        file = source_of(spec)
        if (
            spec is not None
            and file is not None
            and any(file == folder / f"{top}.py" or folder / top in file.parents for folder in _projects)
        ):  # and not what is installed somewhere below
            spec.loader = FromSource(fullname, str(file))
        return spec


_projects: dict[Path, Project] = {}  # the one in use last
_read: dict[Path, str] = {}  # sha256 of a source when it was imported
sys.meta_path.insert(sys.meta_path.index(PathFinder), InFolders)


def enter(folder: Path) -> Project:
    """Puts a folder first on `sys.path` and its modules in sight, and hides those of other folders that bear a name of
    one of its own.
    """
    folder = folder.resolve()
    project = _projects.get(folder)
    if project is None:
        known = Project(folder, frozenset())
        project = Project(folder, frozenset(name.partition(".")[0] for name in known.own()))
    if folder != next(reversed(_projects), None) or project.hidden:
        _projects.pop(folder, None)
        for other in _projects.values():
            tops = {name.partition(".")[0] for name in other.own()}
            other.hide({name for name in tops if project.has(name)})
        sys.modules.update(project.hidden)
        project.hidden.clear()
        _projects[folder] = project
    on_path()
    importlib.invalidate_caches()  # a file may be younger than the last look at its folder
    return project


def on_path() -> None:
    """Has the folders that were entered stand first on `sys.path`, the one in use before the others."""
    folders = [str(folder) for folder in reversed(_projects)]
    if sys.path[: len(folders)] != folders:
        sys.path[:] = [*folders, *(entry for entry in sys.path if entry not in folders)]


@contextmanager
def within(folder: Path) -> Iterator[Project]:
    """Enters a folder, and afterwards the one that was in use."""
    before = next(reversed(_projects), None)
    project = enter(folder)
    try:
        yield project
    finally:
        if before is not None and before != project.folder:
            enter(before)


def import_file(path: Path) -> ModuleType:
    """Imports a source file, once, and again when it or a module beside it has changed.

    Raises:
        ModelError: it calls `sys.exit`.
        Exception: whatever else its code raises.
    """
    have_compiled_code_tell()
    path = path.resolve()
    with within(path.parent) as project:
        project.refresh()
        name = module_name(path)
        if name not in sys.modules:
            spec = importlib.util.spec_from_file_location(name, path, loader=FromSource(name, str(path)))
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            try:
                with running(str(path)):
                    spec.loader.exec_module(module)
            except BaseException:
                sys.modules.pop(name, None)
                raise
        return sys.modules[name]


def import_module(name: str) -> ModuleType:
    """Imports a module, from the current folder before all others, and again when one in that folder has changed.

    Raises:
        ModelError: it calls `sys.exit`.
        Exception: whatever else its code raises.
    """
    have_compiled_code_tell()
    with within(Path.cwd()) as project, running(name):
        project.refresh()
        return importlib.import_module(name)


def module_name(path: Path) -> str:
    """The name that a file's folder gives it, by which a child process finds it too; where that is not free, its own.

    It is not free if it is that of a module which other code imports, or if the folder means something else by it.
    """
    stem, project = path.stem, _projects[path.parent]
    loaded = sys.modules.get(stem)
    if "." not in stem and (loaded is None or project.holds(stem, loaded)):
        spec = PathFinder.find_spec(stem, [str(path.parent)])
        if spec is not None and spec.origin == str(path):
            return stem
    return f"genbench_file_{stem.replace('.', '_')}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def source_file(where: str) -> Path | None:
    """The source of a `.py` file or of a module, None where there is none.

    A module is looked for in the current folder, then on `sys.path`; the packages that it lies in are not run.
    """
    if where.endswith(".py"):
        return Path(where) if os.path.isfile(where) else None
    importlib.invalidate_caches()
    path: list[str] = [str(Path.cwd()), *sys.path]
    spec, parts = None, where.split(".")
    for i in range(1, len(parts) + 1):
        name = ".".join(parts[:i])
        found = (finder.find_spec(name, path) for finder in sys.meta_path)
        spec = next((one for one in found if one is not None), None)
        if spec is None:
            return None
        # A package that has made its own path, and is imported, knows better than its spec.
        path = list(spec.submodule_search_locations or getattr(sys.modules.get(name), "__path__", []))
    return source_of(spec)


def source_of(spec: ModuleSpec | None) -> Path | None:
    """The `.py` file behind a spec, None for what is compiled, built in, or a package without `__init__.py`."""
    path = Path(spec.origin) if spec is not None and spec.origin else None
    return path if path and path.suffix == ".py" and os.path.isfile(path) else None
