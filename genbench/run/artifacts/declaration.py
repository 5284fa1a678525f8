"""What a declaration of an artifact says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genbench.run.artifacts.context import Context

DATA, SAMPLES, MODEL = "data", "samples", "model"  # what an artifact asks


@dataclass(frozen=True)
class Artifact:
    """One declaration.

    Arguments:
        make: of a context, what a metric is given.
        asks: "data" (the same for all models), "samples" (any model has them) or "model" (what it can do).
        fields: of the protocol, all that decide it; "labels" are those that samples are drawn for.
        extracted: whether the extractor decides it too.
        referenced: whether a published reference decides it, where one is given for the extractor.
        alone: whether it is made by the process that measures the model alone: it is about that process.
    """

    make: Callable[[Context], Any]
    asks: str
    fields: tuple[str, ...]
    extracted: bool
    referenced: bool = False
    alone: bool = False

    @property
    def summary(self) -> str:
        return (self.make.__doc__ or "").partition("\n")[0]


def artifact(
    asks: str, *fields: str, extracted: bool = False, referenced: bool = False, alone: bool = False
) -> Callable[[Callable[[Context], Any]], Artifact]:
    """Makes a declaration of the function under it; the function's name is that of the artifact."""

    def declare(make: Callable[[Context], Any]) -> Artifact:
        return Artifact(make, asks, fields, extracted, referenced, alone)

    return declare
