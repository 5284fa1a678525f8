"""P(x) <= 1 for integers: exact log-probabilities above 0 are an error of the model, bounds above 0 a warning.

Nor do the probabilities of different examples together exceed 1. A mean over dimensions in place of their sum, -1.5
nats for each of 500 images, breaks that law alone: it would stand on a board as 0.03 bits per dimension.

Densities of real numbers may exceed 1, so of them nothing is asked. What is not finite is counted elsewhere.
"""

from __future__ import annotations

import numpy as np

from genbench.errors import ModelError
from genbench.numerics.choice import row_keys
from genbench.space import Space

ROUNDING = 1e-6  # nats for each of the D values: what a sum of D float32 logarithms may be above 0


def refuse_above_one(log_p: np.ndarray, space: Space, who: str) -> None:
    """Looks at exact log-probabilities of integers, in nats, one for each example or more.

    Raises:
        ModelError: one of them is above 0 by more than rounding.
    """
    if space.levels is None:
        return
    above = log_p[np.isfinite(log_p) & (log_p > ROUNDING * space.dim)]
    if len(above):
        raise ModelError(
            f"{who}: {len(above)} of {log_p.size} log-probabilities of integers are above 0, the largest "
            f"{above.max():.4g} nats; no probability exceeds 1, so this is a density, or one on another scale"
        )


def refuse_mass_above_one(log_p: np.ndarray, x: np.ndarray, space: Space, who: str) -> None:
    """Looks at exact log-probabilities of all examples together.

    Arguments:
        log_p: `[N]` nats, of the examples `x` `[N, *shape]`.

    Raises:
        ModelError: different examples have more probability together than there is, by more than rounding.
    """
    if space.levels is None:
        return
    mass, n = log_mass(log_p, x)
    if mass > ROUNDING * space.dim:
        raise ModelError(
            f"{who}: the probabilities of {n} different examples add up to e^{mass:.4g}, and those of all there are "
            "add up to 1: is it a mean over dimensions, where log_prob is their sum in nats?"
        )


def log_mass(log_p: np.ndarray, x: np.ndarray) -> tuple[float, int]:
    """The log of the sum of probabilities over different examples, and how many they are; what is not finite is left
    out.
    """
    first: dict[bytes, int] = {}
    for i, key in enumerate(row_keys(x)):
        first.setdefault(key, i)
    different = log_p[[*first.values()]]
    different = different[np.isfinite(different)]
    return (float(np.logaddexp.reduce(different)) if len(different) else -np.inf), len(different)


CHANCE = 100.0  # a mean of weights with expectation 1 exceeds it less than once in so many times (Markov)


def above_one(bounds: np.ndarray, space: Space, x: np.ndarray | None = None) -> tuple[str, ...]:
    """A warning where bounds on log P, or estimates of it, are above 0 on average: single draws may be. `[N]` nats.

    Arguments:
        x: the examples `[N, *shape]`, where bounds are of the kind whose exp is P on average or less: the warning then
            is also of more mass than 100, which chance alone gives less than once in 100 times.
    """
    if space.levels is None or not np.isfinite(bounds).all():
        return ()
    if bounds.mean() <= 0:
        mass, n = (-np.inf, 0) if x is None else log_mass(bounds, x)
        if mass <= np.log(CHANCE):
            return ()
        return (
            f"the probabilities of {n} different examples add up to e^{mass:.4g}, and those of all there are add up to "
            "1: is the bound a mean over dimensions, where it should be their sum in nats?",
        )
    many = int((bounds > 0).sum())
    return (
        f"log P is {bounds.mean():.4g} nats on average, above 0 for {many} of {len(bounds)} examples: "
        "no probability of integers exceeds 1",
    )
