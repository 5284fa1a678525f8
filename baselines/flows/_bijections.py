"""What flows share: bijections with log-determinants, their composition, and the density that they give.

    log p(x) = log pi(f(x)) + log |det df/dx|          the change of variables, with pi a base that is easy to draw from

Each of the flows beside this file has its own bijection f; what is here is in most of them.

References:
    Density estimation using Real NVP (Dinh, Sohl-Dickstein, Bengio, 2017), sections 3.4 to 3.6 and 4.1.
    Glow (Kingma and Dhariwal, 2018), section 3.1, for ActNorm.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Dataset, Space
from genbench.likelihood.dequantised import Dequantised
from genbench.models.sampling import to_tensor

from .._layers import log_normal

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


class ActNorm(Affine):
    """y = x * exp(a) + b with one a and b for every channel.

    `initialise` sets them so that a batch leaves with mean 0 and deviation 1; nothing else does, so what is evaluated,
    or loaded, is never changed by the data that it meets.

    Arguments:
        shape: of one x, the channels first; the values of a vector are its channels.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__((shape[0], *[1] * (len(shape) - 1)))
        self.places = math.prod(shape[1:])

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        values = x.transpose(0, 1).flatten(1)  # [C, everything else]
        sd = values.std(1, correction=0).clamp(min=1e-6)
        self.log_scale.copy_(-sd.log().view_as(self.log_scale))
        self.shift.copy_(-(values.mean(1) / sd).view_as(self.shift))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, log_det = super().forward(x)
        return y, self.places * log_det


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


class Flow(Bijection):
    """A density on real numbers: `forward` maps x `[B, *shape]` to z `[B, D]`, which the base pi is over.

    The base is N(0, I) where `log_base` and `draw_base` say nothing else.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.space = Space(shape)

    def log_base(self, z: Tensor) -> Tensor:
        """log pi(z): `[B, D]` -> `[B]`."""
        zero = z.new_zeros(())
        return log_normal(z, zero, zero).sum(1)

    def draw_base(self, n: int, generator: Generator) -> Tensor:
        """z ~ pi: `[n, D]`."""
        return torch.randn(n, self.space.dim, generator=generator, device=generator.device)

    def log_prob(self, x: Tensor) -> Tensor:
        z, logdet = self(x)
        return self.log_base(z) + logdet

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.log_prob(x).mean()

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.inverse(self.draw_base(n, generator))

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: Generator) -> None:
        """Sets every ActNorm by what reaches it of x, from the first to the last: once, before the training."""
        norms = [layer for layer in self.modules() if isinstance(layer, ActNorm)]
        hooks = [norm.register_forward_pre_hook(lambda norm, inputs: norm.initialise(inputs[0])) for norm in norms]
        if norms:
            self(x)
        for hook in hooks:
            hook.remove()

    @torch.no_grad()
    def round_trip_error(self, x: Tensor) -> Tensor:
        """Largest |f^-1(f(x)) - x| of every example, `[B]`: how far from the exact density rounding can have led."""
        return (self.inverse(self(x)[0]) - x).abs().flatten(1).amax(1)

    def report(self, dataset: Dataset) -> dict[str, Any]:
        """What the checkpoint's card says of the trained flow: the largest error of inverting it on validation data."""
        device = next(self.parameters()).device
        x = to_tensor(dataset.validation, dataset.space, device)
        return {"round_trip_error": float(self.round_trip_error(x).max())}


class MultiScale(Flow):
    """`scales[i]` maps what scale i - 1 has not finished; of its result half of the channels are finished.

    Arguments:
        shapes: of what every scale finishes; of the last one it is all.
    """

    def __init__(self, shape: Shape, scales: Sequence[Bijection], shapes: Sequence[Shape]) -> None:
        super().__init__(shape)
        self.shapes = list(shapes)
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


def for_space(flow: Flow, levels: int | None) -> nn.Module:
    """The flow itself for real numbers; for integers the flow with uniform noise added to them."""
    return flow if levels is None else Dequantised(flow, levels)
