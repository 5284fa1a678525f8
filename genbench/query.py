"""What stands behind a `?`: `key=value&...`, each value as Python writes it; %26 is an ampersand, a plus is a plus."""

from __future__ import annotations

import ast
import os
from typing import Any
from urllib.parse import unquote

from genbench import reading
from genbench.errors import GenbenchError


def parted(spec: str) -> tuple[str, dict[str, Any]]:
    """`PATH[?key=value&...]` -> (PATH, arguments). What exists is meant as it stands, `what?.npy` too.

    Raises:
        GenbenchError: arguments that are not key=value, each key once.
    """
    cuts = [i for i, c in enumerate(spec) if c == "?"]
    end = next((i for i in [len(spec), *cuts] if os.path.exists(spec[:i])), (cuts or [len(spec)])[0])
    return spec[:end], arguments(spec[end + 1 :], spec)


def arguments(query: str, spec: str) -> dict[str, Any]:
    """`key=value&...` as a dictionary; %26 is an ampersand, and a plus is a plus.

    Raises:
        GenbenchError: a key without a value, or given twice.
    """
    args: dict[str, Any] = {}
    for pair in query.split("&") if query else ():
        key, equals, value = pair.partition("=")
        key = unquote(key)
        if not key or not equals:
            raise GenbenchError(f"'{pair}' in '{spec}' is no argument", "Write WHAT?key=value&key=value.")
        if key in args:
            raise GenbenchError(f"argument '{key}' stands twice in '{spec}'", "Give it once.")
        args[key] = literal(unquote(value), key)
    return args


def literal(text: str, where: str) -> Any:
    """What an argument's text says: a number, true, false, a list and the like as Python writes them, else the text.

    Raises:
        GenbenchError: it says what no record can hold: an infinite number, bytes, a set.
    """
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        value = text
    return reading.read(Any, value, f"argument {where}={reading.shown(text)}", "Give a number, text, or a list.")
