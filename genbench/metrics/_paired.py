"""The mean difference of two numbers of the same examples, where most of the differences are 0 and the others few."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genbench.metrics import Measure, holding
from genbench.numerics.intervals import Z95


def paired(differences: np.ndarray, most: float, **details: Any) -> Measure:
    """The mean of differences `[n]` that lie in [-most, most], with the interval of Agresti and Min (2005).

    A few examples that differ show poorly how many may differ. For two shares Agresti and Min add half a pair to each
    of the four cells; here, two examples to the n, with half a difference of `most` on either side. The interval is the
    normal one about the mean of all n + 2.

    References:
        Simple improved confidence intervals for comparing matched proportions (Agresti, Min, 2005), section 2.
    """
    n, d = len(differences), np.asarray(differences, np.float64)
    value, m = float(d.mean()), n + 2
    centre = float(d.sum()) / m
    stderr = math.sqrt((float((d**2).sum()) + most**2) / m - centre**2) / math.sqrt(m)
    ci = holding(value, centre - Z95 * stderr, centre + Z95 * stderr, -most, most)
    return Measure(value, "estimate", stderr, ci, "Agresti, Min (2005), paired over test examples", details=details)
