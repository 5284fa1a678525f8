"""What code reaches besides its text: values of modules and classes, defaults, variables of the environment.

A model's source may be the same, and its parameters too, while a number that it reads from its module is another: the
module may have taken it from a file, from the environment, or from a module that no statement of the text imports. So
from the object on everything is followed that its own functions name, and what is no code is read as state is.

Own is what no package manager has installed, and not genbench itself: what those do has versions.
"""

from __future__ import annotations

import argparse
import ast
import builtins
import enum
import functools
import hashlib
import inspect
import logging
import os
import re
import sys
import types
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

from genbench.models.compiled import reached, unseen
from genbench.models.fingerprint import (
    Unknown,
    code_of,
    declared,
    files_of,
    installed,
    pieces,
    state_of,
    what_is_unknown,
)

PLAIN = type("Plain", (), {}).__basicsize__  # of an object that has attributes, and nothing compiled beside them
DECLARED = "declared"  # in place of a hash, where an object says itself what decides its values
HERE = Path(__file__).resolve().parents[1]


def around(found: Any, file: Path, model: Any) -> str:
    """sha256 of what the code of a model reaches.

    Arguments:
        found: the object that was named: a class, a function that makes the model, or the model itself.
        file: the source that its code was hashed from.

    Raises:
        Unknown: something of it cannot be read, with its name.
    """
    reach = Reach(file)
    if isinstance(found, type | types.FunctionType):
        reach.follow(found, found.__qualname__)
    for part in model.modules() if hasattr(model, "modules") else [model]:  # whose state is known already
        reach.follow(type(part), type(part).__qualname__)
        for name, value in vars(part).items() if hasattr(part, "__dict__") else ():
            if isinstance(value, types.FunctionType):
                reach.follow(value, name)
    files = sorted(reach.files - reach.hashed)
    if library := reached({*reach.hashed, *files}):
        raise Unknown(unseen(library))
    codes = [f"code {code_of(one)}\0".encode() for one in files]
    variables = environment_of({*reach.hashed, *files})
    releases = [f"release {one}\0".encode() for one in sorted(reach.releases)]
    return hashlib.sha256(b"".join([*reach.parts, *codes, *releases, *variables])).hexdigest()


