"""Compiled libraries that own code reaches. What they open by themselves no interpreter hears of (`witness.py`).

A file read so may be another the next time, and nothing would say so. So what may rest on it is not used again, unless
the object declares its `version`. In `HARMLESS` stand those that open no files but through Python, or are made to tell.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

HARMLESS = frozenset(
    """
    PIL _yaml charset_normalizer contourpy functorch genbench joblib kiwisolver markupsafe matplotlib mpl_toolkits
    mpmath msgpack networkx numpy orjson pydantic_core regex safetensors scipy sklearn sympy threadpoolctl torch
    torchgen torchvision tqdm triton ujson yaml
    """.split()  # noqa: SIM905
)
DOORS = frozenset({"_ctypes", "_dbm", "_gdbm", "ctypes", "dbm"})  # of Python itself, to what any library opens


def harmless(top: str) -> bool:
    return top in HARMLESS or (top in sys.stdlib_module_names and top not in DOORS)


def unseen(library: str) -> str:
    """In words, what counts as read where a library may have opened files."""
    return f"what {library}, a compiled library, opens unseen"


def is_compiled(origin: object) -> bool:
    return isinstance(origin, str) and origin.endswith(tuple(EXTENSION_SUFFIXES))


def reached(files: Iterable[Path]) -> str:
    """The first compiled library that sources reach, by what they import and what that holds; "" where there is none.

    Arguments:
        files: of one project, as `fingerprint.files_of` has them.
    """
    loaded: dict[str, list[ModuleType]] = {}
    for name, module in list(sys.modules.items()):
        loaded.setdefault(name.partition(".")[0], []).append(module)
    own = {str(file) for file in files}
    waiting = {top for file in sorted(own) for top in imported(Path(file))}
    for modules in loaded.values():
        waiting |= {top for one in modules if getattr(one, "__file__", None) in own for top in held(one)}
    seen: set[str] = set()
    while waiting := waiting - seen:
        for top in sorted(waiting):
            seen.add(top)
            if harmless(top):
                continue
            if top in DOORS or any(is_compiled(place) for place in places(top, loaded.get(top, []))):
                return top
            waiting = waiting | {one for module in loaded.get(top, []) for one in held(module)}
    return ""


def imported(file: Path) -> Iterator[str]:
    """The top-level names that a source imports, at its top or as it runs."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def held(module: ModuleType) -> Iterator[str]:
    """The top-level names of the modules that the values of a module are, or are from."""
    for value in list(vars(module).values()):
        name = value.__name__ if isinstance(value, ModuleType) else getattr(type(value), "__module__", None)
        if isinstance(value, type) or callable(value):
            name = getattr(value, "__module__", None) or name
        if isinstance(name, str):
            yield name.partition(".")[0]


def places(top: str, loaded: list[ModuleType]) -> Iterator[object]:
    """Where the modules of a package lie: those that are loaded, or, where none is, all that it has on the disk."""
    if loaded:
        for module in loaded:
            spec = getattr(module, "__spec__", None)
            yield getattr(spec, "origin", None) if isinstance(spec, ModuleSpec) else getattr(module, "__file__", None)
        return
    spec = PathFinder.find_spec(top)
    if spec is not None:
        yield spec.origin
        for folder in spec.submodule_search_locations or ():
            yield from (str(path) for suffix in EXTENSION_SUFFIXES for path in Path(folder).rglob(f"*{suffix}"))
