"""One reader for all that files and arguments say: content against a declared type, or an error that names the place.

A type is declared where its values live, in the annotations of a dataclass or of a TypedDict:

    whole = Annotated[int, Within(1, 10**9)]        bounds
    key = Annotated[str, Match("[0-9a-f]{16}", "16 hex digits")]
    table = dict[key, float | None]                 and so on: list, tuple, Literal, unions, dataclasses; Any is JSON

A dataclass takes its own fields and no others; a TypedDict may hold more. Numbers are finite, text is Unicode, and
whatever stands where it should not becomes a GenbenchError with the file, the field and what was expected.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import math
import re
import tomllib
import types
import typing
from collections.abc import Callable, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from genbench.errors import GenbenchError, unknown

T = TypeVar("T")
DEEPEST = 50  # levels of a plain value


@dataclass(frozen=True)
class Within:
    """Bounds of a number, both included; `above` and `below` are not. None is no bound."""

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        return (
            (self.low is None or value >= self.low)
            and (self.high is None or value <= self.high)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    @property
    def words(self) -> str:
        if self.low is not None and self.high is not None:
            return f" from {self.low:,} to {self.high:,}"
        bounds = {"of at least": self.low, "above": self.above, "of at most": self.high, "below": self.below}
        return "".join(f" {word} {bound:,}" for word, bound in bounds.items() if bound is not None)


@dataclass(frozen=True)
class Match:
    """A pattern that a text fits as a whole, and what that is in words."""

    pattern: str
    words: str


Name = Annotated[str, Match(r"(?s).*\S.*", "a name")]
Count = Annotated[int, Within(1, 10**9)]
Seed = Annotated[int, Within(0, 2**32 - 1)]  # what every generator takes, NumPy's oldest included


@dataclass(frozen=True)
class Size:
    """The number of members, from `low` to `high`."""

    low: int
    high: int | None = None

    def holds(self, members: Sized) -> bool:
        return self.low <= len(members) <= (len(members) if self.high is None else self.high)

    @property
    def words(self) -> str:
        return f", {self.low}" if self.high == self.low else f", at least {self.low}"


@dataclass(frozen=True)
class As:
    """Reads a field as this type, where the rest of the program knows it by a wider one."""

    kind: Any


class Malformed(Exception):
    """A value that is not what its type says.

    Arguments:
        where: the names and numbers that lead to it, "" for the whole.
        expected, found: in words.
    """

    def __init__(self, where: str, expected: str, found: str) -> None:
        super().__init__(where, expected, found)
        self.where, self.expected, self.found = where, expected, found

    def __str__(self) -> str:
        return f"{self.where or 'it'} is {self.found}, expected {self.expected}"


@dataclass(frozen=True)
class Shape:
    """A type as the reader knows it: what it is in words, and `read(value, where)`, which gives the value or raises."""

    words: str
    read: Callable[[Any, str], Any]


def shown(value: Any) -> str:
    """A value as an error shows it: short, and never large itself."""
    if isinstance(value, dict):
        return "a table" if value else "an empty table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**20:
        return "an enormous number"
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def at(where: str, key: Any) -> str:
    """The place of a member."""
    return f"{where}[{key}]" if isinstance(key, int) else f"{where}.{legible(str(key))[:60]}".lstrip(".")


def legible(text: str) -> str:
    """Text that any UTF-8 file can hold: what is no Unicode (bytes of a file's name) is written as an escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")


# --- Types


def text_shape(match: Match | None = None) -> Shape:
    words = match.words if match else "text"

    def read(value: Any, where: str) -> str:
        if not isinstance(value, str) or "\0" in value or legible(value) != value:
            raise Malformed(where, words, shown(value))
        if match and not re.fullmatch(match.pattern, value):
            raise Malformed(where, words, shown(value))
        return value

    return Shape(words, read)


def number_shape(whole: bool, bounds: Within | None = None) -> Shape:
    words = ("a whole number" if whole else "a number") + (bounds.words if bounds else "")

    def read(value: Any, where: str) -> float:
        fits = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not fits or (isinstance(value, float) and not math.isfinite(value)):
            raise Malformed(where, words, shown(value))
        if bounds and not bounds.holds(value):
            raise Malformed(where, words, shown(value))
        if whole:
            return value
        try:
            return float(value)
        except OverflowError:
            raise Malformed(where, words, shown(value)) from None

    return Shape(words, read)


def plain(value: Any, where: str, depth: int = 0) -> Any:
    """Anything that JSON can say, and no deeper than anybody reads."""
    if depth > DEEPEST:
        raise Malformed(where[:60], f"at most {DEEPEST} levels", "deeper")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text_shape().read(value, where)
    if isinstance(value, int | float):
        number_shape(isinstance(value, int)).read(value, where)
        return value
    if isinstance(value, dict):
        return {text_shape().read(k, where): plain(v, at(where, k), depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(v, at(where, i), depth + 1) for i, v in enumerate(value))
    raise Malformed(where, "text, a number, true, false, a list or a table", shown(value))


def choice_shape(values: tuple[Any, ...]) -> Shape:
    words = f"one of {', '.join(map(str, values))}"

    def read(value: Any, where: str) -> Any:
        if not any(type(value) is type(one) and value == one for one in values):
            raise Malformed(where, words, shown(value))
        return value

    return Shape(words, read)


def union_shape(options: list[Shape], nothing: bool) -> Shape:
    """One of several; of one type or nothing, errors speak of that type."""
    words = " or ".join([*(o.words for o in options), *(["nothing"] if nothing else [])])

    def read(value: Any, where: str) -> Any:
        if value is None and nothing:
            return None
        if len(options) == 1:
            return options[0].read(value, where)
        for option in options:
            try:
                return option.read(value, where)
            except Malformed:
                continue
        raise Malformed(where, words, shown(value))

    return Shape(words, read)


def list_shape(member: Shape, kind: type, size: Size | None = None) -> Shape:
    words = f"a list of {member.words}" + (size.words if size else "")

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, list | tuple) or (size and not size.holds(value)):
            raise Malformed(where, words, shown(value))
        return kind(member.read(one, at(where, i)) for i, one in enumerate(value))

    return Shape(words, read)


def tuple_shape(members: list[Shape]) -> Shape:
    words = f"a list of {len(members)}: {', '.join(m.words for m in members)}"

    def read(value: Any, where: str) -> tuple:
        if not isinstance(value, list | tuple) or len(value) != len(members):
            raise Malformed(where, words, shown(value))
        return tuple(m.read(one, at(where, i)) for i, (m, one) in enumerate(zip(members, value, strict=True)))

    return Shape(words, read)


def dict_shape(key: Shape, member: Shape, whole_keys: bool, size: Size | None = None) -> Shape:
    words = f"a table of {member.words}" + (size.words if size else "")

    def read(value: Any, where: str) -> dict:
        if not isinstance(value, dict) or (size and not size.holds(value)):
            raise Malformed(where, words, shown(value))
        found = {}
        for name, one in value.items():
            if whole_keys and isinstance(name, str) and re.fullmatch(r"-?[0-9]{1,19}", name):
                name = int(name)  # JSON's keys are text
            found[key.read(name, f"{where} (key)".strip())] = member.read(one, at(where, str(name)))
        return found

    return Shape(words, read)


def fields_shape(kind: Any, hints: Mapping[str, Shape], required: set[str], is_open: bool) -> Shape:
    """A dataclass, or a TypedDict (`is_open`), which may hold more than it names."""

    def read(value: Any, where: str) -> Any:
        if dataclasses.is_dataclass(kind) and type(value) is kind:
            value = {name: getattr(value, name) for name in hints}
        if not isinstance(value, dict):
            raise Malformed(where, "a table", shown(value))
        for name in hints:
            if name in required and name not in value:
                raise Malformed(at(where, name), hints[name].words, "missing")
        found = {}
        for name, one in value.items():
            if name in hints:
                found[name] = hints[name].read(one, at(where, name))
            elif is_open:
                found[text_shape().read(name, where)] = plain(one, at(where, name))
            else:
                hint = unknown("field", legible(str(name))[:60], hints).remedy
                raise Malformed(at(where, name), f"no such field ({hint.rstrip('.')})", shown(one))
        try:
            return found if is_open else kind(**found)
        except ValueError as error:  # what the class itself demands
            raise Malformed(where, "one that can be", f"none: {error}") from error

    return Shape("a table", read)


@functools.cache
def shape_of(hint: Any) -> Shape:
    """The shape that an annotation declares."""
    extra: tuple = ()
    if typing.get_origin(hint) is typing.NotRequired:
        (hint,) = typing.get_args(hint)
    if typing.get_origin(hint) is typing.Annotated:
        hint, *extra = typing.get_args(hint)  # type: ignore[assignment]
    note = next(iter(extra), None)
    if isinstance(note, As):
        return shape_of(note.kind)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return Shape("anything", plain)
    if hint is bool:
        return choice_shape((True, False))
    if hint is str:
        return text_shape(note)
    if hint in (int, float):
        return number_shape(hint is int, note)
    if origin is typing.Literal:
        return choice_shape(args)
    if origin in (typing.Union, types.UnionType):
        return union_shape([shape_of(a) for a in args if a is not types.NoneType], types.NoneType in args)
    if origin is list or (origin is tuple and args[-1] is ...):
        return list_shape(shape_of(args[0]), origin, note)
    if origin is tuple:
        return tuple_shape([shape_of(a) for a in args])
    if origin is dict:
        return dict_shape(shape_of(args[0]), shape_of(args[1]), args[0] is int, note)
    if isinstance(hint, type):
        declared = typing.get_type_hints(hint, include_extras=True)
        hints = {name: shape_of(h) for name, h in declared.items()}
        if typing.is_typeddict(hint):
            must = {name for name, h in declared.items() if typing.get_origin(h) is not typing.NotRequired}
            return fields_shape(hint, hints, must, True)
        if dataclasses.is_dataclass(hint):
            fields = {f.name: f for f in dataclasses.fields(hint)}
            must = {n for n, f in fields.items() if f.default is f.default_factory is dataclasses.MISSING}
            return fields_shape(hint, {name: hints[name] for name in fields}, must, False)
    raise TypeError(f"the reader knows no {hint!r}")


# --- Content


def read(kind: Callable[..., T], content: Any, origin: str, remedy: str) -> T:
    """`content` as a `kind`.

    Arguments:
        origin: the file, or whatever else it comes from, for the error.
        remedy: what to do if it does not fit.

    Raises:
        GenbenchError: it is not what `kind` declares; the error names the field.
    """
    try:
        return shape_of(kind).read(content, "")
    except Malformed as error:
        raise GenbenchError(f"{origin}: {error}", remedy) from error


def check(instance: Any) -> None:
    """Holds the fields of a dataclass against their annotations, for its `__post_init__`.

    Raises:
        GenbenchError: a field is not what it is declared to be.
    """
    for name, hint in typing.get_type_hints(type(instance), include_extras=True).items():
        try:
            shape_of(hint).read(getattr(instance, name), name)
        except Malformed as error:
            raise GenbenchError(f"{error.where} is {error.found}", f"Give {error.expected}.") from error


def text_of(path: Path, what: str, remedy: str) -> str:
    """The text in a file, which is UTF-8, with a byte order mark or without.

    Raises:
        GenbenchError: no such file, one that may not be read, or another encoding.
    """
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is no regular file")
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise GenbenchError(f"{path}: no {what} can be read: {error.strerror or error}", remedy) from error
    except UnicodeDecodeError as error:
        raise GenbenchError(f"{path} is no {what}: it is not UTF-8 text ({error.reason})", remedy) from error


def parse_json(text: str | bytes, origin: str, remedy: str) -> Any:
    """Strict JSON: no NaN, no infinity.

    Raises:
        GenbenchError: it does not parse.
    """

    def refuse(word: str) -> None:
        raise ValueError(f"{word} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        why = "too many levels" if isinstance(error, RecursionError) else error
        raise GenbenchError(f"{origin} is not JSON: {why}", remedy) from error


def parse_toml(text: str, origin: str, remedy: str) -> dict[str, Any]:
    """TOML.

    Raises:
        GenbenchError: it does not parse.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        why = "too many levels" if isinstance(error, RecursionError) else error
        raise GenbenchError(f"{origin} is not TOML: {why}", remedy) from error


def finite(content: Any, where: str, warnings: list[str]) -> Any:
    """`content` as plain JSON types, with non-finite numbers as None and a warning for each."""
    if isinstance(content, dict):
        return {legible(str(k)): finite(v, f"{where}.{k}".lstrip("."), warnings) for k, v in content.items()}
    if isinstance(content, list | tuple):
        return [finite(v, f"{where}[{i}]", warnings) for i, v in enumerate(content)]
    if getattr(content, "shape", None) == ():  # a scalar of NumPy, which need not be loaded here
        content = content.item()
    if isinstance(content, float) and not math.isfinite(content):
        warnings.append(f"{where} is {content}")
        return None
    return legible(content) if isinstance(content, str) else content
