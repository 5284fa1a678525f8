"""NSF: couplings that move every value by a monotonic spline of rational quadratics, with an analytic inverse.

    x in bin k, xi = (x - x_k) / w_k, s_k = h_k / w_k, D = s_k + (d_{k+1} + d_k - 2 s_k) xi (1 - xi)

    g(x)  = y_k + h_k [s_k xi^2 + d_k xi (1 - xi)] / D                                    (Durkan et al. 2019, eq. 4)
    g'(x) = s_k^2 [d_{k+1} xi^2 + 2 s_k xi (1 - xi) + d_k (1 - xi)^2] / D^2                (equation 5)
    xi    = 2c / (-b - sqrt(b^2 - 4ac))                                                   (equations 6 to 8)

A spline has K bins on [-B, B], whose widths w, heights h and slopes d > 0 at the K - 1 knots between them come from a
network; outside of [-B, B] it is the identity ("linear tails"), with which its slope of one at either end agrees. One
such map can separate modes, or put mass on narrow ones, where an affine map can only move and stretch.

As in RealNVP (`realnvp.py`) half of the values stay and decide the splines of the others, by alternating masks:
checkerboards, and after a squeeze halves of the channels. Before every coupling stands an ActNorm, set by data once,
so that data lie in [-B, B]. Integers are dequantised and pass a logit first.

References:
    Neural spline flows (Durkan, Bekasov, Murray, Papamakarios, 2019), sections 3.1 and 3.3.
    Piecewise rational quadratic interpolation (Gregory and Delbourgo, 1982), for g.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import Preset, Space

from ._bijections import (
    ActNorm,
    Bijection,
    Composition,
    Logit,
    MultiScale,
    Shape,
    Squeeze,
    channelwise,
    checkerboard,
    for_space,
)

VERSION = 1
LEAST = 1e-3  # of a bin's width and height as a share of the whole, and of a slope: the inverse stays well conditioned
ONE = math.log(math.expm1(1 - LEAST))  # softplus(ONE) + LEAST = 1


class Spline:
    """The splines of as many values as there are parameters for: every tensor has their shape.

    Arguments:
        parameters: [..., 3K - 1]: of widths, heights (softmax) and inner slopes (softplus); all zero for the identity.
        bound: B.
    """

    def __init__(self, parameters: Tensor, bound: float) -> None:
        K = (parameters.shape[-1] + 1) // 3
        widths, heights, slopes = parameters.split([K, K, K - 1], dim=-1)
        self.bound = bound
        self.x, self.y = self.knots(widths), self.knots(heights)  # [..., K + 1]
        self.slopes = F.pad(LEAST + F.softplus(slopes + ONE), (1, 1), value=1.0)  # [..., K + 1]

    def knots(self, logits: Tensor) -> Tensor:
        K = logits.shape[-1]
        share = LEAST + (1 - LEAST * K) * logits.softmax(-1)
        inner = 2 * self.bound * share.cumsum(-1)[..., :-1] - self.bound
        return F.pad(F.pad(inner, (1, 0), value=-self.bound), (0, 1), value=self.bound)  # ends without rounding

    def bin(self, value: Tensor, knots: Tensor) -> tuple[Tensor, ...]:
        """x_k, w_k, y_k, h_k, d_k, d_{k+1} of the bin that each value is in."""
        k = (value[..., None] >= knots[..., 1:-1]).sum(-1, keepdim=True)

        def at(table: Tensor, k: Tensor) -> Tensor:
            return table.gather(-1, k)[..., 0]

        x, y, d, d_next = at(self.x, k), at(self.y, k), at(self.slopes, k), at(self.slopes, k + 1)
        return x, at(self.x, k + 1) - x, y, at(self.y, k + 1) - y, d, d_next

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """g(x) and log g'(x)."""
        inside = x.abs() < self.bound
        xk, w, yk, h, d, d_next = self.bin(x, self.x)
        s, xi = h / w, torch.where(inside, (x - xk) / w, 0.0)
        both = xi * (1 - xi)
        D = s + (d_next + d - 2 * s) * both
        y = yk + h * (s * xi**2 + d * both) / D
        slope = 2 * s.log() + (d_next * xi**2 + 2 * s * both + d * (1 - xi) ** 2).log() - 2 * D.log()
        return torch.where(inside, y, x), torch.where(inside, slope, 0.0)

    def inverse(self, y: Tensor) -> Tensor:
        inside = y.abs() < self.bound
        xk, w, yk, h, d, d_next = self.bin(y, self.y)
        s, up = h / w, torch.where(inside, y - yk, 0.0)
        bend = d_next + d - 2 * s
        a, b, c = h * (s - d) + up * bend, h * d - up * bend, -s * up
        xi = 2 * c / (-b - (b**2 - 4 * a * c).clamp(min=0).sqrt())
        return torch.where(inside, xk + xi * w, y)


