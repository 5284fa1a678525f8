"""Rank sets: how often those of all models hold their true ranks at once.

Models that are compared with the same training examples share their error. Where the means of all are shifted to one
side their distances rise and fall together; where they are shifted to both sides, by as much, the distances have one
expectation by symmetry, and what moves one up moves the other down: taken for independent, these are told apart too
often.
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure, density_coverage, fd
from genbench.numerics.intervals import spread
from genbench.numerics.joint import joint
from genbench.numerics.points import Points
from genbench.numerics.ranks import freedoms, rank_sets
from genbench.studies.calibration import Case, Truth


def cases() -> list[Case]:
    return [
        ranks("6 models that tie", np.zeros(6), 0.0),
        ranks("6 models that tie, paired", np.zeros(6), 0.8),
        ranks("3 and 3 models that tie", np.repeat([0.0, 1e3], 3), 0.0),
        ranks("6 models 0.7 sd apart", 0.7 * np.arange(6), 0.0),
        of_seeds("6 models of 5 training seeds that tie", np.ones(6)),
        of_seeds("6 models of 5 seeds that tie, of which 3 vary 10 times as much", np.repeat([1.0, 10.0], 3)),
        of_seeds("6 models of 5 seeds that tie, of which 1 varies 10 times less", np.r_[np.full(5, 10.0), 1.0]),
        of_seeds("6 models of 5 seeds that tie, each twice as noisy as the one before", 2.0 ** np.arange(6)),
        of_seeds("50 models of 5 training seeds that tie", np.ones(50), replicates=200),
        of_seeds("3 models of 5 seeds tie with 3 whose variance is known", np.ones(6), known=3),
        of_bounds(3, 200),
        *(of_samples("fd", sides, alone, 1000) for sides in (1, 2) for alone in (False, True)),
        *(of_samples(output, sides, False, 100) for output in ("density", "coverage") for sides in (1, 2)),
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


def of_seeds(what: str, scatter: np.ndarray, known: int = 0, seeds: int = 5, replicates: int = 2000) -> Case:
    """Rows of a few checkpoints, whose variance is estimated, with its degrees of freedom: their values tie.

    Arguments:
        scatter: standard deviation of a checkpoint's value, by model.
        known: of so many models the variance of the mean is given.
    """
    p = len(scatter)

    def draw(rng: np.random.Generator) -> Measure:
        x = scatter[:, None] * rng.standard_normal((p, seeds))
        variances, freedom = x.var(1, ddof=1) / seeds, np.full(p, seeds - 1.0)
        variances[:known], freedom[:known] = scatter[:known] ** 2 / seeds, np.inf
        nothing = np.zeros((p, p)), np.inf
        return tie(x.mean(1), np.diag(variances), freedoms(np.diag(variances), nothing, (variances[:, None], freedom)))

    return Case(
        ("ranks",), what, f"{p}, {seeds}", lambda rng: {"ranks": draw(rng)}, lambda: {"ranks": Truth(0.0)}, replicates
    )


def of_bounds(exact: int, n: int, p: int = 6, gap: float = 0.5) -> Case:
    """Exact likelihoods of n examples beside bounds by one importance weight, which certify as much as they.

    A bound is log p(x) + log w with log w from N(-gap, 2 gap), so that E w = 1: its model is better by the gap. What
    ranks order is the bound: all tie.
    """

    def draw(rng: np.random.Generator) -> Measure:
        log_p = 2.0 * rng.standard_normal(n) + rng.standard_normal((p, n))  # the examples are hard or easy for all
        log_w = rng.normal(-gap, np.sqrt(2 * gap), (p, n))
        log_w[:exact] = -gap
        values = log_p + log_w
        return tie(-values.mean(1), np.cov(values) / n, np.full((p, p), n - 1.0))

    what = f"{exact} exact likelihoods tie with {p - exact} bounds, paired"
    return Case(("ranks",), what, f"{p}, {n}", lambda rng: {"ranks": draw(rng)}, lambda: {"ranks": Truth(0.0)}, 2000)


def tie(values: np.ndarray, covariance: np.ndarray, freedom: np.ndarray) -> Measure:
    """1 where a set tells one of these apart from another, which none is, else 0."""
    found = rank_sets(values, covariance, freedom=freedom)
    missed = float((found.low > 1).any())
    return Measure(missed, "estimate", None, (missed, missed), "rank sets of Mogstad et al., 2024")


def of_samples(output: str, sides: int, alone: bool, replicates: int, n: int = 100, m: int = 200, d: int = 4) -> Case:
    """Six Gaussians beside one standard Gaussian of m training examples: they tie, and no set may set one apart.

    Arguments:
        sides: to which their means are shifted, by 1.
        alone: whether what they share is left out of account.
    """
    metric = fd if output == "fd" else density_coverage

    def draw(rng: np.random.Generator) -> Measure:
        y = Points(rng.standard_normal((m, d)))
        measures = []
        for i in range(6):
            x = rng.standard_normal((n, d))
            x[:, 0] += -1 if sides == 2 and i % 2 else 1
            measures.append(metric.compute(Points(x), y)[output])
        stderr, freedom = np.array([spread(one.stderr or 0.0, one.ci95) for one in measures]).T
        covariance, shared = joint(stderr, np.array([one.shared for one in measures]))
        if alone:
            covariance, shared = np.diag(stderr**2), np.zeros_like(shared)
        own = np.maximum(stderr[:, None] ** 2 - shared, 0), freedom
        found = freedoms(covariance, (shared, len(measures[0].shared) - 1), own)
        return tie(np.array([one.value for one in measures]), covariance, found)

    how = "as if independent" if alone else "with what they share"
    what = f"{output} of 6 models on {'one side' if sides == 1 else 'both sides'}, {how}"
    return Case(
        ("ranks",), what, f"{n}, {m}", lambda rng: {"ranks": draw(rng)}, lambda: {"ranks": Truth(0.0)}, replicates
    )
