"""Probability-flow ODE: a diffusion model as a continuous flow, whose log-density is an integral of a divergence.

    dx/dt = v(x, t),  x(eps) the data, x(1) ~ N(0, I)
    log p(x(eps)) = log N(x(1); 0, I) + int_eps^1 div v(x(t), t) dt

What it gives is an *estimate* of log p, no bound: the solver errs within its tolerance, the flow stops at t = eps
short of the data, integers are dequantised by one draw, and a divergence may be a random one. Hutchinson's is
the mean of e' (dv/dx) e over probes e of random signs, fixed along the path.

Where the flow begins the model knows data with a little noise, alpha x_0 + sigma e. There are three ways from
integers x, normalised to x_0 on [-1, 1], to y = x(eps), with delta = 2/(L-1) from one level to the next:

    "uniform"    y = x_0 + (u - 1/2) delta, u uniform on [0,1)^D;  log P(x) ~ log p(y) + D log delta.
                 The noise that y should hold at t = eps is neglected.
    "truncated"  y = alpha x_0 + sigma e with e from N(0, I) cut off where y would leave the cell of x, which is
                 alpha delta wide: |e| < tau = alpha delta / (2 sigma). P(x) is the mass of p in that cell, so that
                 log P(x) >= E [log p(y) - log q(y|x)],  log q(y|x) = log N(e; 0, I) - D log(sigma (2 Phi(tau) - 1)),
                 tight where p is in the cell what the cut-off noise is. With sigma << delta nothing is cut off.
    "diffusion"  y = alpha x_0 + sigma e, as the forward process goes, with the model's own last step p(x_0|y):
                 log P(x) ~ log p(y) + log p(x_0|y) - log q(y|x_0). It accounts for the truncation, and is in
                 expectation a lower bound for flow and last step together, up to the errors of the solver.

References:
    Score-based generative modeling through SDEs (Song et al., 2021), equations 39 and 40, appendix D.2.
    Neural ordinary differential equations (Chen et al., 2018), equation 8.
    FFJORD (Grathwohl et al., 2019), equations 7 and 8: Hutchinson's trace with one noise along the path.
    Maximum likelihood training of score-based diffusion models (Song, Durkan, Murray, Ermon, 2021), section 4.2.
    Improved techniques for maximum likelihood estimation for diffusion ODEs (Zheng, Lu, Chen, Zhu, 2023), section 4.3:
    truncated-normal dequantisation.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Generator, Tensor

from genbench.blocks import Arrays, Keep, Progress, afresh, in_blocks, rows_of, silent
from genbench.errors import ModelError, Unavailable
from genbench.likelihood.at_most_one import above_one
from genbench.likelihood.exact import unsteady
from genbench.likelihood.result import LogLikelihood
from genbench.models import steady
from genbench.models.sampling import seeded, to_tensor
from genbench.numerics.ode import Slope, root_mean_square, solve
from genbench.space import Space

ENTRIES = ("own", "uniform", "truncated", "diffusion")
LOG_2PI = math.log(2 * math.pi)


@runtime_checkable
class HasVelocity(Protocol):
    """A flow from the data at t = `eps` to N(0, I) at t = 1; integers run normalised to [-1, 1].

    `velocity` must treat every example by itself. A model may also have
    `enter(x0, noise) -> (y, log p(x0|y) - log q(y|x0))`, which "diffusion" needs, and
    `noise_at_start`, the (alpha, sigma) of x(eps) = alpha x_0 + sigma e, which "truncated" needs.
    """

    space: Space
    eps: float

    def velocity(self, x: Tensor, t: Tensor) -> Tensor: ...  # [B, *shape], [B] -> [B, *shape]


@dataclass(frozen=True)
class NoisePrediction:
    """The flow of a discrete chain x_t = alpha_t x_0 + sigma_t e, alpha^2 + sigma^2 = 1, that predicts the noise e.

    With lambda = log alpha^2/sigma^2 and the score -e/sigma, equation 13 of Song et al. becomes

        dx/dt = lambda'(t)/2 (sigma^2 x - sigma e(x, t))

    A solution does not depend on how time runs, so lambda is made linear in t from the first step of the chain,
    at t = eps = 1/T, to the last, at t = 1. Nothing of the noise schedule is approximated by that. The network is
    told the place between two steps at which the chain's log-SNR, linear between them, is lambda: it was never
    trained there, and that much is approximated.

    Arguments:
        predict: x_t `[B, *shape]` and the index of the step 0..T-1, fractional, `[B]` -> e `[B, *shape]`.
        log_snr: lambda of x_1..x_T, `[T]`, falling.
        decoder: log p(x_0 | x_1) of x_0 and the noise e that leads to x_1: `[B, *shape]` twice -> `[B]`; or None.
    """

    space: Space
    predict: Callable[[Tensor, Tensor], Tensor]
    log_snr: Tensor
    decoder: Callable[[Tensor, Tensor], Tensor] | None = None

    @property
    def eps(self) -> float:
        return 1 / len(self.log_snr)

    @property
    def noise_at_start(self) -> tuple[float, float]:
        return float(self.log_snr[0].double().sigmoid().sqrt()), float((-self.log_snr[0].double()).sigmoid().sqrt())

    def index(self, log_snr: Tensor) -> Tensor:
        """The fractional index of the step with this lambda: `[B]` -> `[B]`."""
        table = self.log_snr.to(log_snr)
        after = torch.searchsorted(-table, -log_snr).clamp(1, len(table) - 1)
        before = table[after - 1]
        return (after - 1) + (log_snr - before) / (table[after] - before)

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        first, last = float(self.log_snr[0]), float(self.log_snr[-1])
        rate = (last - first) / (1 - self.eps)  # lambda'
        log_snr = (first + rate * (t - self.eps)).clamp(last, first)
        sigma = (-log_snr).sigmoid().sqrt().view(-1, *[1] * (x.dim() - 1))
        return 0.5 * rate * sigma * (sigma * x - self.predict(x, self.index(log_snr)))

    def enter(self, x0: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """x_1 = alpha x_0 + sigma noise, and log p(x_0 | x_1) - log q(x_1 | x_0) `[B]`."""
        if self.decoder is None:
            raise Unavailable("entry 'diffusion' needs p(x_0 | x_1), which this model does not give")
        alpha, sigma = self.log_snr[0].sigmoid().sqrt(), (-self.log_snr[0]).sigmoid().sqrt()
        log_q = (-0.5 * noise**2 - sigma.log() - 0.5 * LOG_2PI).flatten(1).sum(1)
        return (alpha * x0 + sigma * noise).to(x0), self.decoder(x0, noise) - log_q


@torch.no_grad()
def probability_flow(
    model: HasVelocity,
    x: np.ndarray,
    seed: int,
    first: int = 0,
    probes: int = 1,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    entry: str = "own",
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    keep: Keep = afresh,
    progress: Progress = silent,
) -> LogLikelihood:
    """An estimate of log p of every example of `x` `[N, *shape]`, in nats; NaN where the solver gave up.

    An example's value depends on its number and on the seed, and but for rounding not on its batch mates: of a velocity
    that takes statistics of its batch, or draws random numbers, the values are warned of.
    `mc_stderr` is that of Hutchinson's trace alone, from the spread over two or more probes. In `rows` are the
    `evaluations` of the velocity `[N]`; in `details` nfe_mean, nfe_max, rtol, atol, probes, eps, entry and n_lost.

    Arguments:
        first: the number of the first example: example i has the noise of (seed, first + i).
        probes: of Hutchinson's trace; 0 for the exact trace, which costs D backward passes for every evaluation.
        entry: see above; "own" is the first of "diffusion", "truncated" and "uniform" that the model has what it takes
            for. Real numbers go straight into the flow, but with "diffusion".
        dtype: in which the velocity is evaluated; the state is float64.
        keep: how finished blocks are remembered, see `genbench.blocks`.

    Raises:
        Unavailable: an entry that the model has not what it takes for.
        ModelError: the velocity has the wrong shape.
    """
    if entry not in ENTRIES or probes < 0 or min(rtol, atol) <= 0:
        raise ValueError(f"cannot integrate with entry={entry!r}, probes={probes}, rtol={rtol}, atol={atol}")

    entry = own_entry(model) if entry == "own" else entry

    def solved(places: np.ndarray) -> Arrays:
        batch = to_tensor(x[places], model.space, device)
        noise = [seeded(seed, "flow", first + i, device=device) for i in places.tolist()]
        y, log_weight = entered(model, batch, noise, entry, dtype)
        signs = [rademacher(probes, model.space.dim, generator) for generator in noise]
        log_p, steps = log_density(model, y, torch.stack(signs, 1).to(dtype), rtol, atol)  # [columns, B]
        found = {"values": (log_weight + log_p.mean(0)).cpu().numpy(), "evaluations": steps.cpu().numpy()}
        if probes > 1:
            found["mc_stderr"] = (log_p.std(0) / math.sqrt(probes)).cpu().numpy()
        return found

    def make(number: int, rows: slice) -> Arrays:
        return solved(np.arange(rows.start, rows.stop))

    found = in_blocks(len(x), rows_of(model.space.shape), make, keep, progress)
    change = steady.change(lambda places: solved(places)["values"], np.arange(len(x)), found["values"], model.space.dim)
    far = change is not None and change.relative > steady.FAR  # the solver's own error is below
    nfe = found.pop("evaluations")
    details = {
        "nfe_mean": float(nfe.mean()),
        "nfe_max": int(nfe.max()),
        "rtol": rtol,
        "atol": atol,
        "probes": probes,
        "eps": model.eps,
        "entry": entry,
        "n_lost": int(np.isnan(found["values"]).sum()),
    }
    return LogLikelihood.of(
        found,
        "estimate",
        "probability-flow ODE",
        rows={"evaluations": nfe},
        details=details,
        warnings=above_one(found["values"], model.space) + unsteady(change if far else None, "estimate", "velocity"),
    )


def rademacher(n: int, dim: int, generator: Generator) -> Tensor:
    """n vectors of random signs, `[n, dim]`."""
    return 2.0 * torch.randint(2, (n, dim), generator=generator, device=generator.device) - 1.0


def own_entry(model: HasVelocity) -> str:
    """The entry that leaves least to chance: a model's last step, else the noise that it was trained with."""
    if hasattr(model, "enter") and getattr(model, "decoder", True) is not None:
        return "diffusion"
    return "truncated" if hasattr(model, "noise_at_start") and model.noise_at_start[1] > 0 else "uniform"


