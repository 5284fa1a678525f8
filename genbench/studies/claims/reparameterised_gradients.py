"""Two unbiased estimates of d/dmu E[f(x)], x = mu + e, e ~ N(0, 1), by their variances in closed form.

    reparameterised    f'(mu + e)
    score function     f(mu + e) e,  with a baseline (f(mu + e) - b) e, b = E[f]

For f(x) = (x - a)^2 and delta = mu - a: 4, delta^4 + 14 delta^2 + 15, and 8 delta^2 + 10.
For f(x) = sin(k x), mu = 0: k^2 Var[cos(k e)] against Var[sin(k e) e]; with u = exp(-2 k^2) and v = exp(-k^2),

    k^2 ((1 + u) / 2 - v)    and    (1 - (1 - 4 k^2) u) / 2 - k^2 v
"""

from __future__ import annotations

import math

from genbench.studies.claims import Finding, side

SENTENCE = "Reparameterised gradients have less variance than score-function gradients."
SAID_BY = "Kingma, Welling (2014); Rezende, Mohamed, Wierstra (2014)"
DECIDED_BY = "closed-form variances for a parabola, and for a wave: one function on which it fails refutes a law"
CARRIES = (
    "to the law: it holds for smooth losses, such as the parabola, and fails where the loss waves faster than the "
    "noise reaches (Gal, 2016, section 3.1; Mohamed et al., 2020, section 7)."
)
PICTURE = "Variance of both gradients of E sin(k x), x ~ N(0, 1), against the frequency k: they cross."
DELTA, WAVES = 3.0, 10.0


def of_parabola(delta: float) -> tuple[float, float, float]:
    """Variances: reparameterised, score function, score function with its baseline."""
    return 4.0, delta**4 + 14 * delta**2 + 15, 8 * delta**2 + 10


def of_wave(k: float) -> tuple[float, float]:
    """Variances of sin(k x) at mu = 0: reparameterised, score function; the best baseline is 0."""
    u, v = math.exp(-2 * k * k), math.exp(-k * k)
    return k * k * ((1 + u) / 2 - v), (1 - (1 - 4 * k * k) * u) / 2 - k * k * v


def measure() -> list[Finding]:
    path, score, baseline = of_parabola(DELTA)
    wave_path, wave_score = of_wave(WAVES)
    cases = (
        (f"parabola, {DELTA:g} from its minimum", score / path),
        ("the same, with a baseline", baseline / path),
        (f"sin({WAVES:g} x)", wave_score / wave_path),
    )
    found = []
    for what, ratio in cases:
        says = side(ratio, ratio, "above", 1.0)
        found.append(Finding(f"{what}: score function over reparameterised", f"{ratio:.3g}", "exact", says))
    return found


def plot(axes, found: list) -> None:
    frequencies = [0.1 * 1.1**i for i in range(50)]
    moments = [of_wave(k) for k in frequencies]
    for i, label in enumerate(("reparameterised", "score function")):
        axes.plot(frequencies, [each[i] for each in moments], label=label)
    axes.set(xlabel="frequency k, radians in a deviation of the noise", ylabel="variance of one gradient")
    axes.set(xscale="log", yscale="log")
    axes.legend(fontsize=8)
