"""Glow: ActNorm, an invertible 1x1 convolution and an affine coupling of channels, step after step, at several scales.

    ActNorm        y_ij = s * x_ij + b                        log det = h w sum log |s|
    1x1            y_ij = W x_ij,  W = P L (U + diag(s))      log det = h w sum log |s|       (Kingma and
    coupling       y_a = exp(log s) * x_a + t,  y_b = x_b     log det = sum log s              Dhariwal 2018,
                   (log s, t) = NN(x_b)                                                                   table 1)

Where RealNVP lets halves of the channels stay in turn, here a learned W mixes all channels before each coupling. P is
a permutation that stays as it was drawn, L is lower triangular with ones on its diagonal, U strictly upper
triangular: the determinant is a product, and the inverse two substitutions. The scales are RealNVP's (figure 2b):
squeeze, K steps, and half of the channels are done.

ActNorm is set by data once, before the training (`initialise`), so that what leaves it has mean 0 and deviation 1 in
each channel; neither evaluation nor loading a checkpoint can set it again.

References:
    Glow: generative flow with invertible 1x1 convolutions (Kingma, Dhariwal, 2018), section 3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import Preset, Space

from ._bijections import ActNorm, Bijection, Composition, Logit, MultiScale, Shape, Squeeze, for_space

VERSION = 1


class Mixing(Bijection):
    """The invertible 1x1 convolution, by its LU decomposition (section 3.2); it starts at a rotation that is drawn."""

    permutation: Tensor
    sign: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels))
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", permutation)  # P and the signs of s are drawn: they are part of the model
        self.register_buffer("sign", diagonal.sign())
        self.lower, self.upper = nn.Parameter(lower.tril(-1)), nn.Parameter(upper.triu(1))
        self.log_scale = nn.Parameter(diagonal.abs().log())

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(s), [C, C] each."""
        one = torch.eye(len(self.sign), dtype=self.lower.dtype, device=self.lower.device)
        return self.lower.tril(-1) + one, self.upper.triu(1) + torch.diag(self.sign * self.log_scale.exp())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self.factors()
        weight = self.permutation @ lower @ upper
        places = x.shape[2] * x.shape[3]
        return F.conv2d(x, weight[:, :, None, None]), places * self.log_scale.sum().expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        lower, upper = self.factors()
        columns = self.permutation.T @ y.transpose(0, 1).flatten(1)  # [C, B H W]
        columns = torch.linalg.solve_triangular(lower, columns, upper=False, unitriangular=True)
        x = torch.linalg.solve_triangular(upper, columns, upper=True)
        return x.view(y.shape[1], len(y), *y.shape[2:]).transpose(0, 1)


class Coupling(Bijection):
    """The first half of the channels moves, told by the second; log s = factor * tanh(.), the factor learned.

    The last layer starts at zero, so the coupling at the identity (section 3.3).
    """

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.moves = channels // 2
        last = nn.Conv2d(hidden, 2 * self.moves, 3, padding=1)
        for p in last.parameters():
            nn.init.zeros_(p)
        self.network = nn.Sequential(
            nn.Conv2d(channels - self.moves, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, hidden, 1),
            nn.ReLU(),
            nn.Dropout(dropout),
            last,
        )
        self.factor = nn.Parameter(torch.ones(self.moves, 1, 1))

    def scale_and_shift(self, stays: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.network(stays).chunk(2, dim=1)
        return self.factor * torch.tanh(s), t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        moves, stays = x[:, : self.moves], x[:, self.moves :]
        log_s, t = self.scale_and_shift(stays)
        return torch.cat([moves * log_s.exp() + t, stays], 1), log_s.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        moved, stays = y[:, : self.moves], y[:, self.moves :]
        log_s, t = self.scale_and_shift(stays)
        return torch.cat([(moved - t) * (-log_s).exp(), stays], 1)


def glow(
    shape: Shape, *, depth: int, scales: int, hidden: int, dropout: float, levels: int | None = None
) -> MultiScale:
    """The flow on real-valued images.

    Arguments:
        depth, scales: K and L of the paper: steps at every scale.
        hidden, dropout: of the couplings' networks.
        levels: L where the values are dequantised integers on [0, L).
    """
    whole, found, shapes = shape, [], []
    entry: list[Bijection] = [] if levels is None else [Logit(levels)]
    for i in range(scales):
        c, h, w = shape
        if h % 2 or w % 2:
            raise ValueError(f"{whole[1]}x{whole[2]} cannot be halved {scales} times")
        shape = (4 * c, h // 2, w // 2)
        step = [
            layer for _ in range(depth) for layer in (ActNorm(shape), Mixing(4 * c), Coupling(4 * c, hidden, dropout))
        ]
        found.append(Composition([*entry, Squeeze(), *step]))
        if i < scales - 1:
            shape = (2 * c, h // 2, w // 2)
        shapes.append(shape)
        entry = []
    return MultiScale(whole, found, shapes)


PRESETS = {
    "digits": Preset(
        {"depth": 8, "scales": 2, "hidden": 24, "dropout": 0.2},
        steps=5000,
        batch_size=64,
        lr=2e-3,
        weight_decay=0.1,
        clip=50.0,
        ema=0.99,
        validate_every=100,
    ),
    "patches": Preset(
        {"depth": 7, "scales": 2, "hidden": 20},
        steps=4000,
        batch_size=64,
        lr=2e-3,
        clip=50.0,
        ema=0.998,
        half=True,
    ),
}


def build(space: Space, *, depth: int = 8, scales: int = 2, hidden: int = 24, dropout: float = 0.0) -> nn.Module:
    """The flow on real numbers; on integers the flow with uniform noise added to them.

    Arguments:
        depth, scales, hidden, dropout: of the flow.

    Raises:
        ValueError: no images, or sides that cannot be halved at every scale.
    """
    if not space.is_image:
        raise ValueError("it takes images [channels, height, width]")
    flow = glow(space.shape, depth=depth, scales=scales, hidden=hidden, dropout=dropout, levels=space.levels)
    return for_space(flow, space.levels)
