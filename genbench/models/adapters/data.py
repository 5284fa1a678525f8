"""data:SPLIT: the dataset's own examples in the place of samples: the reference row."""

from __future__ import annotations

from typing import Any

from genbench import catalog
from genbench.datasets import SPLITS, Dataset
from genbench.errors import GenbenchError
from genbench.models.adapters import Given, Source, no_arguments
from genbench.models.fixed import TrueData


def handles(what: str) -> bool:
    return what.startswith("data:")


def identify(given: Given, dataset: Dataset) -> Source:
    no_arguments(given)
    split = given.what.partition(":")[2]
    if split not in SPLITS:
        raise GenbenchError(f"no split '{split}' in {given.what}", "Splits are train, validation and test.")
    # The true density is code: of a dataset from outside nobody knows all that decides it.
    known = catalog.entries("datasets").get(dataset.name)
    pinned = dataset.log_density is None or (known is not None and known.origin == "genbench")
    name = given.name or f"real {split} data"
    return Source(name, "data", given.what, dataset.sha256, "reference", pinned=pinned)


def open(source: Source, dataset: Dataset, device: Any) -> TrueData:
    return TrueData(dataset, source.what.partition(":")[2])
