"""log Z of a model that gives masses p*(x) without their sum, by annealed importance sampling; and with it log p(x).

On a path p*_beta from a distribution of known sum Z_0 to p* = p*_1, 0 = beta_0 < ... < beta_T = 1, a chain
x_0 ~ p_0, x_t from x_{t-1} by a transition that leaves p_{beta_t} as it is, has the log-weight

    log w = sum_{t=1..T} log p*_{beta_t}(x_{t-1}) - log p*_{beta_{t-1}}(x_{t-1}),    E w = Z / Z_0

so that log Z is estimated by log Z_0 + log-mean-exp of w. This lies below log Z on average, by about half its
variance, and log p(x) = log p*(x) - log Z therefore above: what a decoder's annealing (`ais.py`) gives as a bound from
below is here one from the side that flatters the model. So log p is called an estimate, never a bound, and the error
of log Z, which all examples share and no number of them averages out, is kept beside it as `shared_stderr`.

The interval is that of a normal about log-mean-exp, its variance by the delta method from the spread of the weights.
It cannot see modes that no chain has found: where one exists the estimate is too low and the interval too narrow.

References:
    Annealed importance sampling (Neal, 2001), equations 4 to 9.
    On the quantitative analysis of deep belief networks (Salakhutdinov, Murray, 2008), section 4.1: partition functions
    of RBMs; 14,500 temperatures and 100 chains for 784 visible and up to 500 hidden units.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from genbench.blocks import Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import ModelError
from genbench.likelihood.exact import unsteady
from genbench.likelihood.result import LogLikelihood
from genbench.models import steady
from genbench.models.capabilities import Unnormalised
from genbench.models.sampling import dense, real, seeded, to_tensor
from genbench.numerics.intervals import Z95
from genbench.numerics.logmeanexp import LogMeanExp

TEMPERATURES, CHAINS = 5000, 200  # of `estimated`


@dataclass(frozen=True)
class Partition:
    """An estimate of log Z in nats.

    Arguments:
        stderr: by the delta method; NaN for one chain.
        ess: effective number of chains, 1..chains.
    """

    value: float
    stderr: float
    ess: float
    temperatures: int
    chains: int

    @property
    def ci95(self) -> tuple[float, float]:
        return self.value - Z95 * self.stderr, self.value + Z95 * self.stderr


@torch.no_grad()
def log_partition(
    model: Unnormalised,
    temperatures: int,
    chains: int,
    seed: int,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> Partition:
    """log Z by `chains` chains along evenly spaced beta, which share one generator.

    Raises:
        ModelError: a method gives the wrong shape, or a mass is not finite.
    """
    if temperatures < 1 or chains < 1:
        raise ValueError(f"annealing needs at least one temperature and one chain, not {temperatures} and {chains}")
    generator = seeded(seed, "partition", device=device)
    betas = np.linspace(0, 1, temperatures + 1).tolist()

    def mass(x: torch.Tensor, beta: float) -> torch.Tensor:
        return real(model.log_unnormalised(x, beta), (chains,), "log_unnormalised").double()

    x = dense(model.sample_base(chains, generator), "sample_base")
    w = torch.zeros(chains, dtype=torch.float64, device=x.device)
    for t, (before, beta) in enumerate(pairwise(betas), 1):
        w += mass(x, beta) - mass(x, before)
        if t < temperatures:
            x = dense(model.transition(x, beta, generator), "transition")
        progress(t)
    if not torch.isfinite(w).all():
        raise ModelError("log_unnormalised: a mass along the path to the model is not finite")
    state = LogMeanExp.of(w.cpu().numpy()[:, None])
    base = float(real(model.log_base_partition(), (), "log_base_partition"))
    stderr = math.sqrt(float(state.variance[0]))
    return Partition(base + float(state.log_mean[0]), stderr, float(state.ess[0]), temperatures, chains)


@torch.no_grad()
def estimated(
    model: Any,
    x: np.ndarray,
    seed: int,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> LogLikelihood:
    """Estimates of log p of every example of `x` `[N, *shape]`: log p*(x) less one estimate of log Z."""
    found = log_partition(model, TEMPERATURES, CHAINS, seed, device)

    def ask(examples: np.ndarray) -> np.ndarray:
        batch = to_tensor(examples, model.space, device)
        log_p = real(model.log_unnormalised(batch), (len(batch),), "log_unnormalised")
        return log_p.double().cpu().numpy() - found.value

    rows = in_blocks(len(x), rows_of(model.space.shape), lambda _, rows: {"values": ask(x[rows])}, keep, progress)
    change = steady.change(ask, x, rows["values"], model.space.dim)
    return LogLikelihood.of(
        rows,
        kind="estimate",
        method=f"log Z by annealed importance sampling, {TEMPERATURES} temperatures, {CHAINS} chains",
        shared_stderr=np.array(found.stderr),
        details={"log_partition": asdict(found)},
        warnings=unsteady(change, "estimate", "log_unnormalised"),
    )
