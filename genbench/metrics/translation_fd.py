"""Fréchet distance of translated test examples to the training examples of the domain that they were translated to.

The formula, its bias at few examples and its interval are those of `fd`. `translation_fd` is of the test examples in
the target domain, `translation_fd_back` of the target's test examples in the dataset's own. The details tell the
distance of the same examples untranslated: what the translation has to bring down. The row of real data, where the
other domain's own test examples stand in the place of translations, tells what can be reached.

References:
    GANs trained by a two time-scale update rule converge to a local Nash equilibrium (Heusel et al., 2017).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from genbench.metrics import Measure, fd
from genbench.metrics._inputs import point_sets
from genbench.numerics.points import Points

VERSION = 1
MIN_SAMPLES = 2
NEEDS = (
    "translated_features",
    "target_train_features",
    "test_features",
    "translated_back_features",
    "train_features",
    "target_test_features",
)
OUTPUTS = {
    "translation_fd": {
        "unit": "squared feature distance",
        "direction": "lower",
        "range": (0, None),
        "title": "Fréchet distance of translations to the target domain",
        "misses": "blind to what an example was translated to: any map onto the target domain has a small one",
        "group": "translation",
        "place": 500,
    },
    "translation_fd_back": {
        "unit": "squared feature distance",
        "direction": "lower",
        "range": (0, None),
        "title": "Fréchet distance of translations back to the dataset's own domain",
        "misses": "blind to what an example was translated to: any map onto the domain has a small one",
        "group": "translation",
        "place": 510,
    },
}
REFERENCE = "Heusel et al., 2017"


def compute(
    translated_features: np.ndarray | Points,
    target_train_features: np.ndarray | Points,
    test_features: np.ndarray | Points,
    translated_back_features: np.ndarray | Points,
    train_features: np.ndarray | Points,
    target_test_features: np.ndarray | Points,
    intervals: bool = True,
) -> dict[str, Measure]:
    forth, there, x, back, here, y = point_sets(
        MIN_SAMPLES,
        translated_features=translated_features,
        target_train_features=target_train_features,
        test_features=test_features,
        translated_back_features=translated_back_features,
        train_features=train_features,
        target_test_features=target_test_features,
    )
    return {
        "translation_fd": beside(forth, x, there, intervals),
        "translation_fd_back": beside(back, y, here, intervals),
    }


def beside(translated: Points, untranslated: Points, domain: Points, intervals: bool) -> Measure:
    """FD of the translations to the domain; in the details that of what was translated."""
    measure = fd.compute(translated, domain, intervals)["fd"]
    before = max(sum(fd.terms(untranslated, domain)), 0.0)
    return replace(measure, details={**measure.details, "untranslated": before, "note": f"untranslated {before:.4g}"})
