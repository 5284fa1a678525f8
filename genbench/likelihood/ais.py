"""Annealed importance sampling: log p(x) of a decoder by chains between its prior and its posterior.

On the path f_beta(z) = p(z) p(x|z)^beta with 0 = beta_0 < ... < beta_T = 1, a chain z_0 ~ p(z), z_t from z_{t-1} by a
transition that leaves f_{beta_t} invariant, has the log-weight

    log w = sum_{t=1..T} (beta_t - beta_{t-1}) log p(x | z_{t-1}),    E w = p(x),

so log-mean-exp of w over chains is in expectation a *lower* bound on log p(x). The same path walked backwards from an
exact draw of the posterior, which is at hand when x was simulated from the model together with its z, has
E 1/w = 1/p(x), so minus log-mean-exp of log 1/w is an *upper* bound. Both are tight as T grows, and their gap on
simulated data bounds the error of either there (`bdmc.py`); on real data there is no exact draw
and only the lower bound.

Step lengths are adapted in a first round with a seed of its own. The measured round starts afresh
with these lengths fixed: with lengths that follow the measured chain E w = p(x) would not hold.

References:
    Annealed importance sampling (Neal, 2001), equations 4 to 9.
    Sandwiching the marginal likelihood using bidirectional Monte Carlo (Grosse, Ghahramani, Adams, 2015), section 4.
    On the quantitative analysis of decoder-based generative models (Wu, Burda, Salakhutdinov, Grosse, 2017):
    10,000 temperatures, 16 chains, 10 leapfrog steps; the sigmoid schedule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, silent
from genbench.errors import Unavailable
from genbench.likelihood.at_most_one import above_one
from genbench.likelihood.hmc import BURN_IN, HMC, Kernel, Point, Posterior, adapt
from genbench.likelihood.result import LogLikelihood
from genbench.models.capabilities import Decoder, refusal
from genbench.models.sampling import dense, seeded, to_tensor
from genbench.numerics.logmeanexp import LogMeanExp

SCHEDULES = ("sigmoid", "linear")
DELTA = 4.0  # of the sigmoid schedule


@dataclass(frozen=True)
class Settings:
    """How to anneal: part of a value's identity.

    Arguments:
        temperatures: T, the steps from the prior to the posterior.
        chains: for each example, independent.
        leapfrog: steps in each transition.
        schedule: "sigmoid" (slow at both ends) or "linear".
        adaptation: temperatures of the first round, which sets the step lengths.
    """

    temperatures: int = 1000
    chains: int = 16
    leapfrog: int = 10
    schedule: str = "sigmoid"
    adaptation: int = 500

    def __post_init__(self) -> None:
        if min(self.temperatures, self.chains, self.leapfrog) < 1 or self.adaptation < 2:
            raise ValueError(f"annealing needs temperatures, chains and leapfrog >= 1, adaptation >= 2: {self}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"no schedule '{self.schedule}': one of {', '.join(SCHEDULES)}")


def schedule(name: str, T: int) -> np.ndarray:
    """beta_0 = 0 < ... < beta_T = 1: `[T + 1]` float64.

    Sigmoid (Wu et al. 2017): beta_t proportional to s(delta (2t/T - 1)) - s(-delta), s the logistic function.
    """
    u = np.linspace(0, 1, T + 1)
    if name == "sigmoid":
        s = 1 / (1 + np.exp(-DELTA * (2 * u - 1)))
        u = (s - s[0]) / (s[-1] - s[0])
    return u


def anneal(
    point: Point, betas: Iterable[float], kernel: Kernel, generator: Generator, tick: Callable[[], None] = lambda: None
) -> tuple[Tensor, Tensor]:
    """Log-weights `[n]` float64 of chains along `betas`, and each chain's mean acceptance `[n]`.

    Forward from draws of the prior along rising betas: log w. From draws of the posterior along falling ones:
    log 1/w. The log-likelihood in a weight is the one that the transition before has left.

    Arguments:
        kernel: leaves f_beta invariant, and is reversible where betas fall.
    """
    first, *inner, last = betas
    w = torch.zeros(len(point.z), dtype=torch.float64, device=point.z.device)
    accepted = torch.zeros_like(w)
    before = first
    for beta in inner:
        w = w + (beta - before) * point.log_likelihood.double()
        point, probability = kernel(point, float(beta), generator)
        accepted, before = accepted + probability, beta
        tick()
    w = w + (last - before) * point.log_likelihood.double()
    return w, accepted / len(inner) if inner else torch.full_like(w, math.nan)


@dataclass(frozen=True)
class Block:
    """All chains of some examples, which run at once: what they do depends on the fields alone.

    Arguments:
        x: `[B, *shape]`, integers or of `dtype`.
        number: of the block; its noise is seeded by (seed, number).
        dtype: of z, which has to be that of the model's weights.
        tick: called after every transition.
    """

    model: Decoder
    x: Tensor
    settings: Settings
    seed: int
    number: int
    dtype: torch.dtype = torch.float32
    tick: Callable[[], None] = lambda: None

    def generator(self, purpose: str) -> Generator:
        return seeded(self.seed, "annealed", purpose, self.number, device=self.x.device)

    @cached_property
    def posterior(self) -> Posterior:
        return Posterior(self.model, self.x.repeat_interleave(self.settings.chains, 0))

    def prior(self, generator: Generator) -> Point:
        z = dense(self.model.sample_prior(len(self.posterior.x), generator), "sample_prior")
        if not z.is_floating_point():
            raise Unavailable("annealing follows gradients in z: it needs continuous latents")
        return self.posterior(z.to(self.dtype))

    @cached_property
    def kernel(self) -> HMC:
        """The first round: transitions with step lengths that nothing later changes."""
        s, generator = self.settings, self.generator("adaptation")
        betas = schedule(s.schedule, s.adaptation)[1:-1].tolist()
        start = self.prior(generator)
        lengths = adapt(self.posterior, start, betas, s.chains, s.leapfrog, generator, self.tick)
        return HMC(self.posterior, lengths, s.chains, s.leapfrog)

    def lower(self) -> tuple[LogMeanExp, np.ndarray]:
        """The state of the weights w of each example's chains from the prior, and their acceptance `[B]`."""
        generator = self.generator("forward")
        return self.walk(self.prior(generator), 1, generator)

    def upper(self, z: Tensor) -> tuple[LogMeanExp, np.ndarray]:
        """The state of the weights 1/w of chains from one exact draw of each posterior `[B, ...]`, and acceptance.

        Chains of one example share their beginning. The mean of their weights is 1/p(x) in expectation all the same.
        """
        start = self.posterior(z.to(self.dtype).repeat_interleave(self.settings.chains, 0))
        return self.walk(start, -1, self.generator("backward"))

    def walk(self, start: Point, direction: int, generator: Generator) -> tuple[LogMeanExp, np.ndarray]:
        s = self.settings
        betas = schedule(s.schedule, s.temperatures)[::direction]
        w, accepted = (a.view(-1, s.chains) for a in anneal(start, betas, self.kernel, generator, self.tick))
        return LogMeanExp.of(w.T.cpu().numpy()), accepted.mean(1).cpu().numpy()


