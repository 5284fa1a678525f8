"""From scores of test examples and of other data to the area under the ROC curve, with its interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genbench.errors import ModelError, Unavailable
from genbench.metrics import Measure, share_of_trials
from genbench.numerics.auroc import auroc
from genbench.space import Space


def area(inside: np.ndarray, outside: np.ndarray, **details: Any) -> Measure:
    """The AUROC of anomaly scores, larger for what is stranger: of test examples `[m]` and of other data `[n]`.

    The interval is Wilson's, of as many trials as have DeLong's variance, A (1 - A) / variance; where that is 0,
    because no two of either kind are placed otherwise, of the fewer of both. It covers fresh test examples and fresh
    other data.
    """
    for what, x in (("test examples", inside), ("other data", outside)):
        if np.isnan(x).any():
            raise ModelError(f"{int(np.isnan(x).sum())} of the scores of {what} are NaN")
    value, variance = auroc(inside, outside)
    trials = float(min(len(inside), len(outside)))
    if variance > 0 and 0 < value < 1:
        trials = value * (1 - value) / variance
    found: dict[str, Any] = {**details, "n_test": len(inside), "n_outside": len(outside)}
    found |= {"median_of_test": number(np.median(inside)), "median_of_outside": number(np.median(outside))}
    measure = share_of_trials(value, trials, "Wilson's with DeLong's variance", details=found)
    if measure.ci95 is not None and measure.ci95[1] < 0.5:
        measure.details["note"] = "below 0.5: the other data look more like the training data than test data do"
    return measure


def number(x: float) -> float | None:
    """JSON has no infinity."""
    return float(x) if math.isfinite(x) else None


def whole_levels(space: Space, what: str) -> int:
    """The number of levels of images; what needs them does not apply to anything else."""
    if space.levels is None or not space.is_image:
        raise Unavailable(f"{what} is of images of whole levels")
    return space.levels
