"""NICE: additive couplings, which preserve volume, one scaling of every value, and a logistic base.

    y_1 = x_1,    y_2 = x_2 + m(x_1)                                   (Dinh et al. 2015, section 3.2)
    z = exp(s) * y                                                     (section 3.3)
    log p(x) = sum_d [log pi(z_d) + s_d],    log pi(z) = -softplus(z) - softplus(-z)

x_1 and x_2 are the values at even and at odd places; from one coupling to the next they change roles. An additive
coupling has the Jacobian determinant 1, whatever m is: nothing but s lets the model say where data are dense, so
directions that matter little get a large s_d, and small noise. That is what the later flows improve on.

The base is the standard logistic distribution, in the density as in the sampler. Integers are dequantised
(`genbench.likelihood.dequantised`) and brought to [-1, 1] by one linear map, as in section 5.1: there is no logit.

References:
    NICE: non-linear independent components estimation (Dinh, Krueger, Bengio, 2015).
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import standard_logistic
from ._bijections import Flow, Shape, for_space

VERSION = 1


def shift(inputs: int, outputs: int, hidden: int, depth: int, dropout: float) -> nn.Sequential:
    """m, a rectifier network; it starts at zero, so the flow at a scaling."""
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(inputs if i == 0 else hidden, hidden), nn.ReLU(), nn.Dropout(dropout)]
    last = nn.Linear(hidden, outputs)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*layers, last)


class NICE(Flow):
    """The flow on real numbers.

    Arguments:
        couplings: how many; the paper takes four, three is the least with which every value can depend on every other.
        hidden, depth, dropout: of every m.
        levels: L where the values are dequantised integers on [0, L).
    """

    def __init__(
        self, shape: Shape, *, couplings: int, hidden: int, depth: int, dropout: float, levels: int | None = None
    ) -> None:
        super().__init__(shape)
        self.levels = levels
        odd = self.space.dim // 2
        even = self.space.dim - odd
        sizes = [(even, odd) if i % 2 == 0 else (odd, even) for i in range(couplings)]  # of what stays and what moves
        shifts = [shift(inputs, outputs, hidden, depth, dropout) for inputs, outputs in sizes]
        self.shifts: list[nn.Sequential] = nn.ModuleList(shifts)  # type: ignore[assignment]
        self.log_scale = nn.Parameter(torch.zeros(self.space.dim))

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: Generator) -> None:
        """The scaling that gives every value the deviation of the base, pi / sqrt(3)."""
        sd = self.centred(x).std(0, correction=0).clamp(min=1e-6)
        self.log_scale.copy_(math.log(math.pi / math.sqrt(3)) - sd.log())

    def centred(self, x: Tensor) -> Tensor:
        """[B, *shape] -> [B, D], integers from [0, L) on [-1, 1)."""
        x = x.flatten(1)
        return x if self.levels is None else 2 * x / self.levels - 1

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.centred(x)
        stays, moves = y[:, ::2], y[:, 1::2]
        for m in self.shifts:
            stays, moves = moves + m(stays), stays
        even, odd = (stays, moves) if len(self.shifts) % 2 == 0 else (moves, stays)
        z = torch.empty_like(y)
        z[:, ::2], z[:, 1::2] = even, odd
        slope = self.log_scale.sum()
        if self.levels is not None:
            slope = slope + self.space.dim * math.log(2 / self.levels)
        return z * self.log_scale.exp(), slope.expand(len(x))

    def inverse(self, z: Tensor) -> Tensor:
        y = z * (-self.log_scale).exp()
        even, odd = y[:, ::2], y[:, 1::2]
        stays, moves = (even, odd) if len(self.shifts) % 2 == 0 else (odd, even)
        for m in reversed(self.shifts):
            stays, moves = moves, stays - m(moves)
        x = torch.empty_like(y)
        x[:, ::2], x[:, 1::2] = stays, moves
        x = x if self.levels is None else (x + 1) * (self.levels / 2)
        return x.view(len(z), *self.space.shape)

    def log_base(self, z: Tensor) -> Tensor:
        return -(F.softplus(z) + F.softplus(-z)).sum(1)

    def draw_base(self, n: int, generator: Generator) -> Tensor:
        return standard_logistic((n, self.space.dim), generator)


PRESETS = {
    "digits": Preset(
        {"couplings": 4, "hidden": 96, "depth": 2, "dropout": 0.2},
        steps=6000,
        batch_size=64,
        lr=2e-3,
        weight_decay=0.05,
        clip=50.0,
        ema=0.995,
        validate_every=200,
    ),
    "patches": Preset(
        {"couplings": 4, "hidden": 64, "depth": 2, "dropout": 0.0},
        steps=8000,
        batch_size=128,
        lr=2e-3,
        clip=50.0,
        ema=0.998,
        validate_every=400,
        half=True,
    ),
    "mnist": Preset(
        {"couplings": 4, "hidden": 128, "depth": 2},
        steps=20_000,
        batch_size=128,
        lr=1e-3,
        clip=500.0,
        ema=0.999,
        validate_every=1000,
        half=True,
    ),
    "ring8": Preset(
        {"couplings": 8, "hidden": 64, "depth": 2}, steps=8000, batch_size=512, lr=2e-3, clip=10.0, ema=0.99
    ),
    "grid25": Preset(
        {"couplings": 8, "hidden": 64, "depth": 2}, steps=8000, batch_size=512, lr=2e-3, clip=10.0, ema=0.99
    ),
    "pinwheel": Preset(
        {"couplings": 8, "hidden": 64, "depth": 2}, steps=8000, batch_size=512, lr=2e-3, clip=10.0, ema=0.99
    ),
}


def build(space: Space, *, couplings: int = 4, hidden: int = 96, depth: int = 2, dropout: float = 0.0) -> nn.Module:
    """The flow on real numbers; on integers the flow with uniform noise added to them.

    Arguments:
        couplings, hidden, depth, dropout: of the flow.

    Raises:
        ValueError: a space of one value.
    """
    if space.dim < 2:
        raise ValueError("a coupling needs at least two values")
    flow = NICE(space.shape, couplings=couplings, hidden=hidden, depth=depth, dropout=dropout, levels=space.levels)
    return for_space(flow, space.levels)