@torch.no_grad()
def ais(
    model: Decoder,
    x: np.ndarray,
    settings: Settings,
    seed: int,
    block_size: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    keep: Keep = afresh,
    progress: Progress = silent,
) -> LogLikelihood:
    """Stochastic lower bounds on log p of every example of `x` `[N, *shape]`, N >= 1, in nats.

    `mc_stderr` is from the spread of the weights over chains (NaN for one chain), `ess` is 1..chains. In `rows` are
    `acceptance` `[N]`, the mean over the chains and temperatures of the measured round, and `step_lengths` `[N, S]`,
    on each segment of the path; in `details` the settings, and quantiles of both.

    Arguments:
        seed, block_size: the noise of examples i * block_size ... is seeded by (seed, i). All their chains run at once.
        dtype: of z and of real-valued x, which has to be that of the model's weights. Weights add up in float64.
        keep: how finished blocks are remembered, see `genbench.blocks`.
        progress: takes the number of examples done so far, fractional within a block.

    Raises:
        Unavailable: the model is no decoder.
        ModelError: a method of the decoder gives the wrong shape.
    """
    if not isinstance(model, Decoder):
        raise refusal("annealing needs log_prior, log_likelihood and sample_prior", model)

    def make(number: int, rows: slice) -> Arrays:
        part = to_tensor(x[rows], model.space, device)
        tick = ticker(progress, rows.start, len(part), ticks(settings))
        return measure(
            Block(model, part if model.space.levels else part.to(dtype), settings, seed, number, dtype, tick)
        )

    found = in_blocks(len(x), block_size, make, keep, progress)
    chains = {name: found.pop(name) for name in ("acceptance", "step_lengths")}
    return LogLikelihood.of(
        found,
        kind="lower_bound",
        method=f"annealed importance sampling, {settings.temperatures} temperatures, {settings.chains} chains",
        rows=chains,
        details=described(settings, chains),
        warnings=above_one(found["values"], model.space, x),
    )


def measure(block: Block) -> Arrays:
    """What `ais` finds of one block."""
    state, acceptance = block.lower()
    return {
        "values": state.log_mean,
        "mc_stderr": np.sqrt(state.variance),
        "ess": state.ess,
        "acceptance": acceptance,
        "step_lengths": block.kernel.lengths.lengths.T.double().cpu().numpy(),
    }


def described(settings: Settings, arrays: Arrays) -> dict[str, Any]:
    """The settings and, as JSON, what became of the chains."""

    def quantiles(values: np.ndarray) -> dict[str, float]:
        return dict(zip(("0", "0.5", "1"), map(float, np.quantile(values, [0, 0.5, 1])), strict=True))

    lengths = arrays["step_lengths"]
    return {
        **asdict(settings),
        "acceptance": quantiles(arrays["acceptance"]),
        "step_length_near_prior": quantiles(lengths[:, 0]),
        "step_length_near_posterior": quantiles(lengths[:, -1]),
    }


def ticks(settings: Settings, walks: int = 1) -> int:
    """Transitions of a block: the first round, then `walks` of the path."""
    return BURN_IN + settings.adaptation - 1 + walks * (settings.temperatures - 1)


def ticker(progress: Progress, start: int, size: int, total: int) -> Callable[[], None]:
    """Tells `progress`, on each call, the share that is done of `size` examples after the first `start`."""
    calls = count(1)
    return lambda: progress(start + size * next(calls) / total)
