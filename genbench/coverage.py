"""How often do 95 % intervals hold the truth? Simulation over models whose truth is known.

    python -m genbench.coverage [--replicates 10000]

prints the table of docs/coverage.md. Each row draws a fresh test set many times, makes the interval
that a record would hold, and counts how often the true value is inside. The share has its own
standard error, sqrt(0.95 * 0.05 / replicates).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import integrate
from scipy.special import logsumexp
from tabulate import tabulate

from genbench.metrics import Measure, mean, share

LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class Case:
    """One kind of interval on one kind of data.

    Arguments:
        draw: a fresh data set's measure, from a random generator.
        truth: what the interval should hold.
    """

    what: str
    interval: str
    n: int
    truth: float
    draw: Callable[[np.random.Generator], Measure]


def gaussian_nll(n: int) -> Case:
    """Exact NLL of x ~ N(0, 1) under itself: the entropy."""
    return Case(
        "exact NLL, Gaussian",
        "t, skewness-corrected",
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

    return Case("exact NLL, too narrow a model", "t, skewness-corrected", n, truth, draw)


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
    node, weight = np.polynomial.hermite_e.hermegauss(30)
    truth = -sum(w * expected_bound(math.sqrt(2) * x, k) for x, w in zip(node, weight, strict=True)) / weight.sum()

    def draw(rng: np.random.Generator) -> Measure:
        x = math.sqrt(2) * rng.standard_normal(n)
        log_w = -0.5 * (x - rng.standard_normal((k, n))) ** 2 - 0.5 * LOG_2PI
        return mean(math.log(k) - logsumexp(log_w, axis=0), kind="upper_bound")

    return Case(f"IWAE-{k} bound, linear-Gaussian", "t, skewness-corrected", n, truth, draw)


def paired_difference(n: int) -> Case:
    """NLL of N(0.1, 1) less that of N(0, 1), on the same x ~ N(0, 1): 0.1^2 / 2."""
    shift = 0.1

    def draw(rng: np.random.Generator) -> Measure:
        x = rng.standard_normal(n)
        return mean(0.5 * ((x - shift) ** 2 - x**2))

    return Case("difference of two models, paired", "paired, the same", n, shift**2 / 2, draw)


def proportion(n: int, p: float) -> Case:
    """A share of independent trials."""
    return Case(f"share of {p}", "Wilson", n, p, lambda rng: share(int(rng.binomial(n, p)), n))


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
        proportion(500, 0.5),
        proportion(500, 0.1),
        proportion(500, 0.02),
    ]


def coverage(case: Case, replicates: int, seed: int = 0) -> float:
    """The share of intervals that hold the truth."""
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(replicates):
        ci = case.draw(rng).ci95
        assert ci is not None
        hits += ci[0] <= case.truth <= ci[1]
    return hits / replicates


def table(replicates: int) -> str:
    error = 100 * math.sqrt(0.95 * 0.05 / replicates)
    rows = [
        [c.what, c.interval, c.n, f"{c.truth:.4f}", f"{100 * coverage(c, replicates):.1f} ±{1.96 * error:.1f}"]
        for c in cases()
    ]
    headers = ["value", "interval", "n", "truth", "coverage, %"]
    return tabulate(rows, headers, tablefmt="pipe", colalign=("left", "left", "right", "right", "right"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--replicates", type=int, default=10_000)
    print(table(parser.parse_args().replicates))


if __name__ == "__main__":
    main()
