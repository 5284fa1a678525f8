"""What a run shows of a model beside its numbers: samples, translations, codes, completions, perplexity by place.

Each picture is made of artifacts that metrics have made before, and failing to draw one fails no number.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from genbench.boards import pictures
from genbench.errors import GenbenchError, Unavailable
from genbench.models.fixed import FixedSamples
from genbench.models.guard import guarded
from genbench.run.artifacts.making import Artifacts
from genbench.run.noting import noting
from genbench.text import COMPLETIONS, PLACES, slug

COMPLETED, DRAWS = 6, 4  # test images, and completions of each


def show_all(artifacts: Artifacts) -> None:
    """Draws what there is to see of a model; of several checkpoints that make one row the first is shown."""
    source, plan = artifacts.source, artifacts.plan
    if source.row and source.key != next(one.key for one in plan.sources if one.row == source.row):
        return
    for show in (samples, translations, codes, completions, places):
        try:
            with noting():  # what artifacts warn of stands in the records
                show(artifacts)
        except Unavailable:
            continue
        except GenbenchError:
            raise
        except Exception as error:
            warnings.warn(f"no picture of {source.shown}: {error}", stacklevel=2)


def samples(artifacts: Artifacts) -> None:
    if artifacts.has("samples"):
        x, density = artifacts.get("samples", None), plane_density(artifacts)
        pictures.draw_all(artifacts.run, artifacts.source.shown, artifacts.plan.dataset, x, density)


def translations(artifacts: Artifacts) -> None:
    if artifacts.has("translated") and not isinstance(artifacts.model, FixedSamples):
        x, translated = (artifacts.get(name, None) for name in ("test", "translated"))
        pictures.draw_translations(artifacts.run, artifacts.source.shown, artifacts.plan.dataset, x, translated)


def codes(artifacts: Artifacts) -> None:
    """Of the first test examples, so only where all of them were encoded."""
    names = ("train", "test")
    if artifacts.plan.protocol.limit is None and all(artifacts.has(f"{name}_encodings") for name in names):
        found = {name: artifacts.get(f"{name}_encodings", None) for name in names}
        name, dataset = artifacts.source.shown, artifacts.plan.dataset
        with guarded():
            pictures.draw_codes(artifacts.run, name, dataset, artifacts.model, found, artifacts.device)


def completions(artifacts: Artifacts) -> None:
    """Of the first test images, where completions were scored."""
    from genbench.models.completing import drawn, most_likely, visible

    if not artifacts.has("completion"):
        return
    x, model, device = artifacts.plan.dataset.test[:COMPLETED], artifacts.model, artifacts.device
    with guarded():
        found = drawn(model, x, DRAWS, artifacts.plan.protocol.seed, device)
        try:
            likeliest = most_likely(model, x, device=device)
        except Unavailable:  # too many levels to search, or another order of reading
            likeliest = None
    png = pictures.completions(x, found, likeliest, visible(model.space), model.space)
    artifacts.run.write(artifacts.run.pictures / f"{slug(artifacts.source.shown)}{COMPLETIONS}.png", png)


def places(artifacts: Artifacts) -> None:
    if artifacts.has("stream"):
        name = artifacts.source.shown
        png = pictures.places(artifacts.get("stream", None), name)
        artifacts.run.write(artifacts.run.pictures / f"{slug(name)}{PLACES}.png", png)


def plane_density(artifacts: Artifacts) -> Callable[[np.ndarray], np.ndarray] | None:
    """The log-density of a model of points in the plane, `[n, 2] -> [n]`; None of any other, or where it has none."""
    space, model = artifacts.plan.dataset.space, artifacts.model
    if space.shape != (2,) or space.levels is not None or not callable(getattr(model, "log_prob", None)):
        return None
    from genbench.likelihood.exact import exact

    def log_density(x: np.ndarray) -> np.ndarray:
        with guarded():
            return exact(model, x, artifacts.device).values

    return log_density
