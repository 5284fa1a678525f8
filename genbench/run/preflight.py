"""Before the long work: where it runs, and everything opened once, so that what does not fit is an error of usage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from genbench import catalog
from genbench.environment import environment
from genbench.errors import GenbenchError
from genbench.models.adapters import Source
from genbench.models.fixed import FixedSamples
from genbench.models.guard import guarded
from genbench.run.artifacts.making import opened
from genbench.run.plan import Plan

if TYPE_CHECKING:
    from genbench.run.measuring import Bench

FEW = 8  # images that an extractor is shown before the long work


def preflight(source: Source, todo: Plan, device: str) -> None:
    """Opens a source once before the long work, so that a file that does not fit is an error of usage, not of a cell.

    What a model's own code raises is left to be recorded by its cells.
    """
    try:
        with guarded():
            model = source.open(todo.dataset, device)
    except GenbenchError:
        raise
    except Exception:
        return
    n = todo.protocol.n_samples
    if type(model) is FixedSamples and len(model.fixed) < n:
        raise GenbenchError(
            f"{source.what} has {len(model.fixed)} samples, the protocol takes {n}",
            f"Measure all models with fewer: --samples {len(model.fixed)}.",
        )


def try_extractor(name: str, todo: Plan, bench: Bench) -> None:
    """Shows an extractor some images before the long work: weights or a reference that do not fit are errors of usage,
    and so is a function that does not treat every image by itself.

    What a function in code raises by itself is left to be recorded by the cells that need it.
    """
    extractor = opened(name, todo, bench.device, bench.shared)
    try:
        with guarded():
            features, _ = extractor.seen(todo.dataset.train[:1])
            if ":" in name or catalog.find("extractors", name).origin != "genbench":
                extractor.check_each(todo.dataset.train[:FEW])
        if name in todo.references:
            todo.references[name].check(extractor, todo.extractors[name], features.shape[1])
    except GenbenchError:
        raise
    except Exception:
        return


def pick_device(device: str) -> str:
    """`auto` is the GPU where there is one."""
    import torch

    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise GenbenchError(f"no device '{device}' here: {str(error).splitlines()[0]}", "Use --device cpu.") from error
    return device


def where_it_runs(device: str) -> list[Any]:
    """The device that is meant, and the environment there."""
    found = pick_device(device)
    return [found, environment(found)]
