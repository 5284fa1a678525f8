"""Mutual information of data and latents: a lower bound that can say no more than log n, and two upper bounds.

With x ~ p(x) and z ~ q(z | x), whose density is known, n test examples x_i and a draw z_i of each,

    I(x; z) >= 1/n sum_i log [ q(z_i | x_i) / (1/n sum_j q(z_i | x_j)) ]            <= log n
    I(x; z) <= 1/n sum_i log [ q(z_i | x_i) / (1/(n-1) sum_{j != i} q(z_i | x_j)) ]

in expectation (Poole et al. 2019, equations 12 and 13 with the critic that is optimal, q itself). The first is what is
reported. It cannot exceed log n, whatever the truth is: 6.2 nats of 500 examples. Near that ceiling it only says that
every example can be told from all others by its latents, which is so of all but poor codes. A value clearly below is
news: then examples share their latents. The upper bound and the rate, `latent_kl`, which bounds the information too,
stand in the details.

DRAWS draws of every z are averaged. The interval is the jackknife's over examples, each left out of the sum and of all
denominators; it covers fresh test examples, for the bound at n examples and not for the information itself.

References:
    On variational bounds of mutual information (Poole, Ozair, van den Oord, Alemi, Tucker, 2019).
    Formal limitations on the measurement of mutual information (McAllester, Stratos, 2020): no lower bound from n
    examples says more than about log n.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import logsumexp

from genbench.domains import check
from genbench.metrics import Measure, holding
from genbench.metrics._inputs import matrices
from genbench.numerics.intervals import Z95

VERSION = 1
NEEDS = ("gaussian_posteriors",)
OUTPUTS = {
    "mutual_information": {
        "unit": "nats",
        "direction": "none",
        "range": (None, None),
        "title": "mutual information of data and latents",
        "misses": "never more than the logarithm of the number of test examples; more is not better by itself",
        "group": "representation",
        "place": 448,
    },
}
REFERENCE = "Poole et al., 2019"
DOMAINS = {"draws": "a whole number in [1, inf)"}

NEAR = 0.05  # of the ceiling: from there the bound says nothing of how much more there is
SEED = 0


def compute(gaussian_posteriors: dict[str, np.ndarray], draws: int = 5) -> dict[str, Measure]:
    """Arguments: `draws` of z for every example."""
    check(DOMAINS, {"draws": draws}, "mutual_information")
    mean, log_sd = (x.astype(np.float64) for x in matrices(3, **gaussian_posteriors))
    n, d = mean.shape
    rng, precision = np.random.default_rng(SEED), np.exp(-2 * log_sd)
    lower, upper, without = np.zeros(draws), np.zeros(draws), np.zeros((draws, n))
    for k in range(draws):
        z = mean + np.exp(log_sd) * rng.standard_normal((n, d))
        # log q(z_i | x_j) up to a constant, [n, n]
        log_q = -0.5 * ((z**2) @ precision.T - 2 * z @ (mean * precision).T + (mean**2 * precision).sum(1))
        log_q -= log_sd.sum(1)
        own, total = np.diag(log_q).copy(), logsumexp(log_q, axis=1)
        terms = own - total + math.log(n)
        lower[k] = terms.mean()
        with np.errstate(divide="ignore", invalid="ignore"):
            left = total[:, None] + np.log1p(-np.minimum(np.exp(log_q - total[:, None]), 1.0))  # of sums without j
        np.fill_diagonal(log_q, -np.inf)
        others = logsumexp(log_q, axis=1)
        upper[k] = (own - others).mean() + math.log(n - 1)
        left = np.where(np.isfinite(left), left, others[:, None])  # j took all of the sum that float64 shows
        kept = own[:, None] - left + math.log(n - 1)  # term i without example j
        np.fill_diagonal(kept, 0.0)
        without[k] = kept.sum(0) / (n - 1)
    value = float(lower.mean())
    each = without.mean(0)
    stderr = math.sqrt((n - 1) / n * float(((each - each.mean()) ** 2).sum()))
    ceiling = math.log(n)
    rate = float((0.5 * (mean**2 + np.expm1(2 * log_sd)) - log_sd).sum(1).mean())
    details = {"n": n, "ceiling": ceiling, "upper_bound": float(upper.mean()), "rate": rate, "draws": draws}
    if value > (1 - NEAR) * ceiling:
        details["note"] = (
            f"at the ceiling of {ceiling:.2f} nats that {n:,} examples allow: the information is that or more"
        )
    ci = holding(value, value - Z95 * stderr, value + Z95 * stderr, most=ceiling)
    return {"mutual_information": Measure(value, "lower_bound", stderr, ci, "jackknife over examples", details=details)}
