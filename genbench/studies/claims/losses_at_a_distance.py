"""The gradient that a generator gets from the best discriminator, a distance s away from the data.

Data are p = N(0, 1), samples q = N(s, 1), and D(x) = p(x) / (p(x) + q(x)) is the best discriminator, so that
d/dx log(p/q) = -s. With D held fixed, the derivative of each loss of the generator with respect to s is

    minimax          E_q[d/dx log(1 - D)]  =   s E_q[D]
    non-saturating  -E_q[d/dx log D]       =   s E_q[1 - D]
    least squares    E_q[(D - 1) D']       =   s E_q[D (1 - D)^2]
    Wasserstein      1, the slope of the best critic

all of them by quadrature.
"""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import expit

from genbench.studies.claims import Finding, side

SENTENCE = "Far from the data the minimax loss stops the generator, the non-saturating and the Wasserstein loss do not."
SAID_BY = "Goodfellow et al. (2014), section 3; Arjovsky, Bottou (2017); Arjovsky, Chintala, Bottou (2017)"
DECIDED_BY = "the gradient from the best discriminator between N(0, 1) and N(8, 1), by quadrature"
CARRIES = (
    "to the best discriminator, which training approaches; one that is trained for a few steps still tells the way."
)
PICTURE = "Length of the generator's gradient from the best discriminator, against the distance of the means."
DISTANCE = 8.0
SMALL, LARGE = 0.01, 0.5


def gradients(s: float) -> dict[str, float]:
    """Of each loss the length of its gradient at distance s."""
    x = np.linspace(min(0.0, s) - 12, max(0.0, s) + 12, 200_001)
    q = stats.norm.pdf(x, s)
    D = expit(s * s / 2 - s * x)  # log(p/q) = s^2/2 - s x

    def mean(values: np.ndarray) -> float:
        return float(np.trapezoid(q * values, x))

    return {
        "minimax": s * mean(D),
        "non-saturating": s * mean(1 - D),
        "least squares": s * mean(D * (1 - D) ** 2),
        "Wasserstein": 1.0,
    }


def divergences(s: float) -> dict[str, float]:
    """Of N(0, 1) from N(s, 1), in nats: that of Jensen and Shannon by quadrature, that of Kullback and Leibler."""
    x = np.linspace(min(0.0, s) - 12, max(0.0, s) + 12, 200_001)
    log_p, log_q = stats.norm.logpdf(x), stats.norm.logpdf(x, s)
    log_m = np.logaddexp(log_p, log_q) - np.log(2)
    js = 0.5 * np.trapezoid(np.exp(log_p) * (log_p - log_m) + np.exp(log_q) * (log_q - log_m), x)
    return {"JS": float(js), "KL": s * s / 2}


def measure() -> list[Finding]:
    found = []
    lengths = gradients(DISTANCE)
    for loss, says in (
        ("minimax", side(lengths["minimax"], lengths["minimax"], "below", SMALL)),
        ("non-saturating", side(lengths["non-saturating"], lengths["non-saturating"], "above", LARGE)),
        ("Wasserstein", side(lengths["Wasserstein"], lengths["Wasserstein"], "above", LARGE)),
    ):
        what = f"gradient of the {loss} loss at s = {DISTANCE:g}"
        found.append(Finding(what, f"{lengths[loss]:.3g}", "exact", says))
    near, far = divergences(DISTANCE), divergences(DISTANCE + 2)
    moved = far["JS"] - near["JS"]
    says = side(moved, moved, "below", 1e-3)
    found.append(Finding("JS divergence from s = 8 to 10", f"{near['JS']:.5f} to {far['JS']:.5f}", "exact", says))
    return found


def plot(axes, found: list) -> None:
    distances = np.linspace(0.25, 10, 40)
    lengths = [gradients(s) for s in distances]
    for loss in lengths[0]:
        axes.plot(distances, [each[loss] for each in lengths], label=loss)
    axes.set(xlabel="distance of the means, deviations of the data", ylabel="length of the gradient", yscale="log")
    axes.set_ylim(1e-5, 20)
    axes.legend(fontsize=8)
