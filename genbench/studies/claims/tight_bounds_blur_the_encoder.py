"""Signal and noise of the gradients of the importance-weighted bound, with K draws.

z ~ N(m, 1), x | z ~ N(z, 1), q(z | x) = N(a x, 2/3); at m = 0 and a = 0.6, where the posterior has 1/2 for both. The
gradients of log mean_k p(x, z_k) / q(z_k | x) with respect to a (of the encoder, reparameterised) and to m (of the
model) are drawn REPEATS times at x = 1: |mean| / deviation is the share of signal. Rainforth et al. show that it falls
like 1/sqrt(K) for the encoder and rises like sqrt(K) for the model.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np
import torch
from scipy import stats

from genbench.studies.claims import Finding, side

SENTENCE = "More importance weights give the encoder a worse gradient and the model a better one."
SAID_BY = "Rainforth et al. (2018), theorem 1"
DECIDED_BY = "mean over deviation of 100,000 gradients with 256 draws, less that with one, in a linear Gaussian model"
CARRIES = (
    "to the usual reparameterised gradient; the doubly reparameterised one (Tucker et al., 2019) does not lose it."
)
PICTURE = "Mean over deviation of one gradient, against the number of draws."
X, A, VARIANCE, DRAWS, REPEATS, PARTS = 1.0, 0.6, 2 / 3, (1, 4, 16, 64, 256), 100_000, 20


@cache
def signals(k: int) -> dict[str, np.ndarray]:
    """Mean over deviation of each gradient, in PARTS equal parts of the repeats `[PARTS]`; above 0 on average."""
    generator = torch.Generator().manual_seed(k)
    rows: dict[str, list[float]] = {"encoder": [], "model": []}
    for _ in range(PARTS):
        a = torch.full((REPEATS // PARTS, 1), A, requires_grad=True)
        m = torch.zeros(REPEATS // PARTS, 1, requires_grad=True)
        noise = torch.randn(REPEATS // PARTS, k, generator=generator)
        with torch.enable_grad():
            z = a * X + math.sqrt(VARIANCE) * noise
            log_q = -0.5 * (z - a * X).square() / VARIANCE
            log_w = -0.5 * (z - m).square() - 0.5 * (X - z).square() - log_q
            grads = torch.autograd.grad(torch.logsumexp(log_w, 1).sum(), (a, m))
        for name, g in zip(rows, grads, strict=True):
            rows[name].append(float(g.mean() / g.std()))
    return {name: np.array(values) * np.sign(np.mean(values)) for name, values in rows.items()}


def measure() -> list[Finding]:
    found = []
    expectations: tuple[tuple[str, Literal["above", "below"]], ...] = (("encoder", "below"), ("model", "above"))
    for name, expected in expectations:
        one, many = (signals(k)[name] for k in (DRAWS[0], DRAWS[-1]))
        change = float(many.mean() - one.mean())
        half = float(stats.t.ppf(1 - 0.025 / 2, PARTS - 1)) * math.sqrt((one.var(ddof=1) + many.var(ddof=1)) / PARTS)
        says = side(change - half, change + half, expected, 0.0)
        what = f"signal of the {name}'s gradient with one draw and with {DRAWS[-1]}"
        interval = f"{change:+.3g} [{change - half:+.3g}, {change + half:+.3g}]"
        found.append(Finding(what, f"{one.mean():.3g} and {many.mean():.3g}", interval, says))
    return found


def plot(axes, found: list) -> None:
    for name, style in (("encoder", "o-"), ("model", "s-")):
        axes.plot(DRAWS, [signals(k)[name].mean() for k in DRAWS], style, label=name)
    axes.set(xlabel="draws K", ylabel="|mean| / deviation of a gradient", xscale="log", yscale="log")
    axes.legend(fontsize=8)
