"""Samples that this process makes whenever they are asked for, always the same: the draws of an audit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.files import sha256_array
from genbench.models.adapters import Given, Source
from genbench.models.fixed import FixedSamples


def handles(what: str) -> bool:
    return False  # nothing on a command line names what is in memory


def identify(given: Given, dataset: Dataset) -> Source:
    raise GenbenchError(f"'{given.what}' names nothing in memory", "Make it with genbench.models.adapters.memory.made.")


def made(name: str, family: str, make: Callable[[], np.ndarray], args: dict[str, Any]) -> Source:
    """The samples that `make` makes, known by their content."""
    return Source(name, "memory", name, sha256_array(np.ascontiguousarray(make())), family, args=args, extra=make)


def open(source: Source, dataset: Dataset, device: Any) -> FixedSamples:
    return FixedSamples(dataset, source.extra())
