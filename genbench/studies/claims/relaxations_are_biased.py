"""Four gradients of E[(b - t)^2], b ~ Bernoulli(sigmoid(theta)), by their exact means and variances.

    true              (1 - 2t) p (1 - p),    p = sigmoid(theta)
    score function    (b - t)^2 (b - p)
    Gumbel-softmax    d/dtheta (s - t)^2,    s = sigmoid((theta + l) / tau), l logistic noise
    straight-through  2 (b - t) p (1 - p)

The score function with the baseline (1 - p) (1 - t)^2 + p t^2 is the true gradient for either b: a single binary
variable has a baseline that leaves no variance. Everything is a sum of two terms or a quadrature over l.
"""

from __future__ import annotations

import numpy as np
from scipy import integrate
from scipy.special import expit, logit

from genbench.studies.claims import Finding, side

SENTENCE = "Gumbel-softmax and straight-through gradients have less variance than the score function, and are biased."
SAID_BY = "Jang, Gu, Poole (2017); Bengio, Léonard, Courville (2013); Tucker et al. (2017), whose toy this is"
DECIDED_BY = "exact means and variances of gradients of E[(b - 0.45)^2] at p = 0.3"
CARRIES = (
    "to one binary variable without a baseline: with the best baseline the score function has no variance here at all."
)
PICTURE = "Bias and standard deviation of the gradient against the temperature of the relaxation."
T, P, TAU = 0.45, 0.3, 0.5
Moments = tuple[float, float]


def of_score(t: float, p: float, baseline: float = 0.0) -> Moments:
    """Mean and variance."""
    values = np.array([(1 - t) ** 2 - baseline, t * t - baseline]) * [1 - p, -p]
    return of_two(values, p)


def of_straight_through(t: float, p: float) -> Moments:
    return of_two(2 * np.array([1 - t, -t]) * p * (1 - p), p)


def of_two(values: np.ndarray, p: float) -> Moments:
    mean = float(values @ [p, 1 - p])
    return mean, float((values - mean) ** 2 @ [p, 1 - p])


def of_relaxed(t: float, p: float, tau: float) -> Moments:
    theta = float(logit(p))

    def gradient(noise: float) -> float:
        s = float(expit((theta + noise) / tau))
        return 2 * (s - t) * s * (1 - s) / tau

    def mean(power: int) -> float:
        def weighted(noise: float) -> float:
            return gradient(noise) ** power * float(expit(noise) * expit(-noise))

        return integrate.quad(weighted, -40, 40, points=[-theta], limit=400)[0]

    first = mean(1)
    return first, mean(2) - first**2


def true(t: float, p: float) -> float:
    return (1 - 2 * t) * p * (1 - p)


def measure() -> list[Finding]:
    score, found = of_score(T, P), []
    ways = {
        f"Gumbel-softmax, temperature {TAU:g}": of_relaxed(T, P, TAU),
        "straight-through": of_straight_through(T, P),
    }
    for way, (mean, variance) in ways.items():
        ratio, bias = score[1] / variance, abs(mean / true(T, P) - 1)
        says = side(ratio, ratio, "above", 1.0)
        found.append(Finding(f"variance of the score function over {way}", f"{ratio:.3g}", "exact", says))
        says = side(bias, bias, "above", 0.01)
        found.append(Finding(f"bias of {way}, share of the gradient", f"{bias:.3g}", "exact", says))
    return found


def plot(axes, found: list) -> None:
    temperatures = np.geomspace(0.1, 3, 30)
    moments = [of_relaxed(T, P, tau) for tau in temperatures]
    axes.plot(temperatures, [abs(m - true(T, P)) for m, _ in moments], color="C0", label="Gumbel-softmax, |bias|")
    axes.plot(temperatures, [v**0.5 for _, v in moments], color="C1", label="Gumbel-softmax, deviation")
    axes.axhline(of_score(T, P)[1] ** 0.5, color="C2", linestyle="--", label="score function, deviation (no bias)")
    axes.axhline(abs(true(T, P)), color="#888888", linewidth=0.8, label="|true gradient|")
    axes.set(xlabel="temperature", ylabel="of one gradient, no unit", xscale="log", yscale="log")
    axes.legend(fontsize=8)
