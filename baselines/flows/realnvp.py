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

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Dataset, Preset, Space
from genbench.likelihood.dequantised import Dequantised, LogitNormal, VariationallyDequantised
from genbench.models.sampling import to_tensor

from .._layers import log_normal

VERSION = 1
Shape = tuple[int, ...]


class Bijection(nn.Module, ABC):
    """`forward(x) -> (y, log |det dy/dx| [B])` and `inverse(y) -> x`."""

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor: ...


class Logit(Bijection):
    """x on [0, L) -> logit(alpha + (1 - 2 alpha) x / L), section 4.1; alpha keeps the logit finite at the ends."""

    def __init__(self, levels: int, alpha: float = 0.05) -> None:
        super().__init__()
        self.levels, self.alpha = levels, alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.logit(self.alpha + (1 - 2 * self.alpha) / self.levels * x)
        slope = math.log((1 - 2 * self.alpha) / self.levels) + F.softplus(y) + F.softplus(-y)
        return y, slope.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        return (torch.sigmoid(y) - self.alpha) * self.levels / (1 - 2 * self.alpha)


class Affine(Bijection):
    """y = x * exp(a) + b with one a and b for every value."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.shift = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.log_scale.exp() + self.shift, self.log_scale.sum().expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return (y - self.shift) * (-self.log_scale).exp()


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


class Squeeze(Bijection):
    """2x2 pixels -> four channels, section 3.6: [B, C, H, W] -> [B, 4 C, H/2, W/2]."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return F.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return F.pixel_shuffle(y, 2)


class Composition(Bijection):
    """One bijection after another."""

    def __init__(self, layers: Sequence[Bijection]) -> None:
        super().__init__()
        self.layers: Sequence[Bijection] = nn.ModuleList(layers)  # type: ignore[assignment]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logdet = x.new_zeros(len(x))
        for layer in self.layers:
            x, change = layer(x)
            logdet = logdet + change
        return x, logdet

    def inverse(self, y: Tensor) -> Tensor:
        for layer in reversed(self.layers):
            y = layer.inverse(y)
        return y


def checkerboard(shape: Shape, parity: int) -> Tensor:
    """1 where the sum of the last coordinates (two of an image, one of a vector) has the parity."""
    total = torch.arange(shape[-1])
    if len(shape) > 1:
        total = total + torch.arange(shape[-2]).unsqueeze(1)
    return ((total + parity) % 2).float().expand(shape).clone()


def channelwise(shape: Shape, parity: int) -> Tensor:
    """1 in the second half of the channels; with odd parity in the first."""
    second = torch.arange(shape[0]) >= shape[0] // 2
    return (second ^ bool(parity)).float().view(-1, 1, 1).expand(shape).clone()


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


class RealNVP(nn.Module):
    """The flow on real numbers; `scales[i]` maps what scale i - 1 has not finished.

    Arguments:
        depth: couplings in a row, at every scale and with either kind of mask.
        hidden: channels or units of a coupling's network.
        dropout: before its last layer, while training.
        levels: L where the values are dequantised integers on [0, L).
    """

    def __init__(self, shape: Shape, *, depth: int, hidden: int, dropout: float, levels: int | None = None) -> None:
        super().__init__()
        self.space = Space(shape)
        entry: list[Bijection] = [] if levels is None else [Logit(levels)]
        scales = []
        self.shapes: list[Shape] = []  # of what every scale finishes
        while len(shape) == 3 and min(shape[1:]) >= 8 and shape[1] % 2 == shape[2] % 2 == 0:
            c, h, w = shape
            fine = couplings([checkerboard(shape, i % 2) for i in range(depth)], hidden, dropout)
            shape = (4 * c, h // 2, w // 2)
            coarse = couplings([channelwise(shape, i % 2) for i in range(depth)], hidden, dropout)
            scales.append(Composition([*entry, *fine, Squeeze(), *coarse]))
            shape = (2 * c, h // 2, w // 2)
            self.shapes.append(shape)
            entry = []
        rest = couplings([checkerboard(shape, i % 2) for i in range(depth)], hidden, dropout)
        scales.append(Composition([*entry, *rest]))
        self.shapes.append(shape)
        self.scales: Sequence[Bijection] = nn.ModuleList(scales)  # type: ignore[assignment]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z = f(x) `[B, D]`, what is finished first comes first; log |det df/dx| `[B]`."""
        finished, logdet = [], x.new_zeros(len(x))
        for i, scale in enumerate(self.scales):
            x, change = scale(x)
            logdet = logdet + change
            if i < len(self.scales) - 1:
                done, x = x.chunk(2, dim=1)
                finished.append(done.flatten(1))
        return torch.cat([*finished, x.flatten(1)], 1), logdet

    def inverse(self, z: Tensor) -> Tensor:
        """x with forward(x) = z: [B, D] -> [B, *shape]."""
        *finished, last = z.split([math.prod(shape) for shape in self.shapes], dim=1)
        x = last.view(len(z), *self.shapes[-1])
        for i in reversed(range(len(self.scales))):
            if i < len(finished):
                x = torch.cat([finished[i].view(len(z), *self.shapes[i]), x], 1)
            x = self.scales[i].inverse(x)
        return x

    def log_prob(self, x: Tensor) -> Tensor:
        z, logdet = self(x)
        zero = z.new_zeros(())
        return log_normal(z, zero, zero).sum(1) + logdet

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.log_prob(x).mean()

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.inverse(torch.randn(n, self.space.dim, generator=generator, device=generator.device))

    @torch.no_grad()
    def round_trip_error(self, x: Tensor) -> Tensor:
        """Largest |f^-1(f(x)) - x| of every example, `[B]`: how far from the exact density rounding can have led."""
        return (self.inverse(self(x)[0]) - x).abs().flatten(1).amax(1)

    def report(self, dataset: Dataset) -> dict[str, Any]:
        """What the checkpoint's card says of the trained flow: the largest error of inverting it on validation data."""
        device = next(self.parameters()).device
        x = to_tensor(dataset.validation, dataset.space, device)
        return {"round_trip_error": float(self.round_trip_error(x).max())}


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
    "ring8": Preset({"depth": 20, "hidden": 48}, steps=8000, batch_size=512, lr=3e-3, clip=10.0, ema=0.99),
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
