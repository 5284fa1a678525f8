"""Bidirectional Monte Carlo: log p(x) between two bounds, on data that the model made itself.

x is simulated together with its z, which makes z an exact draw of p(z|x). Annealing from the prior bounds log p(x) from
below, annealing back from z bounds it from above; the mean gap is in expectation at least the error of either. It says
how well the chains do on data like the model's own; on other data only the lower bound stands.

References:
    Sandwiching the marginal likelihood using bidirectional Monte Carlo (Grosse, Ghahramani, Adams, 2015), section 4.
    On the quantitative analysis of decoder-based generative models (Wu et al., 2017), section 4.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, silent
from genbench.errors import ModelError
from genbench.likelihood.ais import Block, Settings, ticker, ticks
from genbench.models.capabilities import Simulator, refusal
from genbench.models.sampling import dense, seeded, to_array


@dataclass(frozen=True)
class Bidirectional:
    """Bounds on log p of n simulated examples, in nats.

    Arguments:
        lower, upper: `[n]` float64, stochastic: each holds in expectation, not for each draw.
        lower_ess, upper_ess: `[n]`, effective sample sizes of the weights, 1..chains.
        lower_acceptance, upper_acceptance: `[n]`.
    """

    lower: np.ndarray
    upper: np.ndarray
    lower_ess: np.ndarray
    upper_ess: np.ndarray
    lower_acceptance: np.ndarray
    upper_acceptance: np.ndarray

    @property
    def gap(self) -> tuple[float, float]:
        """Mean of upper - lower, and its standard error over examples."""
        difference = self.upper - self.lower
        n = len(difference)
        return float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan


@torch.no_grad()
def bdmc(
    model: Simulator,
    n: int,
    settings: Settings,
    seed: int,
    block_size: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    keep: Keep = afresh,
    progress: Progress = silent,
) -> Bidirectional:
    """Lower and upper bounds on log p of n examples simulated from the model; the arguments are those of `ais`.

    Raises:
        Unavailable: the model is no decoder, or cannot draw from p(x|z).
        ModelError: a method of the decoder gives the wrong shape, or what it observes is not in its space.
    """
    if not isinstance(model, Simulator):
        raise refusal("bidirectional Monte Carlo needs log_prior, log_likelihood, sample_prior and observe", model)

    def make(number: int, rows: slice) -> Arrays:
        size = rows.stop - rows.start
        tick = ticker(progress, rows.start, size, ticks(settings, walks=2))
        return sandwich(model, size, settings, seed, number, device, dtype, tick)

    return Bidirectional(**in_blocks(n, block_size, make, keep, progress))


def sandwich(
    model: Simulator,
    size: int,
    settings: Settings,
    seed: int,
    number: int,
    device: torch.device | str,
    dtype: torch.dtype,
    tick: Callable[[], None],
) -> Arrays:
    """What `Bidirectional` holds of one block."""
    generator = seeded(seed, "simulated", number, device=device)
    z = dense(model.sample_prior(size, generator), "sample_prior").to(dtype)
    x = model.observe(z, generator)
    if len(to_array(x, model.space, "observe")) != size:
        raise ModelError(f"observe: given {size} latents, got {len(x)} examples")
    block = Block(model, x if model.space.levels else x.to(dtype), settings, seed, number, dtype, tick)
    below, lower_acceptance = block.lower()
    above, upper_acceptance = block.upper(z)
    return {
        "lower": below.log_mean,
        "upper": -above.log_mean,
        "lower_ess": below.ess,
        "upper_ess": above.ess,
        "lower_acceptance": lower_acceptance,
        "upper_acceptance": upper_acceptance,
    }
