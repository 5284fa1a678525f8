"""What decides a model in code: its source with the modules of its own project, and its state.

A number may be used again only if everything it was made of is the same. Code is read as a syntax tree without
docstrings and comments, so that prose orphans no number. State is what a `state_dict` holds and the plain attributes
beside it. Of an object that has neither that nor a declared `version` nobody knows what decides its values: `state_of`
then says None, and nothing that was measured of it is used again.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from genbench import catalog


def code_of(path: Path) -> str:
    """sha256 of a source file and of every module of its own project that it imports, directly or not.

    Its own project is what lies beside it, in the current folder or on PYTHONPATH, what is installed in place,
    and for an installed file its own top-level package. Installed packages stand in a record by their
    versions.
    """
    digest = hashlib.sha256()
    for name, tree in sorted(project(path.resolve()), key=lambda found: found[0]):
        digest.update(f"{name}\0{ast.dump(without_prose(tree))}\0".encode())
    return digest.hexdigest()


_hashed: set[str] = set()  # sources that this process has hashed into an identity


def hashed() -> set[str]:
    """The paths of all sources that stand in identities, those of plugins among them."""
    for plugin in catalog._plugins:
        with suppress(SyntaxError, OSError, ValueError):
            code_of(plugin)
    return _hashed


def files_of(path: Path) -> set[Path]:
    """The sources that `code_of` hashes."""
    return {file for file, _ in sources(path.resolve())}


def project(path: Path) -> Iterator[tuple[str, ast.Module]]:
    """The modules that a file consists of, each once: a name that does not depend on where the project lies, a tree."""
    for file, tree in sources(path):
        _hashed.add(str(file))
        yield (file.name if file == path else os.path.relpath(file, path.parent)), tree


def sources(path: Path) -> Iterator[tuple[Path, ast.Module]]:
    roots = [path.parent, *packages_above(path), *search_path()]
    waiting, seen = [path], {path}
    while waiting:
        file = waiting.pop()
        tree = ast.parse(file.read_text(encoding="utf-8"))
        yield file, tree
        for found in imported(tree, file, roots):
            if found not in seen:
                seen.add(found)
                waiting.append(found)


def packages_above(path: Path) -> list[Path]:
    """The folder from which a module inside packages is imported, where it is inside packages."""
    folder = path.parent
    while (folder / "__init__.py").is_file():
        folder = folder.parent
    return [folder]


def search_path() -> list[Path]:
    """Where a project's own modules are imported from: the current folder and PYTHONPATH, nothing that is installed."""
    named = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [Path.cwd(), *(Path(entry).resolve() for entry in named if entry)]


def imported(tree: ast.Module, file: Path, roots: list[Path]) -> Iterator[Path]:
    """The files of the project that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from found_at(alias.name.split("."), roots)
        elif isinstance(node, ast.ImportFrom):
            parts = node.module.split(".") if node.module else []
            where = roots if node.level == 0 else [file.parents[node.level - 1]]
            yield from found_at(parts, where)
            for alias in node.names:  # a name may be a module itself
                yield from found_at([*parts, alias.name], where)


def found_at(parts: list[str], roots: list[Path]) -> Iterator[Path]:
    """The files of a dotted module, with the packages it lies in, at the first root that has it.

    genbench's own are left out: what they do has versions.
    """
    for root in [*roots, *in_place(parts)] if parts[:1] != ["genbench"] else ():
        files = []
        for depth in range(1, len(parts) + 1):
            base = root.joinpath(*parts[:depth])
            files += [f for f in (base / "__init__.py", base.with_name(base.name + ".py")) if f.is_file()]
        if files:
            yield from (file.resolve() for file in files if not installed(file) or same_package(file, roots[0]))
            return


def in_place(parts: list[str]) -> Iterator[Path]:
    """The folder of a package that lies elsewhere and that the interpreter finds, by an editable installation say."""
    if not parts:
        return
    for finder in sys.meta_path:
        try:
            spec = finder.find_spec(parts[0], None)
        except Exception:  # finders are foreign code
            continue
        if spec is not None:
            for place in [*(spec.submodule_search_locations or ()), *([spec.origin] if spec.has_location else [])]:
                if place and os.path.exists(place):
                    yield Path(place).resolve().parent
            return


def installed(file: Path) -> bool:
    places = {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return any(file.resolve().is_relative_to(Path(place).resolve()) for place in places)


def same_package(file: Path, beside: Path) -> bool:
    """Whether an installed file belongs to the package of the one that is asked about."""
    return any(
        (folder / "__init__.py").is_file() and file.is_relative_to(folder) for folder in (beside, *beside.parents)
    )


def without_prose(tree: ast.Module) -> ast.Module:
    """The tree without docstrings; comments are in no tree."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return tree


