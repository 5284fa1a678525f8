"""Test examples in the other of two domains, by a model that translates: there, there and back, with features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.blocks import Arrays, Keep
from genbench.errors import Unavailable
from genbench.models.fixed import TrueData
from genbench.run.artifacts.declaration import MODEL, artifact

if TYPE_CHECKING:
    from genbench.numerics.points import Points
    from genbench.run.artifacts.context import Context


def translations(c: Context, of: str, back: bool) -> np.ndarray:
    """The artifact `of` in the other domain; in a row of real data that domain's own test examples."""
    if isinstance(c.model, TrueData):
        return c.get("test" if back else "target_test")
    if not callable(getattr(c.model, "translate", None)):
        raise Unavailable("the model has no translate")
    x = c.get(of)

    def make(keep: Keep) -> Arrays:
        from genbench.models.sampling import translate

        return {"x": translate(c.model, x, back, c.device, keep, c.progress("examples", len(x)))}

    return c.kept(make)["x"]


def translation_labels(c: Context, back: bool) -> np.ndarray:
    own = "target_test_labels" if back else "test_labels"
    other = "test_labels" if back else "target_test_labels"
    return c.get(other if isinstance(c.model, TrueData) else own)


@artifact(MODEL, "limit")
def translated(c: Context) -> np.ndarray:
    """The test examples in the target domain, by the model; in a row of real data that domain's own `[n, *shape]`."""
    return translations(c, "test", back=False)


@artifact(MODEL, "limit")
def translated_back(c: Context) -> np.ndarray:
    """The target's test examples in the dataset's own domain, by the model; in a row of real data the test examples."""
    return translations(c, "target_test", back=True)


@artifact(MODEL, "limit")
def cycled(c: Context) -> np.ndarray:
    """The test examples, translated there and back `[n, *shape]`."""
    refuse_real(c)
    return translations(c, "translated", back=True)


@artifact(MODEL, "limit")
def cycled_back(c: Context) -> np.ndarray:
    """The target's test examples, translated back and there `[n, *shape]`."""
    refuse_real(c)
    return translations(c, "translated_back", back=False)


def refuse_real(c: Context) -> None:
    if isinstance(c.model, TrueData):
        raise Unavailable("real data are not translated")


@artifact(MODEL, "limit")
def translated_labels(c: Context) -> np.ndarray:
    """The class that every row of `translated` should have `[n]`: that of the example behind it."""
    return translation_labels(c, back=False)


@artifact(MODEL, "limit")
def translated_back_labels(c: Context) -> np.ndarray:
    """The class that every row of `translated_back` should have `[n]`."""
    return translation_labels(c, back=True)


@artifact(MODEL, "limit", extracted=True)
def translated_features(c: Context) -> Points:
    """Features of `translated` `[n, d]`."""
    return c.points(c.extract(lambda: c.get("translated"))["features"], "translated")


@artifact(MODEL, "limit", extracted=True)
def translated_back_features(c: Context) -> Points:
    """Features of `translated_back` `[n, d]`."""
    return c.points(c.extract(lambda: c.get("translated_back"))["features"], "translated_back")
