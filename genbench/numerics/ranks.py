"""Rank sets: the ranks that the data allow for each of several estimates, with one confidence for all of them.

theta_1 ... theta_p are estimated with errors N(0, Sigma). The rank of j is 1 + the number of k that are better. Whether
k is better than j is a one-sided hypothesis for each ordered pair; they are tested together, by steps down (Romano and
Wolf, 2005), with the quantile of

    max over the pairs not yet decided of ((e_j - e_k) / sd(e_j - e_k)),   e ~ N(0, Sigma),

as the critical value. With probability of at least `level` no pair is decided wrongly, and then the rank of every j
lies from 1 + the number of k decided to be better to p - the number of k decided to be worse.

Sigma is an estimate. A difference whose variance is known with few degrees of freedom has the tails of Student's t: its
statistic counts as the normal value that is exceeded as often (docs/coverage.md says how well this holds).

`DRAWS` simulations give the critical value with a standard error of about 0.01: over 20 seeds, 2 of 1,480 ends of the
37 sets of the PISA means move (tests/numerics/test_ranks.py).

References:
    An approximate distribution of estimates of variance components (Satterthwaite, 1946).
    Inference for ranks with applications to mobility across neighbourhoods and academic achievement across countries
    (Mogstad, Romano, Shaikh, Wilhelm, 2024), sections 3.1 and 3.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genbench.numerics.student import as_normal

DRAWS = 10_000
ROUNDING = 1e-9  # of the larger of two standard deviations: a difference of less has none


@dataclass(frozen=True)
class RankSets:
    """Ranks from 1, the best: `low` and `high` `[p]`, the ends of each set."""

    low: np.ndarray
    high: np.ndarray

    @property
    def best(self) -> np.ndarray:
        """Whether each may be the best one `[p]`."""
        return self.low == 1


def rank_sets(
    values: np.ndarray,
    covariance: np.ndarray,
    level: float = 0.95,
    direction: str = "lower",
    draws: int = DRAWS,
    seed: int = 0,
    freedom: np.ndarray | None = None,
) -> RankSets:
    """Confidence sets for the ranks of all of `values` `[p]` at once.

    Two values whose difference has no standard deviation tie if they are equal, and are told apart for certain if not.
    An infinite value is told apart for certain from every finite one, and ties with its equals.

    Arguments:
        values: the estimates.
        covariance: of their errors `[p, p]`; rows of infinite values are not used.
        level: the probability with which all sets hold the true ranks.
        direction: "lower" or "higher", which one is better.
        freedom: the degrees of freedom of the variance of every difference `[p, p]`; None where they are known.

    Raises:
        ValueError: a value or a covariance that is no number, or a direction that is none of the two.
    """
    values, covariance = np.asarray(values, np.float64), np.asarray(covariance, np.float64)
    p = len(values)
    if direction not in ("lower", "higher"):
        raise ValueError(f"ranks need a direction, lower or higher, not {direction!r}")
    if np.isnan(values).any() or covariance.shape != (p, p):
        raise ValueError(f"ranks need {p} values that are numbers and their covariance {[p, p]}")
    cost = values if direction == "lower" else -values
    finite = np.isfinite(cost)
    if not np.isfinite(covariance[np.ix_(finite, finite)]).all():
        raise ValueError("ranks need finite covariances of finite values")
    worse = cost[:, None] > cost[None, :]  # [j, k]: k is better than j, as far as one sees
    inside = np.ix_(finite, finite)
    freedom = np.full((p, p), np.inf) if freedom is None else freedom
    worse[inside] = decided(cost[finite], covariance[inside], freedom[inside], level, draws, seed)
    return RankSets(1 + worse.sum(1), p - worse.sum(0))


def of_differences(covariance: np.ndarray) -> np.ndarray:
    """The variance of every difference of two values `[p, p]`, of their covariance `[p, p]`."""
    own = np.diag(covariance)
    return np.maximum(np.add.outer(own, own) - covariance - covariance.T, 0)


def freedoms(
    covariance: np.ndarray, shared: tuple[np.ndarray, float], own: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """The degrees of freedom of the variance of every difference `[p, p]`, by Satterthwaite.

    Arguments:
        covariance: of the values `[p, p]`.
        shared: a covariance `[p, p]` that is part of it, and the degrees of freedom with which it was seen.
        own: what each value adds to the variances of its differences, `[p, 1]` or, from each other one, `[p, p]`; and
            with how many degrees of freedom that was seen `[p]`.
    """
    (together, seen), (alone, each) = shared, own
    error = alone**2 / each[:, None]
    below = of_differences(together) ** 2 / seen + error + error.T
    return np.divide(of_differences(covariance) ** 2, below, out=np.full(below.shape, np.inf), where=below > 0)


def decided(
    cost: np.ndarray, covariance: np.ndarray, freedom: np.ndarray, level: float, draws: int, seed: int
) -> np.ndarray:
    """For which pairs [j, k] it is decided that k is better than j, which costs more: `[p, p]`."""
    p = len(cost)
    sd = np.sqrt(np.maximum(np.diag(covariance), 0))
    error = np.sqrt(of_differences(covariance))
    certain = error <= ROUNDING * np.maximum.outer(sd, sd)
    gap = np.subtract.outer(cost, cost)
    found = certain & (gap > 0)
    j, k = np.nonzero(np.triu(~certain, 1))
    if len(j) == 0:
        return found
    statistic = as_normal(gap[j, k] / error[j, k], freedom[j, k])  # > 0 where k is better
    spread, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(spread, 0))
    normal = np.random.default_rng(seed).standard_normal((p, draws), np.float32)
    contrasts = ((root[j] - root[k]) / error[j, k][:, None]).astype(np.float32)
    noise = contrasts @ normal  # [pairs, draws], of either sign
    above, below = np.ones(len(j), bool), np.ones(len(j), bool)  # the hypotheses not yet decided
    while True:
        sides = [side for side in (of(noise, above, np.max), -of(noise, below, np.min)) if side.size]
        critical = np.quantile(np.maximum.reduce(sides), level) if sides else np.inf
        new = above & (statistic > critical), below & (-statistic > critical)
        if not (new[0].any() or new[1].any()):
            return found
        found[j[new[0]], k[new[0]]] = True
        found[k[new[1]], j[new[1]]] = True
        above, below = above & ~new[0], below & ~new[1]


def of(noise: np.ndarray, rows: np.ndarray, extreme: Callable[..., np.ndarray]) -> np.ndarray:
    """The extreme of some rows `[draws]`, empty for none."""
    return extreme(noise if rows.all() else noise[rows], axis=0) if rows.any() else np.zeros(0)