class Coupling(Bijection):
    """Splines of the values that the mask lets go, told by those that stay.

    Arguments:
        mask: 1 where a value stays, [C, ...].
        network: [B, C, ...] -> [B, (3K - 1) C, ...], ends in a layer with weight and bias, which starts at zero.
    """

    mask: Tensor
    moves: Tensor

    def __init__(self, mask: Tensor, network: nn.Sequential, bound: float) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.register_buffer("moves", (mask.flatten() == 0).nonzero()[:, 0], persistent=False)  # which values do
        self.network, self.bound = network, bound
        for p in network[-1].parameters():
            nn.init.zeros_(p)

    def spline(self, kept: Tensor) -> Spline:
        """Of the values that move, [B, D / 2]."""
        parameters = self.network(kept).unflatten(1, (self.mask.shape[0], -1)).movedim(2, -1)  # [B, C, ..., 3K - 1]
        return Spline(parameters.flatten(1, -2)[:, self.moves], self.bound)

    def merged(self, x: Tensor, moved: Tensor) -> Tensor:
        return x.flatten(1).index_copy(1, self.moves, moved).view_as(x)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        moved, slope = self.spline(self.mask * x).forward(x.flatten(1)[:, self.moves])
        return self.merged(x, moved), slope.sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        return self.merged(y, self.spline(self.mask * y).inverse(y.flatten(1)[:, self.moves]))


def network(shape: Shape, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Three layers, convolutions on images and fully connected on vectors: [B, *shape] -> [B, outputs, ...]."""
    conv = partial(nn.Conv2d, kernel_size=3, padding=1)
    layer: Callable[[int, int], nn.Module] = conv if len(shape) == 3 else nn.Linear
    first, middle, last = layer(shape[0], hidden), layer(hidden, hidden), layer(hidden, outputs)
    return nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), nn.Dropout(dropout), last)


def nsf(
    shape: Shape, *, depth: int, hidden: int, bins: int, bound: float, dropout: float, levels: int | None = None
) -> MultiScale:
    """The flow on real numbers: one scale of fine and coarse couplings for images, one of alternating ones for vectors.

    Arguments:
        depth: couplings in a row with either kind of mask.
        hidden, dropout: of every network.
        bins, bound: K and B.
        levels: L where the values are dequantised integers on [0, L).
    """

    def couplings(masks: Sequence[Tensor]) -> list[Bijection]:
        found: list[Bijection] = []
        for mask in masks:
            s = tuple(mask.shape)
            found += [ActNorm(s), Coupling(mask, network(s, hidden, (3 * bins - 1) * s[0], dropout), bound)]
        return found

    layers: list[Bijection] = [] if levels is None else [Logit(levels)]
    layers += couplings([checkerboard(shape, i % 2) for i in range(depth)])
    done = shape
    if len(shape) == 3 and shape[1] % 2 == shape[2] % 2 == 0:
        done = (4 * shape[0], shape[1] // 2, shape[2] // 2)
        layers += [Squeeze(), *couplings([channelwise(done, i % 2) for i in range(depth)])]
    return MultiScale(shape, [Composition(layers)], [done])


PRESETS = {
    "digits": Preset(
        {"depth": 4, "hidden": 16, "bins": 8, "bound": 4.0, "dropout": 0.2},
        steps=2400,
        batch_size=64,
        lr=2e-3,
        weight_decay=0.1,
        clip=50.0,
        ema=0.99,
        validate_every=100,
    ),
    "ring8": Preset(
        {"depth": 4, "hidden": 48, "bins": 24, "bound": 3.0}, steps=4000, batch_size=512, lr=3e-3, clip=10.0, ema=0.99
    ),
    "grid25": Preset(
        {"depth": 4, "hidden": 48, "bins": 24, "bound": 3.0}, steps=4000, batch_size=512, lr=3e-3, clip=10.0, ema=0.99
    ),
    "patches": Preset(
        {"depth": 3, "hidden": 16, "bins": 4, "bound": 4.0},
        steps=2400,
        batch_size=64,
        lr=2e-3,
        clip=50.0,
        ema=0.99,
        half=True,
    ),
    "pinwheel": Preset(
        {"depth": 4, "hidden": 48, "bins": 16, "bound": 3.0}, steps=5000, batch_size=512, lr=3e-3, clip=10.0, ema=0.99
    ),
}


def build(
    space: Space, *, depth: int = 4, hidden: int = 24, bins: int = 8, bound: float = 3.0, dropout: float = 0.0
) -> nn.Module:
    """The flow on real numbers; on integers the flow with uniform noise added to them.

    Arguments:
        depth, hidden, bins, bound, dropout: of the flow.

    Raises:
        ValueError: a space of one value or a matrix, or fewer than two bins.
    """
    if space.dim < 2:
        raise ValueError("a coupling needs at least two values")
    if len(space.shape) == 2:
        raise ValueError("it takes images [channels, height, width] and vectors [d]")
    if not 2 <= bins < 1 / LEAST:
        raise ValueError(f"a spline has from 2 to {round(1 / LEAST) - 1} bins")
    flow = nsf(space.shape, depth=depth, hidden=hidden, bins=bins, bound=bound, dropout=dropout, levels=space.levels)
    return for_space(flow, space.levels)
