"""The covariance of several values that rest on one shared set of rows.

Each value says by `PARTS` deviations e_ag, g = 1..G, how it moves with the shared rows, such that

    S_ab = sum_g e_ag e_bg

estimates the covariance of values a and b. They are those of a replication that is the same for all values: the shared
rows without one part after another (delete-a-group jackknife), or one random half of them after another. What a value
has for itself (rows of its own) is the rest of its variance.

References:
    The delete-a-group jackknife (Kott, 2001).
    The jackknife and the bootstrap for general stationary observations, and a general theory for jackknife variance
    estimation (Shao, Wu, 1989): for statistics that are not smooth, as those of nearest neighbours, many rows must be
    left out.
"""

from __future__ import annotations

import numpy as np

from genbench.numerics import student
from genbench.numerics.intervals import Z95

PARTS = 50


def joint(stderr: np.ndarray, deviations: np.ndarray, wide: np.ndarray) -> np.ndarray:
    """The covariance `[p, p]` of values with their standard errors `[p]` and deviations `[p, G]`.

    What is known from G replicates alone is taken wider, as Student's t is.

    Arguments:
        wide: the standard errors that are to stand in place of them `[p]`, where they are not known well themselves:
            `intervals.known`. What two values share is in the same proportion.
    """
    times = np.divide(wide, stderr, out=np.ones_like(stderr), where=stderr > 0)
    deviations = times[:, None] * np.asarray(deviations, np.float64)
    shared = deviations @ deviations.T
    few = (student.quantile(0.975, deviations.shape[1] - 1) / Z95) ** 2
    return few * shared + np.diag(np.maximum(wide**2 - np.diag(shared), 0.0))
