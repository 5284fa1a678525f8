"""Jackknife variational inference (JVI): the importance-weighted bound without the first order of its bias.

The bound L_K = log 1/K sum_k exp w_k has E L_K = log p - c/(2K) + O(1/K^2). With L_{-i} the bound without weight i,

    J = K L_K - (K-1) mean_i L_{-i}

has E J = log p + O(1/K^2). It is an *estimate*: its expectation may lie on either side of log p, so it is no bound.
It is computed as L_K + (K-1) mean_i (L_K - L_{-i}), the same without the difference of two large numbers.

References:
    Debiasing evidence approximations: on importance-weighted autoencoders and jackknife variational inference
    (Nowozin, 2018), section 3, m = 1.
    Delete-m jackknife for unequal m (Busing, Meijer, van der Leeden, 1999), equation 8.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import logsumexp

from genbench.numerics.logmeanexp import LogMeanExp

KIND = "estimate"


def jackknife(w: np.ndarray) -> np.ndarray:
    """J from log-weights `[K, B]`, K >= 2: `[B]` float64, nats.

    -inf is a weight of 0. Where every weight is 0, J is -inf; where all but one are, it is +inf: the bound without that
    one says that x is impossible, and the formula extrapolates from there.
    """
    w = np.asarray(w, dtype=np.float64)
    K = len(w)
    if w.ndim != 2 or K < 2:
        raise ValueError(f"the jackknife needs log-weights [K, B] with K >= 2, got {list(w.shape)}")
    bound = LogMeanExp.of(w).log_mean
    log_rest = log_share_of_the_rest(w)  # [K, B]
    # L_{-i} = log (S - exp w_i) - log(K-1), so L_K - L_{-i} = log((K-1)/K) - log(1 - share_i).
    # A log1p of 1/K, not the log of a ratio near 1: it is multiplied by K-1.
    with np.errstate(invalid="ignore"):  # -inf + inf
        corrected = bound + (K - 1) * (np.log1p(-1 / K) - log_rest.mean(0))
    return np.where(bound == -np.inf, -np.inf, corrected)


def log_share_of_the_rest(w: np.ndarray) -> np.ndarray:
    """log(1 - exp(w_i) / sum_k exp(w_k)) for every i: `[K, B]` -> `[K, B]`.

    log1p(-share) is exact to rounding up to a share of one half. At most one weight of a column has more,
    and there the sum of the others is taken itself.
    """
    with np.errstate(invalid="ignore"):  # -inf less -inf, where every weight is 0
        total = logsumexp(w, axis=0)
        log_share = w - total
        dominant = log_share > np.log(0.5)
        others = logsumexp(np.where(dominant, -np.inf, w), axis=0) - total
        return np.where(dominant, others, np.log1p(-np.exp(np.where(dominant, -np.inf, log_share))))


def jackknife_groups(groups: Sequence[LogMeanExp]) -> np.ndarray:
    """J from the states of G >= 2 groups of weights, of any sizes m_g: `[B]`, nats.

    J = G L - sum_g (1 - m_g/K) L_{-g} = L + sum_g (1 - m_g/K) (L - L_{-g}), K = sum m_g. With one weight in each
    group it is `jackknife`. The larger the groups, the fewer the states, and the larger the variance of the correction.
    """
    if len(groups) < 2:
        raise ValueError(f"the jackknife needs at least 2 groups of weights, got {len(groups)}")
    whole, rests = without_each(groups)
    bound, correction = whole.log_mean, np.zeros_like(whole.log_mean)
    with np.errstate(invalid="ignore"):  # -inf less -inf
        for group, rest in zip(groups, rests, strict=True):
            correction += (1 - group.n / whole.n) * (bound - rest.log_mean)
    return np.where(bound == -np.inf, -np.inf, bound + correction)


def without_each(groups: Sequence[LogMeanExp]) -> tuple[LogMeanExp, list[LogMeanExp]]:
    """The state of all groups, and of all but each: by merges from both ends, for taking away would cancel."""
    before, after = [groups[0]], [groups[-1]]
    for group in groups[1:]:
        before.append(before[-1].merge(group))
    for group in reversed(groups[:-1]):
        after.append(after[-1].merge(group))
    after.reverse()  # after[g] holds groups g ...
    inner = [before[g - 1].merge(after[g + 1]) for g in range(1, len(groups) - 1)]
    return before[-1], [after[1], *inner, before[-2]]
