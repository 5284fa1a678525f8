"""A kernel is one computation that several implementations share: its inputs, its work and its true value.

A size gives every axis of a kernel its length, `{"n": 10_000, "d": 64}`; the functions of a kernel take it as
keyword arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from genbench.environment import installed
from genbench.errors import unknown

Size = Mapping[str, int]
OWN = "genbench"  # the way that is ours


@dataclass(frozen=True)
class Work:
    """What a kernel cannot do without, whoever computes it: the least that is known to be enough.

    So that an implementation that does more shows as slower, never as a busier processor.

    Arguments:
        flops: additions, multiplications and elementary functions (exp, log, root), each one operation;
            None: counted by PyTorch as the kernel runs (matrix products and convolutions alone).
        bytes: inputs read once and outputs written once.
    """

    flops: float | None
    bytes: float


@dataclass(frozen=True)
class Way:
    """One implementation of a kernel.

    Arguments:
        run: of the kernel's inputs, what is timed. Imports of peers are inside.
        dtype: of the arithmetic that takes the time, by which its ceiling is chosen; where the size decides, what
            says it.
        devices: where it can run.
        packages: the distributions that have to be installed for it, beyond what genbench needs anyway.
        note: what a reader of its row has to know.
    """

    name: str
    run: Callable[..., Any]
    dtype: str | Callable[..., str] = "float64"
    devices: tuple[str, ...] = ("cpu",)
    packages: tuple[str, ...] = ()
    note: str = ""

    @property
    def own(self) -> bool:
        return self.name == OWN

    def dtype_at(self, size: Size) -> str:
        return self.dtype if isinstance(self.dtype, str) else self.dtype(**size)

    def obstacle(self, device: str) -> str | None:
        """Why it cannot be measured here, None if it can."""
        if device.partition(":")[0] not in self.devices:
            return "it runs on the CPU alone"
        return absent(self.packages)


def absent(packages: Iterable[str]) -> str | None:
    """`a and b not installed`, None if all of them are."""
    missing = [package for package in packages if installed(package) is None]
    return f"{' and '.join(missing)} not installed" if missing else None


@dataclass(frozen=True)
class Kernel:
    """One computation, and who can do it.

    Arguments:
        inputs: `(device, **size)` -> the arguments of every way, made outside the clock.
        ways: genbench's own first, then its peers; the first peer at hand is the one that ratios name.
        sizes: what the table shows; `quick`: the same in a second.
        work: `(**size)` -> Work, or None where no formula holds: no ceiling is claimed then.
        reference: of the inputs, the true value in float64 by another road; None where there is none.
        reference_packages: the distributions that have to be installed for it; without them no error is measured.
        check: the largest lengths at which the reference can be paid for; errors are measured there.
        cost: {axis: the expected exponent of the cost in its length}, for the sweep.
        start: the size from which a sweep multiplies one axis at a time.
        most_runs: timed runs at most, where one takes a minute.
    """

    name: str
    summary: str
    inputs: Callable[..., tuple]
    ways: tuple[Way, ...]
    sizes: tuple[Size, ...]
    quick: Size
    work: Callable[..., Work | None] = lambda **size: None
    reference: Callable[..., Any] | None = None
    reference_packages: tuple[str, ...] = ()
    check: Size = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    start: Size = field(default_factory=dict)
    most_runs: int = 5

    def way(self, name: str) -> Way:
        return next(way for way in self.ways if way.name == name)

    def checked_at(self, size: Size) -> dict[str, int]:
        """The size at which the error of the ways is measured."""
        return {axis: min(length, self.check.get(axis, length)) for axis, length in size.items()}


def kernels() -> dict[str, Kernel]:
    """All there are, by name. Needs torch."""
    from genbench.studies.profiling import features, models

    return {kernel.name: kernel for kernel in [*features.kernels(), *models.kernels()]}


def belongs(name: str, given: str) -> bool:
    """Whether a kernel is meant by its name, or by the words that its name begins with (`sample`)."""
    return name == given or name.startswith(f"{given}-")


def select(given: Iterable[str], known: Mapping[str, Kernel]) -> list[Kernel]:
    """The kernels that are named, all if none is.

    Raises:
        GenbenchError: a name that means none of them.
    """
    names = list(given)
    for name in names:
        if not any(belongs(one, name) for one in known):
            raise unknown("kernel", name, known)
    return [kernel for kernel in known.values() if not names or any(belongs(kernel.name, name) for name in names)]


def shown(size: Size) -> str:
    """`n=10000 d=64`."""
    return " ".join(f"{axis}={length}" for axis, length in size.items())
