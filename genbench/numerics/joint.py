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

PARTS = 50


def joint(stderr: np.ndarray, deviations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The covariance `[p, p]` of values with their standard errors `[p]` and deviations `[p, G]`; and what they share.

    What they share `[p, p]` is seen with G - 1 degrees of freedom.
    """
    deviations = np.asarray(deviations, np.float64)
    shared = deviations @ deviations.T
    return shared + np.diag(np.maximum(stderr**2 - np.diag(shared), 0.0)), shared
