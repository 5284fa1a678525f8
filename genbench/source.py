"""What a source file says of itself, read without running it."""

from __future__ import annotations

import ast
import functools
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from genbench.files import state_of


class Broken(Exception):
    """Why an outside member cannot be used."""


def parsed(path: Path) -> ast.Module:
    """The syntax tree of a source file, in the encoding that it declares.

    Raises:
        Broken: it cannot be read, or is not valid Python.
    """
    try:
        return tree(path, *state_of(path))
    except OSError as error:
        raise Broken(f"{path} cannot be read: {error.strerror}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Broken(f"{path} is not valid Python: {error}") from error


@functools.lru_cache(maxsize=512)
def tree(path: Path, *changed: int) -> ast.Module:
    """The tree of a file as it is at that time: the catalog is asked often, and parses a file once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a compiler says of its escapes is for the author
        return ast.parse(path.read_bytes())


def literals(path: Path) -> dict[str, Any]:
    """The literal constants at the top level of a source file, and `__doc__`; runs none of it.

    Raises:
        Broken: it cannot be read, or is not valid Python.
    """
    module = parsed(path)
    found: dict[str, Any] = {"__doc__": ast.get_docstring(module) or ""}
    for target, value in bindings(module):
        try:
            found[target] = ast.literal_eval(value)
        except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
            found.pop(target, None)  # bound anew to what only running it would tell
    return found


def bindings(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """The names that the top level binds, by `a = 1`, `a: int = 1`, `a = b = 1` or `a, b = 1, 2`, with the values."""
    for node in module.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            continue
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            if isinstance(target, ast.Name):
                yield target.id, node.value
            elif isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                pairs = zip(target.elts, node.value.elts, strict=False)
                yield from ((name.id, value) for name, value in pairs if isinstance(name, ast.Name))
