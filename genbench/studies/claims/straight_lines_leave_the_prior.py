"""The middle between two latents z, z' ~ N(0, I): on the straight line, and on the great circle.

The middle of the line is N(0, I/2), so the share of middles that are shorter than the prior's 1 % quantile r of the
length is P(chi2_d < 2 r^2). On the great circle (slerp) lengths stay: the middle m of the line is stretched by
1/cos(theta/2), theta the angle of z and z'.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from genbench.numerics.intervals import wilson
from genbench.studies.claims import Finding, side

SENTENCE = (
    "In many dimensions the middle of a straight line between two latents is no typical latent, that of a great "
    "circle is."
)
SAID_BY = "White (2016)"
DECIDED_BY = (
    "the share of middles that are shorter than all but 1 % of latents: exact for lines, 100,000 pairs for circles"
)
CARRIES = (
    "to standard normal latents. In two dimensions lines stay in the prior; what a decoder makes of the middle is "
    "another question."
)
PICTURE = "Share of the middles of straight lines that are shorter than all but 1 % of latents."
DIMENSIONS = (16, 64)
PAIRS_DRAWN = 100_000


def of_lines(d: int) -> float:
    """The share of middles of lines that are shorter than the 1 % quantile, exactly."""
    return float(stats.chi2.cdf(2 * stats.chi2.ppf(0.01, d), d))


def of_circles(d: int, n: int, seed: int = 0) -> tuple[int, int]:
    """How many middles of great circles among n are shorter than it, and n."""
    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, n, d))
    lengths = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(1) / (lengths[0] * lengths[1])
    middle = np.linalg.norm(a + b, axis=1) / 2 / np.sqrt((1 + cosine) / 2)
    return int((middle**2 < stats.chi2.ppf(0.01, d)).sum()), n


def measure() -> list[Finding]:
    found = []
    for d in DIMENSIONS:
        share = of_lines(d)
        says = side(share, share, "above", 0.1)
        found.append(Finding(f"straight lines, d = {d}: share of short middles", f"{share:.3f}", "exact", says))
        short, n = of_circles(d, PAIRS_DRAWN)
        low, high = wilson(short / n, n)
        says = side(low, high, "below", 0.1)
        what = f"great circles, d = {d}: share of short middles"
        found.append(Finding(what, f"{short / n:.4f}", f"[{low:.4f}, {high:.4f}]", says))
    return found


def plot(axes, found: list) -> None:
    dimensions = range(1, 129)
    axes.plot(dimensions, [of_lines(d) for d in dimensions], label="straight lines")
    axes.axhline(0.01, color="#888888", linewidth=0.8, label="latents themselves")
    axes.set(xlabel="latents d", ylabel="share of short middles", ylim=(0, 1))
    axes.legend(fontsize=8)
