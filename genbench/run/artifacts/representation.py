"""What a model makes of examples: reconstructions, codes, posteriors and the gap that their encoder leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.blocks import Arrays, Keep
from genbench.errors import Unavailable
from genbench.models.capabilities import n_classes
from genbench.models.fixed import TrueData
from genbench.run.artifacts.declaration import MODEL, artifact

if TYPE_CHECKING:
    from genbench.numerics.points import Points
    from genbench.run.artifacts.context import Context


@artifact(MODEL, "limit")
def reconstructions(c: Context) -> np.ndarray:
    """What the model gives back of every test example `[n, *shape]`, real numbers in the raw range of the space."""
    return given_back(c, c.get("test"))


@artifact(MODEL, "outside", "limit")
def outside_reconstructions(c: Context) -> np.ndarray:
    """What it gives back of the other data `[n, *shape]`."""
    return given_back(c, c.get("outside"))


def given_back(c: Context, x: np.ndarray) -> np.ndarray:
    if not hasattr(c.model, "reconstruct"):
        raise Unavailable("the model has no reconstruct")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import reconstruct

        return {"x": reconstruct(c.model, x, c.device, keep, c.progress("examples", len(x)))}

    return c.kept(make)["x"]


@artifact(MODEL, "limit", extracted=True)
def reconstruction_features(c: Context) -> Points:
    """Features of the reconstructions `[n, d]`, rounded to the nearest level where the space has levels."""

    def rounded() -> np.ndarray:
        x, levels = c.get("reconstructions"), c.dataset.space.levels
        return x if levels is None else np.clip(np.rint(x), 0, levels - 1).astype(c.dataset.space.dtype)

    return c.points(c.extract(rounded)["features"], "reconstructions")


@artifact(MODEL)
def train_encodings(c: Context) -> np.ndarray:
    """Codes of the training examples, by the model's `encode`; in a row of real data raw values `[n, d]`."""
    return encodings(c, "train")


@artifact(MODEL, "limit")
def test_encodings(c: Context) -> np.ndarray:
    """Codes of the test examples, by the model's `encode`; in a row of real data raw values `[n, d]`."""
    return encodings(c, "test")


@artifact(MODEL, "limit")
def gaussian_posteriors(c: Context) -> dict[str, np.ndarray]:
    """Means and log standard deviations of q(z|x) of every test example `[n, d]`, of a VAE with the prior N(0, I)."""
    if not callable(getattr(c.model, "gaussian_posterior", None)):
        raise Unavailable("the model has no Gaussian posterior beside a standard normal prior")
    if n_classes(c.model):
        raise Unavailable("the posteriors of a class-conditional model are those of a given class")
    x = c.get("test")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import gaussian_posteriors

        return gaussian_posteriors(c.model, x, c.device, keep, c.progress("examples", len(x)))

    return c.kept(make)


@artifact(MODEL, "seed", "block_size", "limit")
def amortisation(c: Context) -> dict[str, np.ndarray]:
    """The bounds of every test example at the encoder's q(z|x), and at a q sought for it alone `[n]`, in nats."""
    q, x = c.get("gaussian_posteriors"), c.get("test")
    if not callable(getattr(c.model, "log_likelihood", None)):
        raise Unavailable("the search for q needs log_likelihood(x, z)")
    p, tell = c.protocol, c.progress("examples", len(x))

    def make(keep: Keep) -> Arrays:
        from genbench.likelihood.amortisation import amortisation as of_examples

        return of_examples(c.model, x, q["mean"], q["log_sd"], p.seed, p.block_size, c.device, keep, tell)

    return c.kept(make)


def encodings(c: Context, split: str) -> np.ndarray:
    x = c.get(split)
    if isinstance(c.model, TrueData):
        return x.reshape(len(x), -1).astype(np.float32)
    if not hasattr(c.model, "encode"):
        raise Unavailable("the model has no encode")

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import encode

        return {"codes": encode(c.model, x, c.device, keep, c.progress(f"{split} examples", len(x)))}

    return c.kept(make)["codes"]
