"""How many of K draws from the prior count, where p(x) is estimated by mean_k p(x | z_k).

z ~ N(0, I_d), x | z ~ N(z, s^2 I). The share of draws that count is (E w)^2 / E w^2, w = p(x | z), z ~ p(z): the limit
of the effective sample size over K (Kong, 1992). Per dimension, with x ~ N(0, 1 + s^2),

    E w = N(x; 0, 1 + s^2),    E w^2 = N(x; 0, 1 + s^2/2) / sqrt(4 pi s^2)

and the mean of the log of the share over x is a number for each dimension, times d. The log of the mean of K weights
is below log p(x) on average; how far is simulated.
"""

from __future__ import annotations

import math

import numpy as np

from genbench.numerics.intervals import Z95
from genbench.studies.claims import Finding, side

SENTENCE = "Training by draws from the prior wastes nearly all of them, the more the larger the latent space."
SAID_BY = "Kingma, Welling (2014), section 1, on why an encoder is needed"
DECIDED_BY = (
    "the share of draws that count in a linear Gaussian model, in closed form, and how far an estimate of log p(x) by "
    "1,000 draws is below it, of which less than a nat would not matter"
)
CARRIES = "to a model whose posterior is known; a decoder that ignores most latents wastes fewer."
PICTURE = "Of how many draws from the prior one counts, against the number of latents, for three decoders."
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
    low, high = bias(10, NOISE, 1000)
    what = f"d = 10, noise {NOISE:g}, 1,000 draws: estimate of log p(x) less its value, nats"
    says = side(low, high, "below", -1.0)
    return [*found, Finding(what, f"{(low + high) / 2:.3g}", f"[{low:.3g}, {high:.3g}]", says)]


def bias(d: int, s: float, k: int, points: int = 4000) -> tuple[float, float]:
    """A 95 % interval of the mean over x of log mean_k p(x | z_k) - log p(x), in nats."""
    rng, off = np.random.default_rng(0), []
    for _ in range(points):
        x, z = rng.normal(0, math.sqrt(1 + s * s), d), rng.standard_normal((k, d))
        log_w = -np.square(x - z).sum(1) / (2 * s * s) - d / 2 * math.log(2 * math.pi * s * s)
        log_p = -np.square(x).sum() / (2 * (1 + s * s)) - d / 2 * math.log(2 * math.pi * (1 + s * s))
        off.append(float(np.logaddexp.reduce(log_w)) - math.log(k) - log_p)
    mean, half = float(np.mean(off)), Z95 * float(np.std(off)) / math.sqrt(points)
    return mean - half, mean + half


def plot(axes, found: list) -> None:
    dimensions = range(1, 33)
    for noise in (1.0, NOISE, 0.1):
        axes.plot(dimensions, [math.exp(-d * log_share(noise)) for d in dimensions], label=f"noise {noise:g}")
    axes.set(xlabel="latents d", ylabel="draws for one that counts", yscale="log")
    axes.legend(fontsize=8)
