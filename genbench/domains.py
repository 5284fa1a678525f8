"""Domains: which values a parameter can have, in words that are also the remedy of whoever gives another.

    "a whole number in [1, inf)"      "a number in (0, 1]"      '"slerp" or "lerp"'      "true or false"

`[` and `]` include an end, `(` and `)` do not. A truth value is no number, and a number is whole by its type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from genbench.errors import GenbenchError

RANGE = re.compile(r"a (whole )?number in ([\[(])(\S+), (\S+)([\])])")
WORDS = {"true": True, "false": False, "none": None}


def holds(domain: str, value: Any) -> bool:
    """Whether a value is in the domain.

    Raises:
        ValueError: these words are no domain.

    Example:
        >>> holds("a number in (0, 1]", 1), holds("a number in (0, 1]", 0.0), holds("a whole number in [1, inf)", 2.0)
        (True, False, False)
    """
    found = [_holds(one, value) for one in domain.split(" or ")]  # every one is read, so that a misspelt one shows
    return any(found)


def _holds(one: str, value: Any) -> bool:
    if found := RANGE.fullmatch(one):
        whole, left, low, high, right = found.groups()
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            return False
        least, most = float(low), float(high)
        return (least < value or (left == "[" and value == least)) and (
            value < most or (right == "]" and value == most)
        )
    if one in WORDS:
        return value is WORDS[one]
    if re.fullmatch(r'"[^"]+"', one):
        return value == one.strip('"')
    raise ValueError(f"{one!r} is no domain")


def check(domains: Mapping[str, str], given: Mapping[str, Any], of: str = "") -> None:
    """Looks at every value that has a domain.

    Arguments:
        of: whose parameters they are.

    Raises:
        GenbenchError: a value is not in its domain.
    """
    for name, domain in domains.items():
        if name in given and not holds(domain, given[name]):
            raise GenbenchError(f"{of + ': ' if of else ''}{name} is {given[name]!r}", f"Give {domain}.")
