"""From scores of test examples and of other data to the area under the ROC curve, with its interval."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genbench.errors import ModelError, Unavailable
from genbench.metrics import Measure, share_of_trials
from genbench.numerics.auroc import auroc
from genbench.space import Space

FEW = 2  # of the fewer kind out of place: fewer do not show how they vary


def area(inside: np.ndarray, outside: np.ndarray, **details: Any) -> Measure:
    """The AUROC of anomaly scores, larger for what is stranger: of test examples `[m]` and of other data `[n]`.

    The interval is Wilson's, of as many trials as have the variance A (1 - A) / trials, by DeLong's estimate. Where
    fewer than FEW of the fewer kind are out of place, these decide, and the estimate hangs on them as A does: there it
    is what Newcombe (2006, method 5) expects at A, if that is larger. Where none is, the trials are as many as the
    fewer of both kinds. It covers fresh test examples and fresh other data.

    References:
        Confidence intervals for an effect size measure based on the Mann-Whitney statistic (Newcombe, 2006), part 2.
    """
    for what, x in (("test examples", inside), ("other data", outside)):
        if np.isnan(x).any():
            raise ModelError(f"{int(np.isnan(x).sum())} of the scores of {what} are NaN")
    value, variance = auroc(inside, outside)
    m, n = len(inside), len(outside)
    trials = float(min(m, n))
    if 0 < value < 1 and (variance == 0 or trials * min(value, 1 - value) < FEW):
        expected = 1 + ((m + n) / 2 - 1) * ((1 - value) / (2 - value) + value / (1 + value))
        trials = min(m * n / expected, value * (1 - value) / max(variance, 1e-300))
    elif variance > 0:
        trials = value * (1 - value) / variance
    found: dict[str, Any] = {**details, "n_test": m, "n_outside": n}
    found |= {"median_of_test": number(np.median(inside)), "median_of_outside": number(np.median(outside))}
    measure = share_of_trials(value, trials, "Wilson's with the variance of DeLong or Newcombe", details=found)
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
