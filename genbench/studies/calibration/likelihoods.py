"""Means over test examples of log-likelihoods, whose truth has a closed form."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy import integrate, signal
from scipy.special import logsumexp
from torch import Tensor

from genbench.metrics import Measure, mean, nll_stream, share
from genbench.space import Space
from genbench.studies.calibration import Case, Truth

LOG_2PI = math.log(2 * math.pi)
REPLICATES = 10_000


def cases() -> list[Case]:
    return [
        gaussian_nll(50),
        gaussian_nll(500),
        skewed_nll(100),
        skewed_nll(500),
        importance_weighted_nll(100, 5),
        importance_weighted_nll(500, 50),
        paired_difference(100),
        paired_difference(500),
        stream(435, 0.0),
        stream(435, 0.5),
        stream(435, 0.8),
        stream(435, 0.95),
        proportion(500, 0.5),
        proportion(500, 0.1),
        proportion(500, 0.02),
        balanced(100, 3),
        balanced(500, 20),
    ]


def one(
    output: str, what: str, n: int, truth: float | Callable[[], float], draw: Callable[[np.random.Generator], Measure]
) -> Case:
    """Of one output, whose truth is in closed form."""

    def known() -> dict[str, Truth]:
        return {output: Truth(truth() if callable(truth) else truth)}

    return Case((output,), what, str(n), lambda rng: {output: draw(rng)}, known, REPLICATES)


def gaussian_nll(n: int) -> Case:
    """Exact NLL of x ~ N(0, 1) under itself: the entropy."""
    return one(
        "nll",
        "exact, Gaussian",
        n,
        0.5 * (LOG_2PI + 1),
        lambda rng: mean(0.5 * (rng.standard_normal(n) ** 2 + LOG_2PI), kind="exact"),
    )


def skewed_nll(n: int) -> Case:
    """Exact NLL of x ~ N(0, 1) under N(0, 1/4), in 4 dimensions: a skewed log-likelihood."""
    d, variance = 4, 0.25
    truth = 0.5 * d * (LOG_2PI + math.log(variance) + 1 / variance)

    def draw(rng: np.random.Generator) -> Measure:
        squares = (rng.standard_normal((n, d)) ** 2).sum(1)
        return mean(0.5 * (squares / variance + d * (LOG_2PI + math.log(variance))), kind="exact")

    return one("nll", "exact, too narrow a model", n, truth, draw)


def expected_bound(x: float, k: int) -> float:
    """E log 1/K sum w for z ~ N(0, 1), w = N(x; z, 1): log S = int_0^inf (e^-t - e^-tS)/t dt (Frullani)."""
    z, weight = np.polynomial.legendre.leggauss(1000)
    z, weight = 10 * z, 10 * weight * np.exp(-50 * z**2) / math.sqrt(2 * math.pi)
    w = np.exp(-0.5 * (x - z) ** 2) / math.sqrt(2 * math.pi)

    def integrand(s: float) -> float:  # t = e^s
        t = math.exp(s)
        return math.exp(-t) - float(weight @ np.exp(-t * w / k)) ** k

    return integrate.quad(integrand, -30, 40, limit=2000, epsabs=1e-9)[0]


def importance_weighted_nll(n: int, k: int) -> Case:
    """The IWAE-K bound of z ~ N(0, 1), x | z ~ N(z, 1) with q = prior, on x from the model."""

    def truth() -> float:
        node, weight = np.polynomial.hermite_e.hermegauss(30)
        bounds = [expected_bound(math.sqrt(2) * x, k) for x in node]
        return -float(weight @ bounds / weight.sum())

    def draw(rng: np.random.Generator) -> Measure:
        x = math.sqrt(2) * rng.standard_normal(n)
        log_w = -0.5 * (x - rng.standard_normal((k, n))) ** 2 - 0.5 * LOG_2PI
        return mean(math.log(k) - logsumexp(log_w, axis=0), kind="upper_bound")

    return one("nll", f"IWAE-{k} bound, linear-Gaussian", n, truth, draw)


def paired_difference(n: int) -> Case:
    """NLL of N(0.1, 1) less that of N(0, 1), on the same x ~ N(0, 1): 0.1^2 / 2."""
    shift = 0.1

    def draw(rng: np.random.Generator) -> Measure:
        x = rng.standard_normal(n)
        return mean(0.5 * ((x - shift) ** 2 - x**2))

    return one("nll", "difference of two models, paired", n, shift**2 / 2, draw)


def stream(n: int, correlation: float) -> Case:
    """The NLL of one text whose n windows go on from each other: a Gaussian chain of order one about 2.4 bits."""

    def draw(rng: np.random.Generator) -> Measure:
        noise = rng.standard_normal(n)
        noise[1:] *= math.sqrt(1 - correlation**2)  # so that every window has variance 1
        windows = signal.lfilter([1.0], [1.0, -correlation], noise)
        return nll_stream.compute(-math.log(2) * (2.4 + 0.3 * windows[:, None]), {"kind": "exact"})["nll_stream"]

    return one("nll_stream", f"windows correlate by {correlation}", n, 2.4, draw)


def proportion(n: int, p: float) -> Case:
    """A share of independent trials."""
    return one("any share", f"independent trials of {p}", n, p, lambda rng: share(int(rng.binomial(n, p)), n))


class Normal:
    """x ~ N(0, 1) in d dimensions."""

    def __init__(self, d: int) -> None:
        self.space = Space((d,))

    def log_prob(self, x: Tensor) -> Tensor:
        return -0.5 * (x.square() + LOG_2PI).sum(1)


def balanced(n: int, d: int) -> Case:
    """Detailed balance of a normal density's own draws: zero."""
    from genbench.likelihood.balance import balance

    model = Normal(d)

    def draw(rng: np.random.Generator) -> Measure:
        x, train = (rng.standard_normal((rows, d)).astype(np.float32) for rows in (n, 100))
        return mean(balance(model, x, train, int(rng.integers(2**31))), least=-1.0, most=1.0)

    case = one("balance", f"Gaussian, d = {d}", n, 0.0, draw)
    return replace(case, replicates=2000)
