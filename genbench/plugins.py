"""What an outside member of the catalog has to say of itself before it stands beside those that ship."""

from __future__ import annotations

import ast
import functools
import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genbench import domains
from genbench.source import Broken, literals, parsed

if TYPE_CHECKING:
    from genbench.catalog import Entry

HERE = Path(__file__).parent


def spelt(name: str) -> str:
    """A name as the command line spells it."""
    return name.replace("_", "-")


NAME = re.compile(r"\w[\w.-]*")
ENDINGS = (".py", ".toml", ".safetensors", ".npz", ".npy", ".txt", ".parquet", ".tar")  # of what is named by its path
EVERY = "all"  # in place of a metric


def check_name(name: str, kind: str = "") -> None:
    """Checks that what is called so can be asked for where names and paths, lists and arguments are told apart.

    Raises:
        Broken: it cannot.
    """
    if not NAME.fullmatch(name):
        raise Broken(f"the name {name!r} cannot be asked for: it has letters, digits, - and _, no - first")
    if name.endswith(ENDINGS):
        raise Broken(f"the name {name!r} cannot be asked for: it is that of a file")
    if kind == "metrics" and name == EVERY:
        raise Broken(f"the name {name!r} cannot be asked for: it stands for every metric")


def check(entry: Entry, others: dict[str, Entry]) -> None:
    """Checks what an outside member says of itself.

    Raises:
        Broken: it cannot be used, with the reason.
    """
    if entry.fault:
        raise Broken(entry.fault)
    if entry.kind != "adapters":  # which nobody names
        check_name(entry.name, entry.kind)
    constants = entry.constants
    if not isinstance(constants.get("FAMILY", ""), str):
        raise Broken(f"FAMILY is {constants['FAMILY']!r}, no text")
    if entry.kind == "metrics":
        check_card(constants)
        check_signature(entry)
        taken = {spelt(name): one for one in others.values() for name in (one.name, *one.constants["OUTPUTS"])}
        if entry.name in taken:
            raise Broken(f"its name is an output of metric '{taken[entry.name].name}'")
        for output in map(spelt, constants["OUTPUTS"]):
            if output in taken:
                raise Broken(f"its output '{output}' is one of metric '{taken[output].name}'")


def check_card(constants: dict[str, Any]) -> None:
    """Checks the constants of a metric, see `genbench/metrics/__init__.py`.

    Raises:
        Broken: one is missing or not what it has to be.
    """
    version, needs = constants.get("VERSION"), constants.get("NEEDS")
    outputs, least = constants.get("OUTPUTS"), constants.get("MIN_SAMPLES", 1)
    for name in ("VERSION", "NEEDS", "OUTPUTS"):
        if name not in constants:
            raise Broken(f"it has no {name} that is a literal")
    if type(version) is not int:
        raise Broken(f"VERSION is {version!r}, no whole number")
    if not isinstance(needs, tuple | list) or not needs:
        raise Broken(f"NEEDS is {needs!r}, no tuple of names")
    for need in needs:
        if need not in artifact_names():
            raise Broken(f"NEEDS names {need!r}, which is none of {', '.join(artifact_names())}")
    if type(least) is not int or least < 1:
        raise Broken(f"MIN_SAMPLES is {least!r}, no number of samples")
    if not isinstance(outputs, dict) or not outputs:
        raise Broken(f"OUTPUTS is {outputs!r}, no {{name: card}}")
    for name, card in outputs.items():
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII) or name == EVERY:
            raise Broken(f"OUTPUTS has {name!r}: a name has letters, digits, - and _, and is not '{EVERY}'")
        if [spelt(str(one)) for one in outputs].count(spelt(name)) > 1:
            raise Broken(f"OUTPUTS has {name!r} twice: - and _ are the same")
        if not isinstance(card, dict):
            raise Broken(f"the card of output '{name}' is {card!r}, no {{field: value}}")
        for field in ("unit", "direction", "title"):
            if not isinstance(card.get(field), str):
                raise Broken(f"the card of output '{name}' has no {field}")
        if not isinstance(card.get("misses", ""), str):
            raise Broken(f"misses of output '{name}' is {card['misses']!r}, no text")
        for field, words in (("direction", "DIRECTIONS"), ("group", "GROUPS")):
            if field in card and card[field] not in (known := metric_words(words)):
                raise Broken(f"the {field} of output '{name}' is {card[field]!r}, none of {', '.join(known)}")
        if not is_number(card.get("place", 0)):
            raise Broken(f"the place of output '{name}' is {card['place']!r}, no number")
        if not is_range(card.get("range", (None, None))):
            raise Broken(f"the range of output '{name}' is {card['range']!r}, not (least, most), None for no limit")
    check_domains(constants.get("DOMAINS", {}))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_range(value: Any) -> bool:
    """Two numbers in order, each of them perhaps None."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        return False
    ends = [end for end in value if end is not None]
    return all(map(is_number, ends)) and ends == sorted(ends)


def check_domains(given: Any) -> None:
    """Checks what a metric says of the values that its parameters can have.

    Raises:
        Broken: it is not what `genbench/domains.py` reads.
    """
    if not isinstance(given, dict):
        raise Broken(f"DOMAINS is {given!r}, no {{parameter: domain}}")
    for name, domain in given.items():
        try:
            domains.holds(domain, None)
        except (ValueError, AttributeError, TypeError) as error:
            raise Broken(f"the domain of '{name}' is {domain!r}, see genbench/domains.py") from error


def check_signature(entry: Entry) -> None:
    """Checks that a metric's parameters beyond NEEDS have defaults that are literals.

    Raises:
        Broken: one has none, or one that cannot be read without running it.
    """
    for name, default in entry.signature.items():
        if default is None and name not in entry.constants["NEEDS"]:
            raise Broken(f"compute() takes '{name}', which is neither in NEEDS nor has a default")
    try:
        entry.parameters  # noqa: B018
    except (ValueError, TypeError) as error:
        raise Broken("a default of compute() is no literal") from error


@functools.cache
def artifact_names() -> tuple[str, ...]:
    """What a metric may need: the functions that `run/artifacts/` declares, read without importing it."""
    room = HERE / "run" / "artifacts"
    return tuple(
        node.name
        for file in literals(room / "__init__.py")["FILES"]
        for node in parsed(room / f"{file}.py").body
        if isinstance(node, ast.FunctionDef)
        and any(isinstance(d, ast.Call) and ast.unparse(d.func) == "artifact" for d in node.decorator_list)
    )


@functools.cache
def metric_words(name: str) -> Any:
    """A constant of `metrics/__init__.py`, read without importing SciPy with it."""
    return literals(HERE / "metrics" / "__init__.py")[name]