def state_of(model: Any) -> str | None:
    """sha256 of a model's state, None where nobody knows what decides its values.

    A declared `version` (a string or a number) stands for all of it. A `torch.nn.Module` is known by its parameters,
    its buffers and its plain attributes; one with an attribute that is not plain (an open file, a closure, an object
    of unknown content) is not known.
    """
    if declared(model):
        return hashlib.sha256(f"version {model.version!r}".encode()).hexdigest()
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        return None
    digest = hashlib.sha256()
    try:
        for part in pieces(model, torch, {}):
            digest.update(part)
    except Unknown:
        return None
    return digest.hexdigest()


def declared(model: Any) -> bool:
    """Whether an object says by its `version` what decides its values."""
    return isinstance(getattr(model, "version", None), str | int | float)


def what_is_unknown(model: Any) -> str:
    """Of a model without a known state, in words, what of it cannot be read."""
    torch = sys.modules.get("torch")
    if torch is None or not isinstance(model, torch.nn.Module):
        return f"the object, a {type(model).__name__} that is no torch.nn.Module"
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            try:
                list(pieces(value, torch, {}))
            except Unknown:
                if not key.startswith("_modules"):
                    return f"{name or type(model).__name__}.{key}, a {type(value).__name__}"
    return "its state"


class Unknown(Exception):
    """Something whose content cannot be read, in words."""


def pieces(value: Any, torch: Any, seen: dict[int, int]) -> Iterator[bytes]:
    """The content of a value as bytes, each with its type, so that no two contents give the same.

    Arguments:
        seen: by identity, the containers met so far, numbered.

    Raises:
        Unknown: its content cannot be read.
    """
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        yield f"{type(value).__name__} {value!r}\0".encode()
    elif isinstance(value, torch.Tensor):
        yield from tensor_pieces(value.detach().cpu(), torch)
    elif isinstance(value, torch.dtype | torch.device | torch.Size):
        yield f"{value!r}\0".encode()
    elif isinstance(value, torch.Generator):
        yield from pieces(value.get_state(), torch, seen)
    elif isinstance(value, np.ndarray) and value.dtype.kind in "biufcSU":
        yield f"array {value.dtype.str} {value.shape}\0".encode() + np.ascontiguousarray(value).tobytes()
    elif isinstance(value, np.generic):
        yield from pieces(value.item(), torch, seen)
    elif isinstance(value, list | tuple | dict | set | frozenset):
        yield from container_pieces(value, torch, seen)
    elif isinstance(value, torch.nn.Module):
        yield f"module {type(value).__qualname__}\0".encode()
        yield from pieces(vars(value), torch, seen)
    elif isinstance(value, type) or is_plain_function(value):
        yield f"name {value.__qualname__}\0".encode()
    elif hasattr(value, "__dataclass_fields__"):
        yield f"dataclass {type(value).__qualname__}\0".encode()
        for name in value.__dataclass_fields__:
            yield from pieces(getattr(value, name), torch, seen)
    else:
        raise Unknown


def tensor_pieces(value: Any, torch: Any) -> Iterator[bytes]:
    if value.layout is not torch.strided or value.is_quantized:
        raise Unknown
    yield f"tensor {value.dtype} {tuple(value.shape)}\0".encode()
    yield value.contiguous().flatten().view(torch.uint8).numpy().tobytes() if value.numel() else b""


def container_pieces(value: Any, torch: Any, seen: dict[int, int]) -> Iterator[bytes]:
    if id(value) in seen:  # the same object again, perhaps around a circle
        yield f"again {seen[id(value)]}\0".encode()
        return
    seen[id(value)] = len(seen)
    yield f"{type(value).__name__} {len(value)}\0".encode()
    if isinstance(value, dict):
        for key, content in value.items():
            yield from pieces(key, torch, seen)
            yield from pieces(content, torch, seen)
    elif isinstance(value, set | frozenset):
        yield from sorted(b"".join(pieces(one, torch, seen)) for one in value)
    else:
        for one in value:
            yield from pieces(one, torch, seen)


def is_plain_function(value: Any) -> bool:
    """A function that its code decides: no method of an object, and nothing closed over or given as a default."""
    return (
        callable(value)
        and hasattr(value, "__qualname__")
        and hasattr(value, "__module__")
        and getattr(value, "__self__", None) is None
        and not getattr(value, "__closure__", None)
        and not getattr(value, "__defaults__", None)
        and "<" not in value.__qualname__
    )
