"""FILE.safetensors: weights with a card in the header that names the baseline and its options."""

from __future__ import annotations

from typing import Any

from genbench import catalog
from genbench.datasets import Dataset
from genbench.errors import GenbenchError
from genbench.files import sha256_file
from genbench.models.adapters import Given, Source
from genbench.models.checkpoint import load, read_card
from genbench.models.compiled import unseen


def handles(what: str) -> bool:
    return what.endswith(".safetensors")


def identify(given: Given, dataset: Dataset) -> Source:
    """The checkpoint, with its card as `extra`.

    Raises:
        GenbenchError: no such file, a file without a card, one made for another space, or an unknown baseline.
    """
    path = given.path
    card = read_card(path)
    if card.space != dataset.space:
        trained = card.dataset.get("name", "another dataset")
        raise GenbenchError(
            f"{path} models {card.space} ({trained}), dataset '{dataset.name}' is {dataset.space}",
            f"Evaluate it with --dataset {trained}, or leave it out.",
        )
    known = catalog.entries("baselines")
    if card.baseline not in known:
        problem = f"{path} needs baseline '{card.baseline}', which is not installed"
        if why := catalog.scan("baselines")[1].get(card.baseline):
            problem = f"{path} needs a plugin: {why}"
        raise GenbenchError(problem, "Install its distribution, or name its file: --plugin FILE.py.")
    baseline = known[card.baseline]
    library = baseline.reaches
    return Source(
        name=given.name or path.name.removesuffix(".safetensors"),
        adapter="checkpoint",
        what=given.what,
        sha256=sha256_file(path),
        family=baseline.family,
        parameters=card.parameters,
        args=given.args,
        made_of={"baseline": baseline.made_of},
        pinned=not library,
        unknown=unseen(library) if library else "",
        extra=card,
    )


def open(source: Source, dataset: Dataset, device: Any) -> Any:
    return load(source.what, device, source.args)
