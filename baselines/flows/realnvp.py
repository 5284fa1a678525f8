"""RealNVP: an invertible network of affine couplings, with the exact density of what it maps to a Gaussian.

    log p(x) = log N(f(x); 0, I) + log |det df/dx|
    y = m * x + (1 - m) * (x * exp(s(m * x)) + t(m * x))       (Dinh et al. 2017, equation 9)

Half of the values, chosen by the mask m, stay and decide the scale s and the shift t of the others;
so the Jacobian is triangular and the inverse as cheap as the map. Images pass through checkerboard
masks, then are squeezed to four times the channels at half the side and pass through channel masks,
after which half of the channels are done (sections 3.4 to 3.6). Points take alternating masks and
fully connected couplings. Integers are dequantised (`genbench.likelihood.dequantised`; with learned
noise in `variational_realnvp.py`) and stretched from [0, L) to the real line by a logit, which
contributes its log-determinant.

NOTE: where the paper has batch normalisation, every coupling follows a learned affine map of each
value: nothing depends on the batch, so a density is the same whatever it is computed with.

References:
    Density estimation using Real NVP (Dinh, Sohl-Dickstein, Bengio, 2017).
    Glow (Kingma and Dhariwal, 2018), for the affine map in place of batch normalisation.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from genbench import Preset, Space
from genbench.likelihood.dequantised import Dequantised, LogitNormal, VariationallyDequantised

from ._bijections import (
    Affine,
    Bijection,
    Composition,
    Logit,
    MultiScale,
    Shape,
    Squeeze,
    channelwise,
    checkerboard,
)

VERSION = 1


class Coupling(Bijection):
    """Equation 9. s = factor * tanh(.), the factor learned; the last layer starts at zero, so the map at the identity.

    Arguments:
        mask: 1 where a value stays.
        network: [B, C, ...] -> [B, 2 C, ...], ends in a layer with weight and bias.
    """

    mask: Tensor

    def __init__(self, mask: Tensor, network: nn.Sequential) -> None:
        super().__init__()
        self.register_buffer("mask", mask, persistent=False)
        self.network = network
        self.factor = nn.Parameter(torch.ones(mask.shape))
        for p in network[-1].parameters():
            nn.init.zeros_(p)

    def scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.network(kept).chunk(2, dim=1)
        return (1 - self.mask) * self.factor * torch.tanh(s), (1 - self.mask) * t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.scale_and_shift(self.mask * x)
        return x * s.exp() + t, s.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        s, t = self.scale_and_shift(self.mask * y)
        return (y - t) * (-s).exp()


def couplings(masks: Sequence[Tensor], hidden: int, dropout: float) -> list[Bijection]:
    """For every mask an affine map and a coupling: convolutions on images, fully connected on vectors."""
    layers: list[Bijection] = []
    for mask in masks:
        shape = tuple(mask.shape)
        layers += [Affine(shape), Coupling(mask, network(shape, hidden, 2 * shape[0], dropout))]
    return layers


def network(shape: Shape, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """Three layers, convolutions or fully connected: [B, *shape] -> [B, outputs, ...]."""
    if len(shape) == 3:
        layer: Callable[[int, int], nn.Module] = partial(nn.Conv2d, kernel_size=3, padding=1)
    else:
        layer = nn.Linear
    first, middle, last = layer(shape[0], hidden), layer(hidden, hidden), layer(hidden, outputs)
    return nn.Sequential(first, nn.ReLU(), middle, nn.ReLU(), nn.Dropout(dropout), last)


def learned_noise(shape: Shape, levels: int, hidden: int, depth: int = 2) -> LogitNormal:
    """r(u | x) of variational dequantisation: a conditional Gaussian, then couplings, all told of x by a context.

    Without couplings r is independent in every value; each coupling lets half of the noise depend on the other half.

    Arguments:
        hidden: channels or units of every network, and of the context.
        depth: couplings.
    """
    entry = network(shape, hidden, 2 * shape[0] + hidden, dropout=0.0)
    for p in entry[-1].parameters():
        nn.init.zeros_(p)
    pair = (shape[0] + hidden, *shape[1:])
    context = torch.ones(hidden, *shape[1:])
    masks = [torch.cat([checkerboard(shape, i % 2), context]) for i in range(depth)]
    steps = [Coupling(mask, network(pair, hidden, 2 * pair[0], dropout=0.0)) for mask in masks]
    return LogitNormal(shape[0], entry, levels, steps)


class RealNVP(MultiScale):
    """The flow on real numbers, of as many scales as the sides of an image can be halved.

    Arguments:
        depth: couplings in a row, at every scale and with either kind of mask.
        hidden: channels or units of a coupling's network.
        dropout: before its last layer, while training.
        levels: L where the values are dequantised integers on [0, L).
    """

    def __init__(self, shape: Shape, *, depth: int, hidden: int, dropout: float, levels: int | None = None) -> None:
        whole = shape
        shapes: list[Shape] = []  # of what every scale finishes
        entry: list[Bijection] = [] if levels is None else [Logit(levels)]
        scales = []
        while len(shape) == 3 and min(shape[1:]) >= 8 and shape[1] % 2 == shape[2] % 2 == 0:
            c, h, w = shape
            fine = couplings([checkerboard(shape, i % 2) for i in range(depth)], hidden, dropout)
            shape = (4 * c, h // 2, w // 2)
            coarse = couplings([channelwise(shape, i % 2) for i in range(depth)], hidden, dropout)
            scales.append(Composition([*entry, *fine, Squeeze(), *coarse]))
            shape = (2 * c, h // 2, w // 2)
            shapes.append(shape)
            entry = []
        rest = couplings([checkerboard(shape, i % 2) for i in range(depth)], hidden, dropout)
        scales.append(Composition([*entry, *rest]))
        shapes.append(shape)
        super().__init__(whole, scales, shapes)


PRESETS = {
    "digits": Preset(
        {"depth": 4, "hidden": 24, "dropout": 0.2},
        steps=2400,
        batch_size=64,
        lr=2e-3,
        weight_decay=0.1,
        clip=50.0,
        ema=0.99,
        validate_every=100,
    ),
    "patches": Preset(
        {"depth": 4, "hidden": 20},
        steps=4000,
        batch_size=64,
        lr=2e-3,
        clip=50.0,
        ema=0.998,
        validate_every=200,
        half=True,
    ),
    "mnist": Preset(
        {"depth": 4, "hidden": 24},
        steps=4000,
        batch_size=64,
        lr=2e-3,
        clip=500.0,
        ema=0.998,
        validate_every=500,
        half=True,
    ),
    "ring8": Preset({"depth": 20, "hidden": 48}, steps=8000, batch_size=512, lr=3e-3, clip=10.0, ema=0.99),
    "pinwheel": Preset({"depth": 16, "hidden": 48}, steps=4000, batch_size=512, lr=3e-3, clip=10.0, ema=0.99),
}


def build(
    space: Space,
    *,
    depth: int = 4,
    hidden: int = 24,
    dropout: float = 0.0,
    dequantisation: str = "uniform",
    noise_hidden: int = 10,
) -> nn.Module:
    """The flow on real numbers; on integers the flow with noise added to them.

    Arguments:
        depth, hidden, dropout: of the flow.
        dequantisation: "uniform", or "variational" for noise that is learned.
        noise_hidden: channels or units of the networks that learn it.

    Raises:
        ValueError: a space of one value, a matrix, or learned noise for real numbers.
    """
    if dequantisation not in ("uniform", "variational"):
        raise ValueError(f"dequantisation is 'uniform' or 'variational', not '{dequantisation}'")
    if space.dim < 2:
        raise ValueError("a coupling needs at least two values")
    if len(space.shape) == 2:
        raise ValueError("it takes images [channels, height, width] and vectors [d]")
    flow = RealNVP(space.shape, depth=depth, hidden=hidden, dropout=dropout, levels=space.levels)
    if space.levels is None:
        if dequantisation == "variational":
            raise ValueError("real numbers need no dequantisation")
        return flow
    if dequantisation == "uniform":
        return Dequantised(flow, space.levels)
    return VariationallyDequantised(flow, space.levels, learned_noise(space.shape, space.levels, noise_hidden))
