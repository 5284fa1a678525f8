"""Dormand-Prince 5(4): an adaptive Runge-Kutta solver in which every example of a batch has its own clock.

    dy/dt = f(t, y),   y [B, S] float64,  t [B]

Each example has its own time, step and error control, and leaves the batch when it has arrived. A solver with one
step for the whole batch, as is common, makes the value of an example depend on its batch mates.

References:
    A family of embedded Runge-Kutta formulae (Dormand, Prince, 1980), table 2.
    Solving ordinary differential equations I (Hairer, Norsett, Wanner, 1993), section II.4: the control of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# Rows of the tableau; the last is the fifth-order solution itself, so its slope is the first of the next step.
NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
ROWS = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
# The fifth-order weights less the fourth-order ones.
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
SMALLEST = 1e-12  # of the span: an example whose step falls below is lost

# (t [A], y [A, S], index [A]) -> dy/dt [A, S]: `index` says which examples of the batch these are.
Slope = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Solution:
    """Where the examples arrived.

    Arguments:
        y: `[B, S]`; NaN where an example did not arrive.
        evaluations: `[B]` int64, how often f was evaluated for each example.
    """

    y: Tensor
    evaluations: Tensor


def root_mean_square(ratio: Tensor) -> Tensor:
    """`[B, S]` -> `[B]`."""
    return ratio.square().mean(1).sqrt()


def solve(
    f: Slope,
    y: Tensor,
    start: float,
    end: float,
    rtol: float,
    atol: float,
    norm: Callable[[Tensor], Tensor] = root_mean_square,
    max_steps: int = 1000,
) -> Solution:
    """The solution at `end` > `start` from y(start) = `y` `[B, S]`.

    A step is taken where norm(error / (atol + rtol |y|)) <= 1, and tried again with a smaller one elsewhere.

    Arguments:
        norm: of the ratio of error and tolerance, `[A, S]` -> `[A]`.
        max_steps: accepted and rejected steps of an example, after which it is given up.
    """
    if end <= start:
        raise ValueError(f"the end {end} has to lie behind the start {start}")
    y, span = y.double().clone(), end - start
    t = y.new_full((len(y),), start)
    active = torch.arange(len(y), device=y.device)
    slope = f(t, y, active)
    h = on_grid(first_step(y, slope, span, rtol, atol, norm), span)
    evaluations = torch.ones_like(active)
    for _ in range(max_steps):
        if len(active) == 0:
            break
        left = end - t[active]
        last = h[active] >= left
        step = torch.where(last, left, h[active])
        before = y[active]
        after, after_slope, error = attempt(f, t[active], before, slope[active], step, active)
        ratio = norm(error / (atol + rtol * torch.maximum(before.abs(), after.abs())))  # [A]
        evaluations[active] += len(NODES)
        taken = ratio <= 1  # NaN is not
        kept = active[taken]
        y[kept], slope[kept] = after[taken], after_slope[taken]
        t[kept] += step[taken]
        h[active] = on_grid(step * growth(ratio, taken), span)
        arrived, lost = taken & last, h[active] < SMALLEST * span
        y[active[lost & ~arrived]] = torch.nan
        active = active[~(arrived | lost)]
    y[active] = torch.nan
    return Solution(y, evaluations)


def attempt(f: Slope, t: Tensor, y: Tensor, slope: Tensor, h: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """One step of length h `[A]`: the fifth-order solution, its slope, and an estimate of its error, each `[A, S]`."""
    slopes, point = [slope], y
    for node, row in zip(NODES, ROWS, strict=True):
        point = y + h[:, None] * combine(row, slopes)
        slopes.append(f(t + node * h, point, index))
    return point, slopes[-1], h[:, None] * combine(ERROR, slopes)


def combine(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    terms = [w * k for w, k in zip(weights, slopes, strict=True) if w != 0]
    return torch.stack(terms).sum(0)


def growth(ratio: Tensor, taken: Tensor) -> Tensor:
    """The factor of the next step: 0.9 ratio^(-1/5) within 0.2 .. 5, and no more than 1 after a rejection."""
    factor = (0.9 * ratio.clamp(min=1e-10) ** -0.2).clamp(0.2, 5.0).nan_to_num(0.2)
    return torch.where(taken, factor, factor.clamp(max=1.0))


def on_grid(h: Tensor, span: float) -> Tensor:
    """The next smaller step on the grid span * 2^(-i/2).

    The rounding of f, other alone than in a batch, would change every step a little, and with them the value by as
    much as the solver's own error. Steps from a grid stay the same but in rare cases.
    """
    return span * 2 ** ((2 * (h / span).log2()).floor() / 2)


def first_step(y: Tensor, slope: Tensor, span: float, rtol: float, atol: float, norm: Callable) -> Tensor:
    """A step that moves y by about a hundredth of itself: `[B]` (Hairer et al., II.4, step b)."""
    scale = atol + rtol * y.abs()
    h = 0.01 * norm(y / scale) / norm(slope / scale)
    return h.nan_to_num(span, posinf=span).clamp(1e-3 * span, span)  # one that is too long is rejected once or twice
