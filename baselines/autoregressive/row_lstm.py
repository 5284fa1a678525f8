"""PixelRNN, Row LSTM: an LSTM whose step is a row, from the top of the image to the bottom.

    (o, f, i, g) = K_ss * h_(row-1) + K_is * x_row,   c_row = f c_(row-1) + i g,   h_row = o tanh(c_row)

Both are convolutions along the row. The input-to-state filter K_is is masked as in the PixelCNN: it sees the row up to
the pixel. The state-to-state filter K_ss sees three states of the row above, and so a triangle of pixels above, which
widens by one on each side for every row: context to its left and right is missed. The whole row is one step, so a
training pass takes H steps for each layer.

References:
    Pixel recurrent neural networks (van den Oord, Kalchbrenner, Kavukcuoglu, 2016), sections 3.1, 3.3 and 3.4,
    equation 3, table 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import Preset, Space

from .pixelcnn import MaskedConv2d, Raster, Window, groups

VERSION = 1


class RowConv(nn.Conv1d):
    """A filter along the own row up to the pixel, B of which is seen by mask B: [B, in, w + r] -> [B, out, w]."""

    mask: Tensor

    def __init__(self, before: Tensor, after: Tensor, reach: int) -> None:
        super().__init__(len(before), len(after), reach + 1)
        mask = torch.ones_like(self.weight)
        mask[:, :, reach] = (before <= after[:, None]).float()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.weight * self.mask, self.bias)


class RowLayer(nn.Module):
    """A Row LSTM of h states, whose output joins its input of 2 h features (section 3.3, figure 5, right)."""

    def __init__(self, states: int, reach: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.states, self.reach = states, reach
        self.dropout = nn.Dropout(dropout)
        whole, half = groups(2 * states, channels), groups(states, channels)
        self.input_to_state = RowConv(whole, half.repeat(4), reach)
        self.state_to_state = nn.Conv1d(states, 4 * states, 2 * reach + 1, bias=False)
        self.up = MaskedConv2d(half, whole, 0)

    def above(self, h: Tensor) -> Tensor:
        """What the row above says to the gates: [B, h, W] -> [B, 4h, W]."""
        return self.state_to_state(F.pad(h, (self.reach, self.reach)))

    def step(self, x: Tensor, above: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Equation 3 on any part of a row: input [B, 2h, w + r], `above` [B, 4h, w], c [B, h, w] -> new h and c."""
        o, f, i, g = (self.input_to_state(x) + above).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def forward(self, x: Tensor) -> Tensor:
        """[B, 2h, H, W] -> the same, row by row."""
        padded = F.pad(x, (self.reach, 0))
        h = c = x.new_zeros(len(x), self.states, x.shape[3])
        rows = []
        for i in range(x.shape[2]):
            h, c = self.step(padded[:, :, i], self.above(h), c)
            rows.append(h)
        return x + self.up(self.dropout(torch.stack(rows, 2)))


class RowLSTM(Raster):
    """log p(x), exactly; samples value by value.

    Arguments:
        width: h, the states of a layer; 2h features run between the layers.
        depth: the number of layers.
        first, kernel: sizes (odd) of the first convolution, and of the filters along a row.
        dropout: on the states, where they join the features, in training.
        one_hot: read x as one-hot levels, not as a number.
    """

    def __init__(
        self,
        space: Space,
        *,
        width: int = 32,
        depth: int = 4,
        first: int = 7,
        kernel: int = 3,
        dropout: float = 0.0,
        one_hot: bool = False,
    ) -> None:
        super().__init__()
        if not space.is_image or space.levels is None:
            raise ValueError("it models images [C, H, W] of integer levels")
        C, H, W = space.shape
        if width < C or first % 2 == 0 or kernel % 2 == 0 or min(first, kernel) < 3:
            raise ValueError(f"width must be at least {C}; first and kernel odd, and at least 3")
        self.space, self.levels, self.one_hot = space, space.levels, one_hot
        self.first = first // 2
        g = groups(2 * width, C)
        self.input = MaskedConv2d(groups(self.inputs, C), g, self.first, strict=True)
        self.row = nn.Parameter(torch.zeros(2 * width, H, 1))  # where a pixel lies: digits are centred
        self.column = nn.Parameter(torch.zeros(2 * width, 1, W))
        layers = [RowLayer(width, kernel // 2, C, dropout) for _ in range(depth)]
        self.layers: list[RowLayer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.hidden = MaskedConv2d(g, g, 0)
        self.output = MaskedConv2d(g, groups(C * space.levels, C), 0)

    def features(self, x: Tensor) -> Tensor:
        h = self.first_features(x)
        for layer in self.layers:
            h = layer(h)
        return h

    def cache(self, n: int) -> Window:
        return Cache(self, n)


class Cache(Window):
    """The states of the row above, and of the row up to the pixel: what a pixel adds is one step on one state."""

    def __init__(self, net: RowLSTM, n: int) -> None:
        super().__init__(net, n)
        W, zeros = net.space.shape[2], net.row.new_zeros
        self.net = net
        self.x = [zeros(n, 2 * layer.states, W + layer.reach) for layer in net.layers]  # of the row, padded
        self.above = [zeros(n, 4 * layer.states, W) for layer in net.layers]
        self.h, self.c, self.c_above = ([zeros(n, layer.states, W) for layer in net.layers] for _ in range(3))

    def enter_row(self) -> None:
        """What was this row is the row above."""
        for k, layer in enumerate(self.net.layers):
            self.above[k] = layer.above(self.h[k])
            self.c_above[k] = self.c[k].clone()

    def logits_at(self, x: Tensor, i: int, j: int, c: int) -> Tensor:
        net = self.net
        if j == 0 and c == 0 and i > 0:
            self.enter_row()
        f = net.input(self.seen(net, x, i, j))
        f = f + net.row[:, i : i + 1] + net.column[:, :, j : j + 1]
        at = slice(j, j + 1)
        for k, layer in enumerate(net.layers):
            self.x[k][:, :, j + layer.reach] = f[:, :, 0, 0]
            seen = self.x[k][:, :, j : j + layer.reach + 1]
            h, state = layer.step(seen, self.above[k][:, :, at], self.c_above[k][:, :, at])
            self.h[k][:, :, at], self.c[k][:, :, at] = h, state
            f = f + layer.up(h[:, :, None])
        return net.head(f)[:, :, c, 0, 0]


PRESETS = {
    "digits": Preset(
        {"width": 32, "depth": 2, "first": 7, "dropout": 0.5}, steps=1000, batch_size=64, lr=3e-3, weight_decay=0.5,
        clip=50.0, ema=0.995, validate_every=100,
    ),
    "mnist-binary": Preset(
        {"width": 24, "depth": 3}, steps=7000, batch_size=32, lr=3e-3, clip=100.0, ema=0.998, validate_every=1000
    ),
}  # fmt: skip

build = RowLSTM
