"""Clipped density and clipped coverage: which share of good samples would look like these.

M training examples are compared with N samples, as in density and coverage: as many as there are samples, or all where
there are fewer. R_i reaches from example i to its k-th nearest other one, r_i = min(R_i, median of all R).

    clipped density     mean_j min(#{i: |x_j - y_i| <= r_i}, k)  /  the same of the examples, each without itself
    clipped coverage    g( mean_i min(#{j: |x_j - y_i| < R_i}, k) / k )

An outlier among the data has a ball like others, a sample counts once however many balls hold it, and a ball counts
once however many samples are in it; so bad samples lower both, and good ones cannot make up for it. Both are calibrated
to shares: density by what the data themselves have, coverage by g, the inverse of what m good samples among the N
cover on average. The mass of a ball is Beta(k, M - k) whatever the data are, the number of m samples in it is then
beta-binomial, and

    f(m) = E min(J, k) / k,  J ~ BetaBinomial(m, k, M - k),        g(c) = #{m in 0..N: f(m) < c} / (N + 1).

Values are those of the authors' code (github.com/nicolassalvy/ClippedDensityCoverage at commit ab63967) for the same
rows, but for two things that matter where they hardly can: it takes
f(m) = 0 below m = k, where f(m) = m/M; and of more than k examples at one distance it takes k, here all count. Density
is cut at 1, as in it. k + 1 coinciding examples have balls of radius 0: closed for density, which finds their copies,
open for coverage, which finds none: a set of identical points has density 1 and coverage 0.

Intervals: see `_groups`; their ends are calibrated as the values are. They cover the draw of both sets.

References:
    Enhanced generative model evaluation with clipped density and coverage (Salvy, Talbot, Thirion,
    2025), sections 3 and 4.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import betaln, gammaln

from genbench.domains import check
from genbench.metrics import Measure, _groups, holding
from genbench.metrics._inputs import counts, point_sets, reference
from genbench.numerics.intervals import wilson
from genbench.numerics.points import Points

VERSION = 1
MIN_SAMPLES = 6  # for k = 5
NEEDS = ("sample_features", "reference_features")
OUTPUTS = {
    "clipped_density": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "clipped density, a share of good samples",
        "misses": "blind to missing classes, repeated images and copies of training data",
        "group": "fidelity",
        "place": 225,
    },
    "clipped_coverage": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "clipped coverage, a share of good samples",
        "misses": "blind to copies of training data; sees repeated images only where half of them are",
        "group": "diversity",
        "place": 235,
    },
}
REFERENCE = "Salvy et al., 2025"
DOMAINS = {"k": "a whole number in [1, inf)"}


def compute(
    sample_features: Points, reference_features: Points, k: int = 5, intervals: bool = True
) -> dict[str, Measure]:
    check(DOMAINS, {"k": k}, "clipped_density_coverage")
    x, data = point_sets(k + 1, sample_features=sample_features, reference_features=reference_features)
    y = reference(x, data)
    details = {**counts(x, data, y), "k": k}

    def held(x: Points, y: Points) -> np.ndarray:
        radii = clipped_radii(y, k)
        return np.minimum(x.inside(y, radii, k).closed, k) / np.minimum(y.inside(y, radii, k).closed, k).mean()

    def filled(x: Points, y: Points) -> np.ndarray:
        radii = y.nearest(y, k)[0][:, -1:]
        return (y.nearest(x, k)[0] < radii).mean(1)

    density = widened(_groups.mean(held, x, y, k + 1, details, intervals), len(x))
    coverage = widened(_groups.mean(filled, x, y, k + 1, details, intervals), len(y))
    return {"clipped_density": cut(density), "clipped_coverage": calibrated(coverage, expected(len(x), len(y), k))}


def widened(found: Measure, n: int) -> Measure:
    """The measure with Wilson's interval for a share of n rows where all rows are alike, and their spread says 0."""
    if found.ci95 is None or found.ci95[0] < found.ci95[1]:
        return found
    return replace(
        found,
        ci95=holding(found.value, *wilson(min(found.value, 1.0), n)),
        ci_method="Wilson, since all rows are alike",
    )


def clipped_radii(y: Points, k: int) -> np.ndarray:
    """Squared radii of the balls about rows of y, none beyond the median: `[n]`."""
    squares = y.nearest(y, k)[0][:, -1]
    radii = np.sqrt(squares)
    middle = float(np.median(radii))
    return np.where(radii <= middle, squares, middle**2)


def before(found: Measure) -> dict[str, Any]:
    """The details of a measure with what it was."""
    return {**found.details, "before": {"value": found.value, "stderr": found.stderr, "ci95": found.ci95}}


def cut(density: Measure) -> Measure:
    """The measure no higher than 1."""
    value = min(density.value, 1.0)
    if density.ci95 is None:
        return replace(density, value=value, details=before(density))
    low, high = (min(end, 1.0) for end in density.ci95)
    return replace(
        density, value=value, ci95=(low, high), ci_method=f"cut at 1: {density.ci_method}", details=before(density)
    )


def expected(n: int, m: int, k: int) -> np.ndarray:
    """f: the expected share of k that 0..n good samples fill of a ball that reaches to its k-th of m - 1: `[n + 1]`.

    One sample more adds to it if fewer than k are in the ball, with probability (k + j)/(m + i) where j of i are.
    """
    i, j = np.arange(n)[:, None], np.arange(k)  # samples so far, of which in the ball
    with np.errstate(invalid="ignore"):
        log_choose = gammaln(i + 1) - gammaln(j + 1) - gammaln(i - j + 1)
        log_p = log_choose + betaln(k + j, m - k + i - j) - betaln(k, m - k)
    p = np.where(j <= i, np.exp(np.where(j <= i, log_p, 0.0)), 0.0)
    return np.concatenate([[0.0], np.cumsum((p * (k + j) / (m + i)).sum(1) / k)])


def calibrated(covered: Measure, f: np.ndarray) -> Measure:
    """The measure on the scale of shares of good samples."""

    def g(c: float) -> float:
        return float(np.searchsorted(f, c)) / len(f)

    value, details = g(covered.value), before(covered)
    if covered.stderr is None or covered.ci95 is None:
        return replace(covered, value=value, details=details, shared=())
    low, high = (g(end) for end in covered.ci95)
    stderr = (g(covered.value + covered.stderr) - g(covered.value - covered.stderr)) / 2
    steep = stderr / covered.stderr if covered.stderr > 0 else 0.0  # how g takes what moves the share
    shared = tuple(steep * moved for moved in covered.shared)
    method = f"calibrated: {covered.ci_method}"
    ci = (low, high)
    return replace(covered, value=value, stderr=stderr, ci95=ci, ci_method=method, details=details, shared=shared)
