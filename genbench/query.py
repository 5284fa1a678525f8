"""What stands behind a `?`: `key=value&...`, each value as Python writes it; %26 is an ampersand, a plus is a plus."""

from __future__ import annotations

import ast
import os
import re
from typing import Any
from urllib.parse import unquote

from genbench import reading
from genbench.errors import GenbenchError
from genbench.text import short

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|True|False|None")
MOST = 100  # points of a sweep


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


def sweep(query: str) -> list[tuple[str, str]]:
    """The points that a query asks for, one for each combination of values: what sets it apart, and its own query.

    An argument is swept where numbers stand behind one another with commas, `guidance=1,2,4`; true, false and nothing
    count as numbers. A comma in text, in brackets, in quotes, in what lies at a path, or written as %2C is a comma.

    Raises:
        GenbenchError: more points than anybody looks at.

    Example:
        >>> sweep("guidance=1,2&steps=10")
        [('guidance=1', 'guidance=1&steps=10'), ('guidance=2', 'guidance=2&steps=10')]
        >>> sweep("prompt=one, two&sizes=[1,2]")
        [('', 'prompt=one, two&sizes=[1,2]')]
    """
    points: list[tuple[list[str], list[str]]] = [([], [])]
    for pair in query.split("&") if query else ():
        key, _, value = pair.partition("=")
        values = swept(value)
        points = (
            [
                (
                    [*apart, *([f"{unquote(key)}={literal(one, key)}"] if len(values) > 1 else [])],
                    [*own, f"{key}={one}"],
                )
                for apart, own in points
                for one in values
            ]
            if len(values) > 1
            else [(apart, [*own, pair]) for apart, own in points]
        )
        if len(points) > MOST:
            raise GenbenchError(f"'{short(query)}' asks for more than {MOST} points", "Sweep fewer values.")
    return [(" ".join(apart), "&".join(own)) for apart, own in points]


def swept(text: str) -> list[str]:
    """The values of an argument, one alone where it is no sweep."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) < 2 or os.path.exists(unquote(text)) or not all(NUMBER.fullmatch(part) for part in parts):
        return [text]
    return list(dict.fromkeys(parts))


def literal(text: str, where: str) -> Any:
    """What an argument's text says: a number, true, false, a list and the like as Python writes them, else the text.

    Raises:
        GenbenchError: it says what no record can hold: an infinite number, bytes, a set.
    """
    try:
        value = text if "," in text and os.path.exists(text) else ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        value = text
    return reading.read(Any, value, f"argument {where}={reading.shown(text)}", "Give a number, text, or a list.")
