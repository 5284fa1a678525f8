"""PixelRNN, Diagonal BiLSTM: two LSTMs sweep the image by diagonals, and together see every pixel of the past.

The map is skewed: row i is moved i places to the right, so that a column of the skewed map is a diagonal of the image.
Then a step is a column: a state hears from its own row and from the row above, one step ago, which are the pixels to
the left and above.

    (o, f, i, g) = K_ss * h_(t-1) + K_is * x_t,   c_t = f c_(t-1) + i g,   h_t = o tanh(c_t)

The other LSTM does the same on the mirrored image. It has read pixels to the right that are not yet there when the
pixel is drawn, so its states are moved down by a row before they are added: row i gets what was known after row i - 1.
A training pass takes H + W - 1 steps for each layer.

One pixel is seen late: the last of the row above. No state of its row has read it, since the first filter does not see
the pixel itself, so it reaches the row only where that filter sees it from below.

References:
    Pixel recurrent neural networks (van den Oord, Kalchbrenner, Kavukcuoglu, 2016), sections 3.2 to 3.4, figure 3.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import Preset, Space

from .pixelcnn import MaskedConv2d, Window, groups
from .row_lstm import RowLSTM

VERSION = 1


def skewed(x: Tensor) -> Tensor:
    """Row i of [B, p, H, W] moved i places to the right -> [B, p, H, W + H - 1]."""
    H, W = x.shape[2:]
    return F.pad(x, (0, H)).flatten(2)[:, :, : H * (W + H - 1)].unflatten(2, (H, W + H - 1))


def unskewed(x: Tensor, W: int) -> Tensor:
    """The inverse of `skewed`."""
    H = x.shape[2]
    return F.pad(x.flatten(2), (0, H)).unflatten(2, (H, W + H))[..., :W]


class DiagonalLSTM(nn.Module):
    """One direction: h states for 2h features, from the upper left."""

    def __init__(self, states: int, channels: int) -> None:
        super().__init__()
        self.states = states
        self.input_to_state = MaskedConv2d(groups(2 * states, channels), groups(states, channels).repeat(4), 0)
        self.state_to_state = nn.Conv1d(states, 4 * states, 2, bias=False)  # of the rows i - 1 and i

    def step(self, gates: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """From the input's part of the gates [B, 4h, n], and the last states [B, h, n + 1], the first from above.

        A cell is carried from the left: c is [B, h, n].
        """
        o, f, i, g = (gates + self.state_to_state(h)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def forward(self, x: Tensor) -> Tensor:
        """[B, 2h, H, W] -> states [B, h, H, W]."""
        H, W = x.shape[2:]
        gates = skewed(self.input_to_state(x))
        h = c = x.new_zeros(len(x), self.states, H)
        columns = []
        for t in range(W + H - 1):
            h, c = self.step(gates[..., t], F.pad(h, (1, 0)), c)
            inside = x.new_tensor([i <= t < i + W for i in range(H)])
            h, c = h * inside, c * inside  # beside the image there are no states
            columns.append(h)
        return unskewed(torch.stack(columns, 3), W)


class DiagonalLayer(nn.Module):
    """Both directions, whose outputs join their input of 2h features (figure 5, right)."""

    def __init__(self, states: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.states = states
        self.dropout = nn.Dropout(dropout)
        self.left, self.right = DiagonalLSTM(states, channels), DiagonalLSTM(states, channels)
        half, whole = groups(states, channels), groups(2 * states, channels)
        self.up_left, self.up_right = MaskedConv2d(half, whole, 0), nn.Conv2d(states, 2 * states, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.dropout(self.left(x)), self.dropout(self.right(x.flip(3)).flip(3))
        return x + self.up_left(left) + self.up_right(F.pad(right, (0, 0, 1, 0))[:, :, :-1])


class DiagonalBiLSTM(RowLSTM):
    """log p(x), exactly: the network of `row_lstm.py` with diagonal layers.

    Arguments:
        width: h, the states of each direction; 2h features run between the layers.
        depth: the number of layers.
        first: size (odd) of the first convolution.
        dropout: on the states, where they join the features, in training.
        one_hot: read x as one-hot levels, not as a number.
    """

    def __init__(
        self,
        space: Space,
        *,
        width: int = 32,
        depth: int = 3,
        first: int = 7,
        dropout: float = 0.0,
        one_hot: bool = False,
    ) -> None:
        super().__init__(space, width=width, depth=0, first=first, one_hot=one_hot)
        layers = [DiagonalLayer(width, space.shape[0], dropout) for _ in range(depth)]
        self.layers: list[DiagonalLayer] = nn.ModuleList(layers)  # type: ignore[assignment]

    def cache(self, n: int) -> Window:
        return Cache(self, n)


class Cache(Window):
    """The states around the pixel: it adds one step of the left LSTM, and the right one reads complete rows."""

    def __init__(self, net: DiagonalBiLSTM, n: int) -> None:
        super().__init__(net, n)
        W, zeros = net.space.shape[2], net.row.new_zeros
        self.net = net
        self.x = [zeros(n, 2 * layer.states, 1, W) for layer in net.layers]  # inputs of the row
        # h of the row above and of this one, and c of this one, of both directions; the right one is mirrored.
        self.left, self.right = ([[zeros(n, layer.states, W) for _ in range(3)] for layer in net.layers] for _ in "lr")
        self.shifted = [layer.up_right(zeros(n, layer.states, 1, W)) for layer in net.layers]  # the right one's, above

    def enter_row(self) -> None:
        """The row that is complete is read by the right LSTMs; the left ones have it above them."""
        for k, layer in enumerate(self.net.layers):
            above, here, cell = self.right[k]
            gates = layer.right.input_to_state(self.x[k].flip(3))[:, :, 0]
            for j in range(gates.shape[2]):
                walk(layer.right, gates[..., j : j + 1], above, here, cell, j)
            self.shifted[k] = layer.up_right(here.flip(2)[:, :, None])
            for states in (self.left[k], self.right[k]):
                states[0], states[1] = states[1], torch.zeros_like(states[1])
                states[2] = torch.zeros_like(states[2])

    def logits_at(self, x: Tensor, i: int, j: int, c: int) -> Tensor:
        net = self.net
        if j == 0 and c == 0 and i > 0:
            self.enter_row()
        f = net.input(self.seen(net, x, i, j))
        f = f + net.row[:, i : i + 1] + net.column[:, :, j : j + 1]
        for k, layer in enumerate(net.layers):
            self.x[k][..., j] = f[..., 0]
            above, here, cell = self.left[k]
            h = walk(layer.left, layer.left.input_to_state(f)[:, :, 0], above, here, cell, j)
            f = f + layer.up_left(h[:, :, None]) + self.shifted[k][..., j : j + 1]
        return net.head(f)[:, :, c, 0, 0]


def walk(lstm: DiagonalLSTM, gates: Tensor, above: Tensor, here: Tensor, cell: Tensor, j: int) -> Tensor:
    """One step at place j of a row, into `here` and `cell` [B, h, W]; the new state [B, h, 1]."""
    before = here[..., j - 1 : j] if j else torch.zeros_like(here[..., :1])
    carried = cell[..., j - 1 : j] if j else torch.zeros_like(before)
    h, c = lstm.step(gates, torch.cat([above[..., j : j + 1], before], 2), carried)
    here[..., j : j + 1], cell[..., j : j + 1] = h, c
    return h


PRESETS = {
    "digits": Preset(
        {"width": 28, "depth": 2, "first": 7, "dropout": 0.5}, steps=800, batch_size=64, lr=4e-3, weight_decay=0.5,
        clip=50.0, ema=0.995, validate_every=100,
    ),
    "mnist-binary": Preset(
        {"width": 24, "depth": 2}, steps=1800, batch_size=32, lr=3e-3, clip=100.0, ema=0.998, validate_every=600
    ),
}  # fmt: skip

build = DiagonalBiLSTM
