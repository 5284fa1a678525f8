"""Cycle error: how far from a test example is what comes back of it, translated there and back.

    E |F(G(x)) - x|_1 / D   (`cycle_error`),    E |G(F(y)) - y|_1 / D   (`cycle_error_back`)

with the levels over L - 1 and D values in an example. Each step's result is rounded to levels before the next sees it,
as whoever uses the model would. Each interval covers fresh test examples, given the model.

References:
    Unpaired image-to-image translation using cycle-consistent adversarial networks (Zhu et al., 2017), equation 2.
    CycleGAN, a master of steganography (Chu, Zhmoginov and Sandler, 2017), for what it misses.
"""

from __future__ import annotations

import numpy as np

from genbench.errors import Unavailable
from genbench.metrics import Measure, mean
from genbench.metrics._inputs import enough, finite
from genbench.space import Space

VERSION = 1
NEEDS = ("cycled", "test", "cycled_back", "target_test", "space")
OUTPUTS = {
    "cycle_error": {
        "unit": "share of the range",
        "direction": "lower",
        "range": (0, 1),
        "title": "cycle error, there and back",
        "misses": "0 where nothing is translated; blind to what the translation looks like, and to what it hides",
        "group": "translation",
        "place": 560,
    },
    "cycle_error_back": {
        "unit": "share of the range",
        "direction": "lower",
        "range": (0, 1),
        "title": "cycle error, back and there",
        "misses": "0 where nothing is translated; blind to what the translation looks like, and to what it hides",
        "group": "translation",
        "place": 570,
    },
}
REFERENCE = "Zhu et al., 2017"


def compute(
    cycled: np.ndarray, test: np.ndarray, cycled_back: np.ndarray, target_test: np.ndarray, space: Space
) -> dict[str, Measure]:
    if space.levels is None:
        raise Unavailable("the error is a share of the range of the levels, and real numbers have none")
    return {
        "cycle_error": error(cycled, test, "cycled", space.levels),
        "cycle_error_back": error(cycled_back, target_test, "cycled_back", space.levels),
    }


def error(cycled: np.ndarray, x: np.ndarray, what: str, levels: int) -> Measure:
    """The mean over examples `[n, *shape]` of |cycled - x|_1 / D / (L - 1)."""
    enough(len(x), what, 1)
    if cycled.shape != x.shape:
        raise ValueError(f"{what}: expected {list(x.shape)}, got {list(cycled.shape)}")
    finite(cycled, what)
    off = np.abs(cycled.astype(np.float64) - x).reshape(len(x), -1).mean(1) / (levels - 1)
    return mean(off, least=0.0, most=1.0, details={"n": len(x)})
