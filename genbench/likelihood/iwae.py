"""Importance-weighted bounds: log p(x) >= E log 1/K sum_k w_k with E w = p(x), tighter in K.

The weights come in chunks into running sums, so memory does not grow with K; what depends on x
alone is computed once (`posterior`). One pass gives the whole curve of the bound over K, from
disjoint groups of the same weights, and its bias:

    E L_K - log p = -c / (2 K) + O(1/K^2),    c the squared coefficient of variation of the weights,

and c is about K / ESS - 1. A good effective sample size is no proof: a q that misses a mode of the
posterior converges, with good ESS, to the wrong value.

References:
    Importance weighted autoencoders (Burda, Grosse, Salakhutdinov, 2016), equation 8.
    Debiasing evidence approximations (Nowozin, 2018), proposition 1, for the bias.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial, reduce

import numpy as np
import torch

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, silent
from genbench.likelihood.at_most_one import above_one
from genbench.likelihood.exact import unsteady
from genbench.likelihood.jackknife import jackknife, jackknife_groups
from genbench.likelihood.result import LogLikelihood
from genbench.models import steady
from genbench.models.capabilities import HasLogWeights, HasPosterior
from genbench.models.sampling import real, seeded, to_tensor
from genbench.numerics.logmeanexp import LogMeanExp

# Weights drawn at once. Fixed, so that neither memory nor device decides which noise a weight gets.
CHUNK = 50
GROUPS = 100  # of the jackknife, at most: its memory does not grow with K either
CURVE = (1, 5, 50, 500, 5000, 50_000)
LOW_ESS, LOW_SHARE = 10, 0.05  # so many examples with so few effective samples make a warning


@dataclass
class Groups:
    """The mean of L_size over disjoint groups of `size` weights, as they stream by.

    Arguments:
        size: weights in a group.
        open: the state of the group that is not full yet.
        total, count: sum of log-mean-exp over the full groups `[B]`, and their number.
    """

    size: int
    open: LogMeanExp | None = None
    total: np.ndarray | float = 0.0
    count: int = 0

    def add(self, w: np.ndarray, state: LogMeanExp) -> None:
        """Weights `[c, B]` and their state: fill the open group, then whole groups at once, then keep the rest."""
        if self.size == 1:  # log-mean-exp of one weight is the weight
            self.close(w.sum(0), len(w))
            return
        if self.open is not None or len(w) <= self.size:
            need = self.size - (0 if self.open is None else self.open.n)
            part = state if len(w) <= need else LogMeanExp.of(w[:need])
            self.open = part if self.open is None else self.open.merge(part)
            w = w[need:]
            if self.open.n == self.size:
                self.close(self.open.log_mean, 1)
                self.open = None
        whole = len(w) // self.size
        if whole:
            grouped = w[: whole * self.size].reshape(whole, self.size, -1).swapaxes(0, 1)  # [size, whole, B]
            self.close(LogMeanExp.of(grouped).log_mean.sum(0), whole)
        if len(w) > whole * self.size:
            self.open = LogMeanExp.of(w[whole * self.size :])

    def close(self, total: np.ndarray, count: int) -> None:
        self.total = self.total + total
        self.count += count

    @property
    def mean(self) -> np.ndarray:
        return np.asarray(self.total) / self.count


@dataclass
class Bound:
    """What K weights of each of B examples say of log p(x).

    Arguments:
        state: all K weights.
        curve: {K': mean of L_K' over disjoint groups, `[B]`} for the K' of `CURVE` up to K.
        jackknife: the bound without the first order of its bias, `[B]`: an estimate, no bound; None for K = 1.
    """

    state: LogMeanExp
    curve: dict[int, np.ndarray] = field(default_factory=dict)
    jackknife: np.ndarray | None = None

    @property
    def bias(self) -> np.ndarray:
        """The estimated bias of L_K, -c / (2 K): `[B]`, in nats, at most 0; 0 where no weight has mass."""
        k = self.state.n
        return -(k / np.nan_to_num(self.state.ess, nan=k) - 1) / (2 * k)

    def arrays(self) -> Arrays:
        """What a `LogLikelihood` holds of these examples."""
        found = {
            "values": self.state.log_mean,
            "mc_stderr": np.sqrt(self.state.variance),
            "ess": self.state.ess,
            "bias": self.bias,
            "curve": np.stack(list(self.curve.values()), axis=1),
        }
        return found if self.jackknife is None else {**found, "jackknife": self.jackknife}


@torch.no_grad()
def iwae(
    model: HasLogWeights,
    x: np.ndarray,
    k: int,
    seed: int,
    block_size: int,
    device: torch.device | str = "cpu",
    keep: Keep = afresh,
    progress: Progress = silent,
) -> LogLikelihood:
    """The bound on log p of every example of `x` `[N, *shape]` from K log-weights of each.

    Arguments:
        seed, block_size: the noise of examples i * block_size ... is seeded by (seed, i).

    Raises:
        ModelError: the weights are no real numbers `[k, B]`.
    """

    def make(number: int, rows: slice) -> Arrays:
        block = to_tensor(x[rows], model.space, device)
        return importance_weighted(model, block, k, partial(chunk_seed, seed, number, device)).arrays()

    rows = in_blocks(len(x), block_size, make, keep, progress)
    change = steady.change_of_draws(partial(few_weights, model, k, seed, device), x, model.space.dim)
    low = float((rows["ess"] < LOW_ESS).mean())
    loose = f"effective sample size below {LOW_ESS} for {low:.0%} of the examples: the bound is loose"
    return LogLikelihood.of(
        rows,
        kind="lower_bound",
        method=f"log-mean-exp of {k} weights",
        curve_k=np.array([size for size in CURVE if size <= k]),
        warnings=((loose,) if low > LOW_SHARE else ())
        + above_one(rows["values"], model.space, x)
        + unsteady(change, "lower_bound", "log_weights"),
    )


def few_weights(
    model: HasLogWeights, k: int, seed: int, device: torch.device | str, examples: np.ndarray
) -> np.ndarray:
    """Of examples `[B, *shape]` the weights of one chunk `[B, k]`, in nats."""
    x = to_tensor(examples, model.space, device)
    given = (model.posterior(x),) if isinstance(model, HasPosterior) else ()
    size = min(k, CHUNK)
    w = real(model.log_weights(x, size, chunk_seed(seed, 0, device, 0), *given), (size, len(x)), "log_weights")
    return w.double().cpu().numpy().T


def chunk_seed(seed: int, block: int, device: torch.device | str, chunk: int) -> torch.Generator:
    return seeded(seed, "weights", block, chunk, device=device)


def importance_weighted(
    model: HasLogWeights,
    x: torch.Tensor,
    k: int,
    generator: Callable[[int], torch.Generator],
    chunk: int = CHUNK,
) -> Bound:
    """The bound from K log-weights of every example of `x` `[B, *shape]`.

    Arguments:
        generator: of chunk j, which holds weights j * chunk ...

    Raises:
        ModelError: the weights are no real numbers `[k, B]`.
    """
    given = (model.posterior(x),) if isinstance(model, HasPosterior) else ()
    groups = [Groups(size) for size in CURVE if size <= k]
    chunks = -(-k // chunk)
    parts: list[LogMeanExp] = []  # the jackknife's groups
    for j in range(chunks):
        size = min(chunk, k - j * chunk)
        w = real(model.log_weights(x, size, generator(j), *given), (size, len(x)), "log_weights")
        weights = w.double().cpu().numpy()
        part = LogMeanExp.of(weights)
        if j % -(-chunks // GROUPS) == 0:
            parts.append(part)
        else:
            parts[-1] = parts[-1].merge(part)
        for group in groups:
            group.add(weights, part)
    state = reduce(LogMeanExp.merge, parts)
    corrected = None
    if k > 1:  # one by one where all weights are at hand, else by groups
        corrected = jackknife(weights) if chunks == 1 else jackknife_groups(parts)
    return Bound(state, {group.size: group.mean for group in groups}, corrected)
