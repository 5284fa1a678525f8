"""P(x) <= 1 for integers: exact log-probabilities above 0 are an error of the model, bounds above 0 a warning.

Nor do the probabilities of different examples together exceed 1. A mean over dimensions in place of their sum, -1.5
nats for each of 500 images, breaks that law alone: it would stand on a board as 0.03 bits per dimension.

Densities of real numbers may exceed 1, so of them nothing is asked. A log-probability of -inf, or one that is no
number, is counted elsewhere.
"""

from __future__ import annotations

import numpy as np

from genbench.errors import ModelError
from genbench.numerics.choice import row_keys
from genbench.space import Space

MANY = 5.0  # standard errors: what noise alone does not do
ROUNDING = 1e-6  # nats for each of the D values: what a sum of D float32 logarithms may be above 0


def refuse_above_one(log_p: np.ndarray, space: Space, who: str) -> None:
    """Looks at exact log-probabilities of integers, in nats, one for each example or more.

    Raises:
        ModelError: one of them is above 0 by more than rounding.
    """
    if space.levels is None:
        return
    above = log_p[log_p > ROUNDING * space.dim]
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
    some = log_p[different(x)]
    some = some[np.isfinite(some)]  # what is not finite is counted elsewhere
    mass, n = float(np.logaddexp.reduce(some)) if len(some) else -np.inf, len(some)
    if mass > ROUNDING * space.dim:
        raise ModelError(
            f"{who}: the probabilities of {n} different examples add up to e^{mass:.4g}, and those of all there are "
            "add up to 1: is it a mean over dimensions, where log_prob is their sum in nats?"
        )


def different(x: np.ndarray) -> np.ndarray:
    """The places of different examples of `x` `[N, *shape]`, the first of each."""
    first: dict[bytes, int] = {}
    for i, key in enumerate(row_keys(x)):
        first.setdefault(key, i)
    return np.array([*first.values()])


def above_one(bounds: np.ndarray, space: Space, x: np.ndarray | None = None) -> tuple[str, ...]:
    """A warning where bounds on log P, or estimates of it, are above 0 on average: single draws may be. `[N]` nats.

    Arguments:
        x: the examples `[N, *shape]`, of bounds that are at most log P in expectation. As the probabilities of n
            different examples add up to 1 at most, the mean of their logarithms is at most -log n.

    Raises:
        ModelError: such bounds are above 0 on average, by more than their noise; or one of them is infinite.
    """
    if space.levels is None:
        return ()
    if many := int((bounds == np.inf).sum()):
        raise ModelError(
            f"{many} of {bounds.size} bounds on log P are infinite, and no probability of integers exceeds 1"
        )
    if not np.isfinite(bounds).all():
        return ()
    mean, n, noise = bounds.mean(), 1, np.inf
    if x is not None:
        some = bounds[different(x)]
        mean, n = some.mean(), len(some)
        noise = MANY * some.std(ddof=1) / np.sqrt(n) if n > 1 else np.inf
    if mean > noise + ROUNDING * space.dim:
        raise ModelError(
            f"the bound on log P is {mean:.4g} nats on average of {n} different examples, and no probability of "
            "integers exceeds 1: is its sign turned, or is it the bound on a density?"
        )
    if bounds.mean() > 0:
        many = int((bounds > 0).sum())
        return (
            f"log P is {bounds.mean():.4g} nats on average, above 0 for {many} of {len(bounds)} examples: "
            "no probability of integers exceeds 1",
        )
    if mean > noise + ROUNDING * space.dim - np.log(n):
        return (
            f"the bound on log P is {mean:.4g} nats on average of {n} different examples, whose probabilities add up "
            f"to 1 at most, so that it can be no more than {-np.log(n):.4g}: is it a mean over dimensions, in place of "
            "their sum?",
        )
    return ()
