"""One Gaussian q fitted to p = (N(-a, 1) + N(a, 1)) / 2 by KL(p || q) and by KL(q || p).

The first has its minimum in closed form, the moments of p: N(0, 1 + a^2). The second is minimised by quadrature over
mean and deviation, from several beginnings, of which the best is taken.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import optimize, stats

from genbench.studies.claims import Finding, side

SENTENCE = "The KL divergence of maximum likelihood covers both modes, the reverse KL divergence takes one."
SAID_BY = "Minka (2005); Bishop (2006), section 10.1; Goodfellow (2016), section 3.2.5"
DECIDED_BY = "the share of the best Gaussian on either side of 0, for two modes at -3 and 3 of deviation 1"
CARRIES = (
    "to one Gaussian and modes that far apart: of modes at -1 and 1 the reverse fit covers both. Whether a GAN lowers "
    "a reverse KL is another question, and Goodfellow's answer to that is no."
)
PICTURE = "The two modes, and the Gaussians that are nearest to them by either divergence."
APART = 3.0
GRID = np.linspace(-20, 20, 4001)


def log_p(x: np.ndarray, a: float) -> np.ndarray:
    return np.logaddexp(stats.norm.logpdf(x, -a), stats.norm.logpdf(x, a)) - np.log(2)


def forward(a: float) -> tuple[float, float]:
    """Mean and deviation of the best q by KL(p || q)."""
    return 0.0, float(np.sqrt(1 + a * a))


def reverse_kl(mean: float, sd: float, a: float) -> float:
    """KL(q || p) in nats, q's entropy in closed form."""
    x = mean + sd * np.linspace(-10, 10, 2001)
    entropy = 0.5 * np.log(2 * np.pi * np.e) + np.log(sd)
    return float(-np.trapezoid(stats.norm.pdf(x, mean, sd) * log_p(x, a), x) - entropy)


def reverse(a: float) -> tuple[float, float]:
    """Mean and deviation of the best q by KL(q || p)."""

    def objective(w: np.ndarray) -> float:
        return reverse_kl(w[0], float(np.exp(w[1])), a)

    begin = [np.array([m, s]) for m in (0.0, 0.9 * a) for s in (0.0, np.log(a + 1))]
    best = min((optimize.minimize(objective, w, method="Nelder-Mead") for w in begin), key=lambda r: r.fun)
    return float(best.x[0]), float(np.exp(best.x[1]))


def smaller_share(mean: float, sd: float) -> float:
    """Of the Gaussian on the side of 0 that has less of it."""
    return float(stats.norm.sf(abs(mean) / sd))


def measure() -> list[Finding]:
    found = []
    cases: tuple[tuple[str, tuple[float, float], Literal["above", "below"], float], ...] = (
        ("KL(data, model), maximum likelihood", forward(APART), "above", 0.25),
        ("KL(model, data), the reverse", reverse(APART), "below", 0.01),
    )
    for what, fit, expected, than in cases:
        share = smaller_share(*fit)
        says = side(share, share, expected, than)
        why = f"N({fit[0]:.2f}, {fit[1]:.2f}^2)"
        found.append(Finding(f"{what}: share at the other mode", f"{share:.3g}", "exact", says, why))
    return found


def plot(axes, found: list) -> None:
    x = np.linspace(-8, 8, 400)
    axes.fill_between(x, np.exp(log_p(x, APART)), color="#cccccc", label="data")
    for name, (mean, sd) in (("KL(data, model)", forward(APART)), ("KL(model, data)", reverse(APART))):
        axes.plot(x, stats.norm.pdf(x, mean, sd), label=f"nearest by {name}")
    axes.set(xlabel="x, deviations of a mode", ylabel="density")
    axes.legend(fontsize=8)
