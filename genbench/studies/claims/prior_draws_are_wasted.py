"""How many of K draws from the prior count, where p(x) is estimated by mean_k p(x | z_k).

z ~ N(0, I_d), x | z ~ N(z, s^2 I). The share of draws that count is (E w)^2 / E w^2, w = p(x | z), z ~ p(z): the limit
of the effective sample size over K (Kong, 1992). Per dimension, with x ~ N(0, 1 + s^2),

    E w = N(x; 0, 1 + s^2),    E w^2 = N(x; 0, 1 + s^2/2) / sqrt(4 pi s^2)

and the mean of the log of the share over x is a number for each dimension, times d.
"""

from __future__ import annotations

import math

from genbench.studies.claims import Finding, side

SENTENCE = "Training by draws from the prior wastes nearly all of them, the more the larger the latent space."
SAID_BY = "Kingma, Welling (2014), section 1, on why an encoder is needed"
DECIDED_BY = "the share of draws that count in a linear Gaussian model, in closed form"
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
    return found


def plot(axes, found: list) -> None:
    dimensions = range(1, 33)
    for noise in (1.0, NOISE, 0.1):
        axes.plot(dimensions, [math.exp(-d * log_share(noise)) for d in dimensions], label=f"noise {noise:g}")
    axes.set(xlabel="latents d", ylabel="draws for one that counts", yscale="log")
    axes.legend(fontsize=8)
