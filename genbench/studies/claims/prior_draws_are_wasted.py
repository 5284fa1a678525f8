"""How many of K draws from the prior count, where p(x) is estimated by mean_k p(x | z_k).

z ~ N(0, I_d), x | z ~ N(z, s^2 I). The share of draws that count is (E w)^2 / E w^2, w = p(x | z), z ~ p(z): the limit
of the effective sample size over K (Kong, 1992). Per dimension, with x ~ N(0, 1 + s^2),

    E w = N(x; 0, 1 + s^2),    E w^2 = N(x; 0, 1 + s^2/2) / sqrt(4 pi s^2)

and the mean of the log of the share over x is a number for each dimension, times d. The log of the mean of K weights
is below log p(x) on average; how far is simulated, and so is the effective sample size of K draws,

    (sum_k w_k)^2 / sum_k w_k^2,

which is 1 at least, however few of the draws are near the posterior.
"""

from __future__ import annotations

import math

import numpy as np

from genbench.numerics.multiple import quantile
from genbench.studies.claims import Finding, side

SENTENCE = "Training by draws from the prior wastes nearly all of them, the more the larger the latent space."
SAID_BY = "Kingma, Welling (2014), section 1, on why an encoder is needed"
DECIDED_BY = (
    "the share of draws that count in a linear Gaussian model, in closed form, and how far an estimate of log p(x) by "
    "1,000 and by 10,000 draws is below it, of which less than a nat would not matter; and their effective sample "
    "size: nearly all are wasted where it is less than 1 % of them"
)
CARRIES = (
    "to a model whose posterior is known; a decoder that ignores most latents wastes fewer. What that does to training "
    "is asked by `encoders-beat-prior-draws`."
)
PICTURE = "Effective sample size of K draws from the prior, noise 0.3, mean over 100 x."
NOISE = 0.3


def log_share(s: float) -> float:
    """E_x log of the share of draws that count, for each dimension, in nats."""
    marginal, doubled = 1 + s * s, 1 + s * s / 2
    log_squared = -math.log(2 * math.pi * marginal) - 1.0  # 2 E log N(x; 0, 1 + s^2)
    log_second = -0.5 * (math.log(2 * math.pi * doubled) + marginal / doubled) - 0.5 * math.log(4 * math.pi * s * s)
    return log_squared - log_second


def measure() -> list[Finding]:
    found = []
    for d, than in ((2, 0.5), (10, 0.01), (50, 1e-9)):
        share = math.exp(d * log_share(NOISE))
        what = f"d = {d}, noise {NOISE:g}: share of draws that count"
        found.append(Finding(what, f"{share:.2g}", "exact", side(share, share, "below", than)))
    ten = {k: drawn(10, NOISE, k, points) for k, points in ((1000, 4000), (10_000, 400))}
    simulated: list[tuple[str, tuple[float, float], float]] = []
    for k, (counts, off) in ten.items():
        what = f"d = 10, noise {NOISE:g}, {k:,} draws: "
        simulated.append((what + "effective sample size", interval(counts), k / 100))
        simulated.append((what + "estimate of log p(x) less its value, nats", interval(off), -1.0))
    fewer = np.log(ten[1000][0]) - np.log(drawn(2, NOISE, 1000)[0])
    what = f"log effective sample size of 1,000 draws, d = 10 less d = 2, noise {NOISE:g}"
    simulated.append((what, interval(fewer), 0.0))
    for what, (low, high), than in simulated:
        says, why = side(low, high, "below", than), f"is it below {than:g}?"
        found.append(Finding(what, f"{(low + high) / 2:.3g}", f"[{low:.3g}, {high:.3g}]", says, why))
    return found


def drawn(d: int, s: float, k: int, points: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Of so many x the effective sample size of k draws, and log mean_k p(x | z_k) - log p(x) in nats: `[points]`."""
    rng, counts, off = np.random.default_rng(0), [], []
    for _ in range(points):
        x, z = rng.normal(0, math.sqrt(1 + s * s), d), rng.standard_normal((k, d))
        log_w = -np.square(x - z).sum(1) / (2 * s * s) - d / 2 * math.log(2 * math.pi * s * s)
        log_p = -np.square(x).sum() / (2 * (1 + s * s)) - d / 2 * math.log(2 * math.pi * (1 + s * s))
        log_sum = float(np.logaddexp.reduce(log_w))
        off.append(log_sum - math.log(k) - log_p)
        counts.append(math.exp(2 * log_sum - float(np.logaddexp.reduce(2 * log_w))))
    return np.array(counts), np.array(off)


def interval(values: np.ndarray, together: int = 5) -> tuple[float, float]:
    """A 95 % interval of the mean, of so many that hold together."""
    half = quantile(together) * float(values.std()) / math.sqrt(len(values))
    return float(values.mean()) - half, float(values.mean()) + half


def plot(axes, found: list) -> None:
    draws = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000]
    for d in (1, 2, 5, 10, 20):
        axes.plot(draws, [drawn(d, NOISE, k, 100)[0].mean() for k in draws], label=f"{d} latent{'s' * (d > 1)}")
    axes.plot(draws, draws, "--", color="#888888", linewidth=0.8, label="all of them")
    axes.set(xlabel="draws from the prior K", ylabel="effective sample size", xscale="log", yscale="log")
    axes.legend(fontsize=8)