class Reach:
    """What was found so far.

    Arguments:
        file: the source that was hashed, whose project is `hashed`.
    """

    def __init__(self, file: Path) -> None:
        self.hashed = files_of(file)
        self.files: set[Path] = set()
        self.releases: set[str] = set()  # of the installed packages whose code is called
        self.parts: list[bytes] = []
        # By identity, numbered; what was seen is kept alive, so that no identity comes twice.
        self.seen: dict[int, tuple[int, Any]] = {}

    def follow(self, value: Any, name: str) -> None:
        """Adds a value that own code reaches under a name, with all that it reaches itself.

        Raises:
            Unknown: it cannot be read.
        """
        if id(value) in self.seen:
            self.parts.append(f"{name} again {self.seen[id(value)][0]}\0".encode())
            return
        self.seen[id(value)] = len(self.seen), value
        torch = sys.modules.get("torch")
        match value:
            case types.ModuleType():
                self.installed(value.__name__)  # of it what is named is followed
            case logging.Logger() | types.GenericAlias():
                pass  # neither changes a value
            case types.FunctionType():
                self.function(value)
            case types.MethodType():
                self.follow(value.__func__, name)
                self.follow(value.__self__, name)
            case staticmethod() | classmethod():
                self.follow(value.__func__, name)
            case property():
                for part in (value.fget, value.fset):
                    self.follow(part, name)
            case functools.cached_property():
                self.follow(value.func, name)
            case functools.partial():
                self.each((value.func, value.args, value.keywords), name)
            case enum.Enum():
                self.parts.append(f"{name} {value!r}\0".encode())
            case type():
                self.kind(value)
            case PurePath():
                self.parts.append(f"{name} path {value}\0".encode())
            case re.Pattern():
                self.parts.append(f"{name} {value.pattern!r} {value.flags}\0".encode())
            case dict():
                self.parts.append(f"{name} {type(value).__name__} {len(value)}\0".encode())
                self.each([one for pair in value.items() for one in pair], name)
            case list() | tuple():
                self.parts.append(f"{name} {type(value).__name__} {len(value)}\0".encode())
                self.each(value, name)
            case argparse.Namespace() | types.SimpleNamespace():
                self.follow(vars(value), name)
            case _ if callable(value) and not hasattr(value, "__dict__"):  # compiled
                self.parts.append(f"{name} {getattr(value, '__qualname__', type(value).__qualname__)}\0".encode())
            case _ if wrapped(value):  # functools.cache and the like
                self.follow(value.__wrapped__, name)
            case _ if torch is not None and isinstance(value, torch.nn.Module):
                for module in value.modules():
                    self.follow(type(module), name)
                self.leaf(value, name, torch)
            case _ if attributes_alone(value):
                self.follow(type(value), name)
                self.follow(vars(value), name)
            case _:
                self.leaf(value, name, torch)

    def each(self, values: Iterable[Any], name: str) -> None:
        for value in values:
            self.follow(value, name)

    def leaf(self, value: Any, name: str, torch: Any) -> None:
        del self.seen[id(value)]  # numbers are shared; each place where one stands counts
        try:
            self.parts += [f"{name}\0".encode(), *pieces(value, torch, {})]
        except Unknown as unknown:
            raise Unknown(f"{name}, a {type(value).__name__}") from unknown

    def function(self, function: types.FunctionType) -> None:
        """A function with its defaults, what it is closed over, and what it names of its module."""
        file = own(function.__code__.co_filename)
        if (inner := getattr(function, "__wrapped__", None)) is not None:
            self.follow(inner, function.__qualname__)
        if file is None:
            self.installed(function.__module__)
            self.parts.append(f"function {function.__module__}.{function.__qualname__}\0".encode())
            for cell in function.__closure__ or ():  # of a decorator: the function that it was given
                if not empty(cell) and isinstance(cell.cell_contents, types.FunctionType):
                    self.follow(cell.cell_contents, function.__qualname__)
            return
        self.files.add(file)
        name = function.__qualname__
        self.parts.append(f"function {name}\0".encode())
        self.each([function.__defaults__, function.__kwdefaults__], f"a default of {name}")
        for cell in function.__closure__ or ():
            if not empty(cell):
                self.follow(cell.cell_contents, f"what {name} is closed over")
        names = names_in(function.__code__)
        for one in sorted(names & function.__globals__.keys()):
            value = function.__globals__[one]
            self.follow(value, one)
            if isinstance(value, types.ModuleType) and own(getattr(value, "__file__", None) or "") is not None:
                self.module(value, names)

    def module(self, module: types.ModuleType, names: set[str]) -> None:
        """What is named of an own module, `config.SCALE`; of a package also of the modules in it."""
        for one in sorted(names & vars(module).keys()):
            value = vars(module)[one]
            before = id(value) in self.seen
            self.follow(value, f"{module.__name__}.{one}")
            if isinstance(value, types.ModuleType) and not before and own(getattr(value, "__file__", None) or ""):
                self.module(value, names)

    def installed(self, module: str) -> None:
        """Notes the version of an installed package. Those of torch and NumPy, whatever runs, stand in every record."""
        top = (module or "").partition(".")[0]
        said = getattr(sys.modules.get(top), "__version__", None)
        if isinstance(said, str) and top not in ("torch", "numpy", "genbench"):
            self.releases.add(f"{top} {said}")

    def kind(self, kind: type) -> None:
        """A class with its methods and values, and those of the classes that it derives from."""
        self.parts.append(f"class {kind.__module__}.{kind.__qualname__}\0".encode())
        for base in kind.__mro__[1:]:
            if file_of(base) is not None:
                self.follow(base, base.__qualname__)
        if (file := file_of(kind)) is None:
            self.installed(kind.__module__)
            return
        self.files.add(file)
        for name, value in vars(kind).items():
            if (callable(value) or not name.startswith("__")) and not name.startswith("_abc_") and not is_slot(value):
                self.follow(value, f"{kind.__qualname__}.{name}")


def own(file: str) -> Path | None:
    """A source that is the user's own: neither installed nor of genbench, nor made up by an interpreter."""
    path = Path(file)
    if not file.endswith(".py") or not path.is_file():
        return None
    path = path.resolve()
    return None if path.is_relative_to(HERE) or installed(path) else path


def file_of(kind: type) -> Path | None:
    """The source of an own class, None for others."""
    return own(getattr(sys.modules.get(kind.__module__), "__file__", None) or "")


def wrapped(value: Any) -> bool:
    return callable(value) and isinstance(getattr(value, "__wrapped__", None), types.FunctionType)


