"""How many kinds a histogram shows, and its KL divergence from given probabilities, with what sampling does to them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.special import rel_entr

from genbench.metrics import Measure, normal


def count_of(what: str, seen: int, details: dict[str, Any]) -> Measure:
    """How many of the classes, or modes, were seen."""
    why = f"none: a count of {what} seen can only grow with n, so no interval about it is honest"
    return Measure(float(seen), "estimate", None, None, why, details=details)


def kl_of_counts(counts: np.ndarray, q: np.ndarray, **rest: Any) -> Measure:
    """KL(p || q) in nats, p = counts / n, q `[c]` known probabilities.

    The counts are multinomial. To second order in p - E p,

        KL_hat = KL + sum_c (p_c - E p_c) log(E p_c / q_c) + 1/2 sum_c (p_c - E p_c)^2 / E p_c,

    where 2n times the last term is chi-squared with r = (classes seen) - 1 degrees of freedom for
    any q, and so has the variance V2 = r/(2 n^2). Estimated from the counts, the variance of the
    linear term var_p(log p/q)/n comes out 2 V2 too large, hence the total less V2, and at least V2.
    The value exceeds the limit of many samples by r/(2n), given in the details; the interval is for
    the expectation at this n.

    Arguments:
        rest: further fields of the Measure; `details` is added to.
    """
    n, seen = int(counts.sum()), counts > 0
    details = rest.pop("details", {}) | {"counts": counts.tolist(), "n": n}
    p = counts / n if n else np.full(len(counts), np.nan)
    value = max(float(rel_entr(p, q).sum()), 0.0) if n else math.nan  # of equal ones rounding can make it negative
    if not math.isfinite(value) or seen.sum() < 2:
        why = "all fell in one class, whose estimated variance is 0"
        if not math.isfinite(value):
            why = "a class of probability 0 was seen" if n else "nothing was counted"
        bad = int(not math.isfinite(value))
        return Measure(value, "estimate", None, None, f"none: {why}", n_nonfinite=bad, details=details, **rest)
    r = int(seen.sum()) - 1
    log_ratio = np.log(p[seen] / q[seen])
    linear = float((p[seen] * (log_ratio - value) ** 2).sum()) / n
    quadratic = r / (2 * n * n)
    stderr = math.sqrt(max(linear - quadratic, quadratic))
    details |= {"bias": r / (2 * n)}
    method = "normal at this n, multinomial delta method to second order, cut at 0"
    return normal(value, stderr, method=method, least=0.0, details=details, **rest)
