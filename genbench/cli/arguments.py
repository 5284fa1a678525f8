"""What the arguments of several commands share: the parser, bounded numbers, options with one meaning everywhere."""

from __future__ import annotations

import argparse
import contextlib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, NoReturn

from genbench import catalog
from genbench.cli.ending import USAGE
from genbench.errors import GenbenchError
from genbench.reading import Count, Malformed, Within, shape_of
from genbench.text import one_line

THREADS = Annotated[int, Within(1, 4096)]
MINUTES = Annotated[float, Within(above=0)]


class Parser(argparse.ArgumentParser):
    """Errors in two lines: what, and what to do."""

    def error(self, message: str) -> NoReturn:
        remedy = f"See `{self.prog} --help`."
        if message.startswith("unrecognized arguments: ") and " -" not in message:
            remedy = "Write what no option names in one place, before the options or behind them."
        self.exit(USAGE, f"{self.prog}: {one_line(message)}\n  {remedy}\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse has it, which keeps to itself what cannot be written, but of help that nobody gets."""
        if file is sys.stdout:
            file.write(message)
        else:
            super()._print_message(message, file)


def number(hint: Any) -> Callable[[str], Any]:
    """The type of an argument that is a number, with the bounds of its annotation."""

    def read(text: str) -> Any:
        value: Any = text
        with contextlib.suppress(ValueError):
            value = float(text) if hint is MINUTES else int(text)
        try:
            return value if value == math.inf and hint is MINUTES else shape_of(hint).read(value, text)
        except Malformed as error:
            raise argparse.ArgumentTypeError(f"expected {error.expected}, got '{text}'") from error

    return read


def limit(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """The type of an argument that `read` reads."""

    def checked(text: str) -> Any:
        try:
            return read(text)
        except GenbenchError as error:
            raise argparse.ArgumentTypeError(f"{error.problem}: {error.remedy}") from error

    return checked


def add_batch_size(p: Parser) -> None:
    what = "images that an extractor holds in memory at once, as far as its blocks allow; changes no value"
    p.add_argument("--batch-size", type=number(Count), default=500, help=what)


def settings_of(pairs: list[str], flag: str = "--set") -> dict[str, Any]:
    """{key: value} of KEY=VALUE arguments."""
    from genbench.query import literal

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise GenbenchError(f"{flag} {pair} has no value", f"Write {flag} key=value.")
        found[key] = literal(value, key)
    return found


def by_extractor(given: list[str], extractor: str) -> dict[str, Path]:
    """{extractor: file} of `[NAME=]FILE` arguments; without a name it is the suite's extractor."""
    from genbench.run.plan import hyphenated

    found = {}
    for spec in given:
        name, equals, path = spec.partition("=")
        if equals and hyphenated(name) in catalog.names("extractors"):
            found[hyphenated(name)] = Path(path)
        else:
            found[hyphenated(extractor)] = Path(spec)
    return found


def references_of(given: list[str], extractor: str, count: int | None) -> dict[str, Any]:
    """The published statistics of `[NAME=]FILE` arguments by extractor."""
    from genbench.run.reference import read

    if count is not None and len(given) != 1:
        raise GenbenchError("--reference-count is of one --reference", "Give one of them, or leave the count out.")
    return {name: read(path, name, count) for name, path in by_extractor(given, extractor).items()}
