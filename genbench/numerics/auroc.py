"""The area under the ROC curve: how often one of the positives scores above one of the negatives."""

from __future__ import annotations

import numpy as np


def auroc(negative: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """P(positive > negative) + P(equal) / 2 of scores `[m]` and `[n]`, and its variance by DeLong's estimate.

    The area is a U-statistic of two samples. With V_i the share of negatives below positive i (those that equal it
    count half), and W_j the share of positives above negative j, its variance is estimated by var(V) / n + var(W) / m,
    NaN where one of the two has a single score. Infinite scores are scores like any other.

    Raises:
        ValueError: a score is NaN, or there is none.

    References:
        Comparing the areas under two or more correlated receiver operating characteristic curves (DeLong, DeLong,
        Clarke-Pearson, 1988), equations 4 to 6.

    Example:
        >>> auroc(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0]))[0]
        0.75
    """
    if not (len(negative) and len(positive)) or np.isnan(negative).any() or np.isnan(positive).any():
        raise ValueError("an area needs scores of both kinds, none of them NaN")
    V, W = placed(positive, negative), 1 - placed(negative, positive)
    parts = [x.var(ddof=1) / len(x) if len(x) > 1 else float("nan") for x in (V, W)]
    return float(V.mean()), float(sum(parts))


def placed(x: np.ndarray, among: np.ndarray) -> np.ndarray:
    """The share of `among` below each of x, with half of what equals it: `[n]`."""
    ranked = np.sort(among)
    return (np.searchsorted(ranked, x, "left") + np.searchsorted(ranked, x, "right")) / (2 * len(among))
