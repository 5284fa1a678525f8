"""What a model draws: samples, of classes where they are asked of it, their features and logits; paths between them."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from genbench.blocks import Arrays, Keep
from genbench.errors import Unavailable
from genbench.models.capabilities import n_classes
from genbench.models.fixed import FixedSamples
from genbench.numerics.choice import chosen
from genbench.run.artifacts.data import labels
from genbench.run.artifacts.declaration import MODEL, SAMPLES, artifact

if TYPE_CHECKING:
    from genbench.numerics.points import Points
    from genbench.run.artifacts.context import Context

SAMPLED = ("n_samples", "seed", "block_size")
DRAWN = (*SAMPLED, "labels")  # which are no field of the protocol: see `Plan.said`


@artifact(SAMPLES, *DRAWN)
def samples(c: Context) -> np.ndarray:
    """Samples of the model `[n, *shape]`; of a class-conditional one for the labels that are given, if any are."""
    p = c.protocol
    if isinstance(c.model, FixedSamples):
        return c.model.fixed[c.get("fixed_places")]
    if not hasattr(c.model, "sample"):
        raise Unavailable("the model has no sample")
    asked = c.labels

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import draw

        tell = c.progress("samples", p.n_samples)
        x = draw(c.model, p.n_samples, p.seed, p.block_size, c.device, asked, keep, tell)
        again = draw(c.model, min(p.n_samples, p.block_size), p.seed, p.block_size, c.device, asked)
        if not np.array_equal(again, x[: len(again)]):
            warnings.warn(
                "the first block of samples, drawn twice with one seed, differs: not all randomness comes from the "
                "generator, and the value cannot be repeated",
                stacklevel=2,
            )
        return {"samples": x}

    return c.kept(make)["samples"]


@artifact(SAMPLES, *SAMPLED)
def fixed_places(c: Context) -> np.ndarray:
    """Of samples drawn elsewhere, the places of those that the protocol takes: at random, as contents decide `[n]`."""
    p, n = c.protocol, len(c.model.fixed)
    if n < p.n_samples:
        raise Unavailable(f"the protocol takes {p.n_samples} samples, there are {n}")
    return chosen(c.model.fixed, p.n_samples, p.seed, c.model.labels)


@artifact(SAMPLES, *DRAWN, extracted=True)
def sample_features(c: Context) -> Points:
    """Features of the samples `[n, d]`."""
    return c.points(c.extract(lambda: c.get("samples"))["features"], "samples")


@artifact(SAMPLES, *DRAWN, extracted=True)
def sample_logits(c: Context) -> np.ndarray:
    """Class logits of the samples `[n, classes]`, of an extractor that is a classifier."""
    return c.logits(c.extract(lambda: c.get("samples"), "sample_features"))


@artifact(MODEL, *DRAWN)
def class_labels(c: Context) -> np.ndarray:
    """The class asked of every sample `[n]`: as given, else 0, 1, ... in turn; what samples drawn elsewhere say."""
    n = c.protocol.n_samples
    if isinstance(c.model, FixedSamples):
        if c.model.labels is None:
            raise Unavailable("the samples have no labels: no class was asked of them")
        return c.model.labels[c.get("fixed_places")]
    known, classes = n_classes(c.model), int(labels(c.dataset, "train").max()) + 1
    if known != classes:
        what = f"knows {known} classes, the dataset has {classes}" if known else "is not class-conditional"
        raise Unavailable(f"the model {what}")
    return np.arange(n) % known if c.labels is None else c.labels


@artifact(MODEL, *DRAWN)
def class_samples(c: Context) -> np.ndarray:
    """Samples of the classes in `class_labels` `[n, *shape]`."""
    asked, p = c.get("class_labels"), c.protocol
    if isinstance(c.model, FixedSamples) or c.labels is not None:
        return c.get("samples")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import draw

        tell = c.progress("class samples", p.n_samples)
        return {"samples": draw(c.model, p.n_samples, p.seed, p.block_size, c.device, asked, keep, tell)}

    return c.kept(make)["samples"]


@artifact(MODEL, *DRAWN, extracted=True)
def class_features(c: Context) -> Points:
    """Features of the class samples `[n, d]`."""
    c.get("class_labels")
    if isinstance(c.model, FixedSamples) or c.labels is not None:
        return c.get("sample_features")
    return c.points(c.extract(lambda: c.get("class_samples"))["features"], "class_samples")


@artifact(MODEL, *DRAWN, extracted=True)
def class_logits(c: Context) -> np.ndarray:
    """Class logits of the class samples `[n, classes]`."""
    c.get("class_labels")
    if isinstance(c.model, FixedSamples) or c.labels is not None:
        return c.get("sample_logits")
    return c.logits(c.extract(lambda: c.get("class_samples"), "class_features"))


@artifact(MODEL, *SAMPLED, "step", "path", extracted=True)
def path_lengths(c: Context) -> np.ndarray:
    """Squared speeds of the features along paths between latents `[n]`."""
    from genbench.models.interpolation import path_lengths

    p = c.protocol
    tell = c.progress("paths", p.n_samples)

    def make(keep: Keep) -> Arrays:
        found = path_lengths(
            c.model, c.extractor, p.n_samples, p.seed, p.block_size, p.step, p.path, c.device, keep, tell
        )
        return {"lengths": found}

    return c.kept(make)["lengths"]
