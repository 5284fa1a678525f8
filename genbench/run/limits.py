"""What the process of a model may take: time for all of it, time for each metric, memory."""

from __future__ import annotations

import re
from dataclasses import dataclass

from genbench.errors import GenbenchError

ENGINES = ("ray", "submitit")  # of other machines: one file each in `engines/`
DEAF = 74  # the exit code of a worker that can say nothing any more
START_METHODS = ("forkserver", "spawn")  # of a model's process
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}


@dataclass(frozen=True)
class Limits:
    """None for no limit.

    Arguments:
        model: seconds for all metrics of one model.
        metric: seconds for one metric, with all that it is the first to need.
        memory: bytes that a model's process and those that it starts may take, beyond what a process without a model
            holds.
    """

    model: float | None = None
    metric: float | None = None
    memory: int | None = None


def seconds(text: str) -> float:
    """`90`, `90s`, `1.5m`, `2h` or `1d` in seconds.

    Raises:
        GenbenchError: it says no time above 0.

    Example:
        >>> seconds("1.5m")
        90.0
    """
    return quantity(text, SECONDS, "a time", "90s, 15m or 2h")


def size(text: str) -> int:
    """`500M` or `2G` in bytes, by powers of 1,000; `2GB` is the same.

    Raises:
        GenbenchError: it says no size above 0.

    Example:
        >>> size("1.5GB")
        1500000000
    """
    return int(quantity(text.strip().lower().removesuffix("b"), BYTES, "a size", "500M or 2G"))


def quantity(text: str, units: dict[str, int], what: str, example: str) -> float:
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([a-z]?)", text.strip().lower())
    if not found or found[2] not in units or not float(found[1]) > 0:
        raise GenbenchError(f"'{text}' is not {what} above 0", f"Write {example}.")
    return float(found[1]) * units[found[2]]


def amount(size: int) -> str:
    """Bytes in words.

    Example:
        >>> amount(1_500_000_000)
        '1.5 GB'
    """
    unit = next(unit for unit in ("TB", "GB", "MB", "kB", "B") if size >= BYTES[unit[0].lower().replace("b", "")])
    return f"{size / BYTES[unit[0].lower().replace('b', '')]:g} {unit}"