def is_slot(value: Any) -> bool:
    """A descriptor that the interpreter makes: of a slot, of `__dict__`, of the field of a named tuple."""
    return inspect.isdatadescriptor(value) and not isinstance(value, property) and not hasattr(value, "__dict__")


def attributes_alone(value: Any) -> bool:
    """An object of classes in Python, whose attributes are all that it holds."""
    kind = type(value)
    return kind.__basicsize__ == PLAIN and hasattr(value, "__dict__") and kind.__module__ != builtins.__name__


def empty(cell: types.CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return True
    return False


def names_in(code: types.CodeType) -> set[str]:
    """The names that a function looks up, of globals and of attributes, with those of the functions in it."""
    inner = (names_in(one) for one in code.co_consts if isinstance(one, types.CodeType))
    return set(code.co_names).union(*inner)


# --- The environment


def environment_of(files: Iterable[Path]) -> Iterator[bytes]:
    """The variables of the environment that sources name, with their values.

    Raises:
        Unknown: one reads the environment in another way than by a name that stands there.
    """
    named: set[str] = set()
    for file in sorted(files):
        named |= set(variables_in(ast.parse(file.read_text(encoding="utf-8")), file.name))
    for name in sorted(named):
        yield f"variable {name} {os.environ.get(name)!r}\0".encode()


def environment_read(file: Path) -> str:
    """sha256 of the variables that a plugin reads by name and does not set itself, "" where it reads none."""
    named: set[str] = set()
    for one in files_of(file):
        with suppress(Unknown):
            named |= set(variables_in(tree := ast.parse(one.read_text(encoding="utf-8")), one.name)) - set(set_in(tree))
    said = [f"variable {name} {os.environ.get(name)!r}" for name in sorted(named)]
    return hashlib.sha256("\0".join(said).encode()).hexdigest() if said else ""


def set_in(tree: ast.Module) -> Iterator[str]:
    """The names of the variables that a source sets itself."""
    for node in ast.walk(tree):
        match node:
            case ast.Subscript(value=where, slice=ast.Constant(value=str(name)), ctx=ast.Store()) if is_environ(where):
                yield name
            case ast.Call(
                func=ast.Attribute(value=where, attr="setdefault"), args=[ast.Constant(value=str(name)), *_]
            ) if is_environ(where):
                yield name


def variables_in(tree: ast.Module, who: str) -> Iterator[str]:
    """The names of the variables that a source reads or writes by `os.environ` and `os.getenv`.

    Raises:
        Unknown: one whose name is computed, or all of them.
    """
    known: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module="os", names=names) if any(
                one.asname not in (None, one.name) and one.name in ("environ", "environb", "getenv", "getenvb")
                for one in names
            ):
                raise Unknown(f"the environment, which {who} calls by another name")
            case ast.Subscript(value=where, slice=ast.Constant(value=str(name))) if is_environ(where):
                known.add(id(where))
                yield name
            case ast.Call(func=ast.Attribute(value=where), args=[ast.Constant(value=str(name)), *_]) if is_environ(
                where
            ):
                known.add(id(where))
                yield name
            case ast.Call(func=where, args=[ast.Constant(value=str(name)), *_]) if is_getenv(where):
                known.add(id(where))
                yield name
            case ast.Compare(left=ast.Constant(value=str(name)), comparators=[where]) if is_environ(where):
                known.add(id(where))
                yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.expr) and (is_environ(node) or is_getenv(node)) and id(node) not in known:
            raise Unknown(f"the environment, which {who} reads by no name that stands there")


def is_environ(node: ast.expr) -> bool:
    return last_name(node) in ("environ", "environb")


def is_getenv(node: ast.expr) -> bool:
    return last_name(node) in ("getenv", "getenvb")


def last_name(node: ast.expr) -> str:
    """`environ` of `os.environ` and of `environ`."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def known_of(found: Any, file: Path | None, model: Any) -> tuple[str | None, str | None, str]:
    """Of a model in code the hash of its state and that of what its code reaches, each None where it is not known; and
    what is not known, in words.

    Arguments:
        found: what makes the model, or the model itself.
        file: the source of its code, None where it has none.
    """
    state = state_of(model)
    if declared(model):  # stands for all of it
        return state, DECLARED, ""
    if state is None:
        return None, None, what_is_unknown(model)
    if file is None:
        return state, None, "its code, which lies in no file"
    try:
        return state, around(found, file, model), ""
    except (Unknown, SyntaxError, UnicodeDecodeError, OSError, RecursionError) as error:
        return state, None, str(error)