def entered(
    model: HasVelocity, x: Tensor, generators: list[Generator], entry: str, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Where the flow begins, `[B, *shape]`, and the log-weight of having gone there, `[B]` float64.

    One draw: a mean of exp(log p) over several would be raised by the noise of Hutchinson's trace.
    """
    levels, shape = model.space.levels, model.space.shape
    x0 = x.to(dtype) if levels is None else x.to(dtype) * (2 / (levels - 1)) - 1
    draw = torch.randn if entry == "diffusion" else torch.rand
    noise = torch.stack([draw(shape, generator=g, device=x.device) for g in generators]).to(dtype)
    if entry == "diffusion":
        if not hasattr(model, "enter"):
            raise Unavailable("entry 'diffusion' needs a model with `enter`")
        y, log_weight = model.enter(x0, noise)
        return y, log_weight.double()
    nothing = torch.zeros(len(x), dtype=torch.float64, device=x.device)
    if levels is None:
        return x0, nothing
    delta = 2 / (levels - 1)
    if entry == "truncated":
        if not hasattr(model, "noise_at_start"):
            raise Unavailable("entry 'truncated' needs a model with `noise_at_start`")
        return cut_off(x0, noise, delta, *model.noise_at_start)
    return x0 + (noise - 0.5) * delta, nothing + model.space.dim * math.log(delta)


def cut_off(x0: Tensor, u: Tensor, delta: float, alpha: float, sigma: float) -> tuple[Tensor, Tensor]:
    """y = alpha x_0 + sigma e, e a normal cut off at the ends of the cell, and -log q(y | x_0) `[B]` float64.

    Arguments:
        u: uniform on [0, 1), the place of e in the truncated distribution: `[B, *shape]`.
    """
    tau = alpha * delta / (2 * sigma)
    inside = math.erf(tau / math.sqrt(2))  # 2 Phi(tau) - 1
    # u = 0 is the lower end itself. Where tau is large, that would be infinite.
    e = math.sqrt(2) * torch.erfinv(((2 * u.double() - 1) * inside).clamp(-1 + 1e-15, 1 - 1e-15))
    log_q = -0.5 * e**2 - 0.5 * LOG_2PI - math.log(sigma * inside)
    return (alpha * x0.double() + sigma * e).to(x0), -log_q.flatten(1).sum(1)


def log_density(model: HasVelocity, y: Tensor, probes: Tensor, rtol: float, atol: float) -> tuple[Tensor, Tensor]:
    """log p(y) at t = eps by each probe, `[columns, B]` float64, and the evaluations of each example `[B]`.

    Arguments:
        probes: `[P, B, D]`; with P = 0 the trace is exact, and there is one column.
    """
    dim, columns = model.space.dim, max(1, len(probes))
    state = torch.cat([y.flatten(1).double(), y.new_zeros(len(y), columns, dtype=torch.float64)], 1)

    def norm(ratio: Tensor) -> Tensor:
        # The divergence is the answer: among D coordinates its own error would hardly count.
        return torch.maximum(root_mean_square(ratio[:, :dim]), root_mean_square(ratio[:, dim:]))

    solution = solve(dynamics(model, probes, y.dtype), state, model.eps, 1.0, rtol, atol, norm)
    end, integral = solution.y[:, :dim], solution.y[:, dim:]
    log_prior = -0.5 * (end.square().sum(1) + dim * LOG_2PI)
    return log_prior + integral.T, solution.evaluations


def dynamics(model: HasVelocity, probes: Tensor, dtype: torch.dtype) -> Slope:
    """d/dt of (x, int div v) as a function of (t, state `[A, D + columns]`, which examples)."""
    dim = model.space.dim

    def slope(t: Tensor, state: Tensor, index: Tensor) -> Tensor:
        with torch.enable_grad():
            x = state[:, :dim].to(dtype, copy=True).requires_grad_()
            v = model.velocity(x.view(-1, *model.space.shape), t.to(dtype)).flatten(1)
            if v.shape != x.shape:
                raise ModelError(f"velocity: expected {list(x.shape)} once flattened, got {list(v.shape)}")
            traces = [exact_trace(v, x)] if len(probes) == 0 else hutchinson(v, x, probes[:, index])
        return torch.cat([v.detach(), torch.stack(traces, 1)], 1).double()

    return slope


def hutchinson(v: Tensor, x: Tensor, probes: Tensor) -> list[Tensor]:
    """e' (dv/dx) e for every probe e: `[P, A, D]` -> P times `[A]`."""
    products = [torch.autograd.grad(v, x, e, retain_graph=True)[0] for e in probes]
    return [(product * e).sum(1) for product, e in zip(products, probes, strict=True)]


def exact_trace(v: Tensor, x: Tensor) -> Tensor:
    """tr dv/dx, one row of the Jacobian at a time: `[A, D]` twice -> `[A]`."""
    diagonal = [torch.autograd.grad(v[:, d].sum(), x, retain_graph=True)[0][:, d] for d in range(x.shape[1])]
    return torch.stack(diagonal).sum(0)
