"""P(x) <= 1 for integers: exact log-probabilities above 0 are an error of the model, bounds above 0 a warning.

Densities of real numbers may exceed 1, so of them nothing is asked. What is not finite is counted elsewhere.
"""

from __future__ import annotations

import numpy as np

from genbench.errors import ModelError
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


def above_one(bounds: np.ndarray, space: Space) -> tuple[str, ...]:
    """A warning where bounds on log P, or estimates of it, are above 0 on average: single draws may be. `[N]` nats."""
    if space.levels is None or not np.isfinite(bounds).all() or bounds.mean() <= 0:
        return ()
    many = int((bounds > 0).sum())
    return (
        f"log P is {bounds.mean():.4g} nats on average, above 0 for {many} of {len(bounds)} examples: "
        "no probability of integers exceeds 1",
    )
