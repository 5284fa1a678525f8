"""Rank sets: how often those of all models hold their true ranks at once."""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure
from genbench.numerics.ranks import rank_sets
from genbench.studies.calibration import Case, Truth


def cases() -> list[Case]:
    return [
        ranks("6 models that tie", np.zeros(6), 0.0),
        ranks("6 models that tie, paired", np.zeros(6), 0.8),
        ranks("3 and 3 models that tie", np.repeat([0.0, 1e3], 3), 0.0),
        ranks("6 models 0.7 sd apart", 0.7 * np.arange(6), 0.0),
    ]


def ranks(what: str, truth: np.ndarray, correlation: float) -> Case:
    """All rank sets at once, of normal estimates with standard deviation 1; who ties may have any rank of the tie.

    A replicate counts as an interval that holds 0 if every set holds the true ranks of its model.
    """
    p = len(truth)
    covariance = np.eye(p) * (1 - correlation) + correlation
    root = np.linalg.cholesky(covariance)
    low, high = ((np.less if strict else np.less_equal).outer(truth, truth).sum(0) for strict in (True, False))

    def draw(rng: np.random.Generator) -> Measure:
        found = rank_sets(truth + root @ rng.standard_normal(p), covariance, seed=int(rng.integers(2**31)))
        missed = float(not ((found.low <= low + 1) & (high <= found.high)).all())
        return Measure(missed, "estimate", None, (missed, missed), "rank sets of Mogstad et al., 2024")

    return Case(("ranks",), what, str(p), lambda rng: {"ranks": draw(rng)}, lambda: {"ranks": Truth(0.0)}, 2000)
