"""PixelCNN: an exact autoregressive likelihood by one stack of masked convolutions, with its blind spot.

    p(x) = prod_{i,j,c} p(x_ijc | the rows above, the pixels to the left, the channels before c)

The filters are cut off behind the pixel itself: the first layer does not see it (mask A), later layers see what the
first has computed there (mask B). All conditionals come from one pass. But the rightmost pixel that a filter of 3 x 3
sees is the one above and to the right, and a stack of them reaches no further than one column to the right for each
row: a wedge of pixels is never seen, however many layers there are (docs/autoregressive.md has the picture).
`gated_pixelcnn.py` mends that.

References:
    Pixel recurrent neural networks (van den Oord, Kalchbrenner, Kavukcuoglu, 2016), sections 3.3 to 3.5, table 1.
    Conditional image generation with PixelCNN decoders (van den Oord et al., 2016), figure 1: the blind spot.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import normalised, quarters, sample_categorical

VERSION = 1


def groups(n: int, channels: int) -> Tensor:
    """The image channel that each of n features belongs to, in equal shares -> [n]."""
    return torch.arange(n) * channels // n


class MaskedConv2d(nn.Conv2d):
    """A filter of the rows above and of the own row up to the pixel, with no padding: [B, in, h + r, w + 2r] -> [h, w].

    Of the pixel itself feature o sees feature i only where group(i) < group(o) (mask A, `strict`) or
    group(i) <= group(o) (mask B).
    """

    mask: Tensor

    def __init__(self, before: Tensor, after: Tensor, reach: int, strict: bool = False) -> None:
        super().__init__(len(before), len(after), (reach + 1, 2 * reach + 1))
        mask = torch.ones_like(self.weight)
        mask[:, :, reach, reach] = (before < after[:, None] if strict else before <= after[:, None]).float()
        mask[:, :, reach, reach + 1 :] = 0
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias)


class Raster(nn.Module):
    """What a PixelCNN and the PixelRNNs share around their layers: first and last filters, the order, the sampler.

    A subclass makes `input`, `row` and `column`, its layers, `hidden` and `output`; and `features` and `cache` of them.
    """

    space: Space
    levels: int
    one_hot: bool
    first: int
    input: MaskedConv2d
    row: Tensor
    column: Tensor
    hidden: MaskedConv2d
    output: MaskedConv2d

    @property
    def inputs(self) -> int:
        """Features of a pixel of x."""
        return self.space.shape[0] * (self.levels if self.one_hot else 1)

    def embed(self, x: Tensor) -> Tensor:
        """[B, C, H, W] int64 -> [B, inputs, H, W] float."""
        if not self.one_hot:
            return normalised(x, self.space)
        return F.one_hot(x, self.levels).movedim(-1, 2).flatten(1, 2).float()

    def head(self, h: Tensor) -> Tensor:
        """[B, p, H, W] -> logits [B, L, C, H, W]."""
        logits = self.output(self.hidden(h.relu()).relu())
        return logits.unflatten(1, (self.space.shape[0], -1)).transpose(1, 2)

    def first_features(self, x: Tensor) -> Tensor:
        """What the first filter sees, and where a pixel lies: [B, C, H, W] -> [B, p, H, W]."""
        s = self.first
        return self.input(F.pad(self.embed(x), (s, s, s, 0))) + self.row + self.column

    def features(self, x: Tensor) -> Tensor:
        """What the layers make of the past of every pixel: [B, C, H, W] -> [B, p, H, W]."""
        raise NotImplementedError

    def logits(self, x: Tensor) -> Tensor:
        """The logits of every value given all those before it: [B, C, H, W] -> [B, L, C, H, W]."""
        return self.head(self.features(x))

    def encode(self, x: Tensor) -> Tensor:
        """The features behind the predictions, averaged over each quarter of the image: [B, C, H, W] -> [B, 4 p]."""
        return quarters(self.features(x).relu())

    def cache(self, n: int) -> "Window":
        """What `complete` asks for the logits of one value after another, of n images."""
        raise NotImplementedError

    def level_logits(self, x: Tensor) -> Tensor:
        return self.logits(x)

    def log_conditionals(self, x: Tensor) -> Tensor:
        """log p of every value given those before it, in raster order, channels last: [B, C, H, W]."""
        return -F.cross_entropy(self.logits(x), x, reduction="none")

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_conditionals(x).flatten(1).sum(1)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.log_prob(x).mean()

    def sample(self, n: int, generator: Generator) -> Tensor:
        x = torch.zeros(n, *self.space.shape, dtype=torch.int64, device=generator.device)
        return self.complete(x, torch.zeros_like(x), generator)

    @torch.no_grad()
    def complete(self, x: Tensor, mask: Tensor, generator: Generator, cached: bool = True) -> Tensor:
        """x where mask is 1, draws elsewhere, in raster order.

        The draws are from p(hidden | visible) where the visible values come first, such as an upper half.
        """
        visible = mask.expand_as(x).bool()
        cache = self.cache(len(x)) if cached else None
        x = x.masked_fill(~visible, 0)
        C, H, W = self.space.shape
        for i, j, c in itertools.product(range(H), range(W), range(C)):
            logits = cache.logits_at(x, i, j, c) if cache else self.logits(x)[:, :, c, i, j]
            x[:, c, i, j] = torch.where(visible[:, c, i, j], x[:, c, i, j], sample_categorical(logits, generator))
        return x

    def sample_naive(self, n: int, generator: Generator) -> Tensor:
        """The same samples by a full pass for every value: what the cache is tested and timed against."""
        x = torch.zeros(n, *self.space.shape, dtype=torch.int64, device=generator.device)
        return self.complete(x, torch.zeros_like(x), generator, cached=False)


class Window:
    """The inputs of images that are complete up to one value, as the first filter sees them.

    What is computed at the last channel of a pixel is final: no feature of a pixel sees its last channel.
    """

    def __init__(self, net: Raster, n: int) -> None:
        _, H, W = net.space.shape
        self.inputs = net.row.new_zeros(n, net.inputs, H + net.first, W + 2 * net.first)

    def seen(self, net: Raster, x: Tensor, i: int, j: int) -> Tensor:
        """All that the first filter sees at pixel (i, j), asked for in raster order: [B, inputs, s + 1, 2s + 1]."""
        s = net.first
        last = (i, j - 1) if j else (i - 1, x.shape[-1] - 1)  # complete now
        for y, z in [(i, j), last] if (i, j) > (0, 0) else [(i, j)]:
            self.inputs[:, :, y + s, z + s] = net.embed(x[:, :, y : y + 1, z : z + 1])[:, :, 0, 0]
        return self.inputs[:, :, i : i + s + 1, j : j + 2 * s + 1]

    def logits_at(self, x: Tensor, i: int, j: int, c: int) -> Tensor:
        """Logits of value (c, i, j) given those before it: x [B, C, H, W] -> [B, L]. Asked for in raster order."""
        raise NotImplementedError


class Block(nn.Module):
    """h + a bottleneck of half the width around the only filter that sees other pixels (section 3.5, figure 5)."""

    def __init__(self, width: int, reach: int, channels: int, dropout: float) -> None:
        super().__init__()
        whole, half = groups(width, channels), groups(width // 2, channels)
        self.down = MaskedConv2d(whole, half, 0)
        self.filter = MaskedConv2d(half, half, reach)
        self.up = MaskedConv2d(half, whole, 0)
        self.dropout = nn.Dropout(dropout)

    def inner(self, h: Tensor) -> Tensor:
        """What the filter sees of each pixel: [B, p, h, w] -> [B, p / 2, h, w]."""
        return self.down(h.relu()).relu()

    def outer(self, h: Tensor, inner: Tensor) -> Tensor:
        """h [B, p, h, w] and what it adds, from `inner` with its padding."""
        return h + self.up(self.dropout(self.filter(self.dropout(inner)).relu()))


class PixelCNN(Raster):
    """log p(x) in one pass; samples value by value.

    Arguments:
        width: p, the features, half of them in the bottlenecks.
        depth: the number of blocks.
        first, kernel: filter sizes (odd) of the first convolution and of the blocks.
        dropout: on what the filters see and give, in training.
        one_hot: read x as one-hot levels, not as a number.
    """

    def __init__(
        self,
        space: Space,
        *,
        width: int = 64,
        depth: int = 6,
        first: int = 7,
        kernel: int = 3,
        dropout: float = 0.0,
        one_hot: bool = False,
    ) -> None:
        super().__init__()
        if not space.is_image or space.levels is None:
            raise ValueError("it models images [C, H, W] of integer levels")
        C, H, W = space.shape
        if width < 2 * C or first % 2 == 0 or kernel % 2 == 0 or min(first, kernel) < 3:
            raise ValueError(f"width must be at least {2 * C}; first and kernel odd, and at least 3")
        self.space, self.levels, self.one_hot = space, space.levels, one_hot
        self.first, self.reach = first // 2, kernel // 2
        g = groups(width, C)
        self.input = MaskedConv2d(groups(self.inputs, C), g, self.first, strict=True)
        self.row = nn.Parameter(torch.zeros(width, H, 1))  # where a pixel lies: digits are centred
        self.column = nn.Parameter(torch.zeros(width, 1, W))
        blocks = [Block(width, self.reach, C, dropout) for _ in range(depth)]
        self.blocks: list[Block] = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.hidden = MaskedConv2d(g, g, 0)
        self.output = MaskedConv2d(g, groups(C * space.levels, C), 0)

    def features(self, x: Tensor) -> Tensor:
        r = self.reach
        h = self.first_features(x)
        for block in self.blocks:
            h = block.outer(h, F.pad(block.inner(h), (r, r, r, 0)))
        return h

    def cache(self, n: int) -> "Cache":
        return Cache(self, n)


class Cache(Window):
    """What the filters have seen so far: a pixel costs one application of each filter, wherever it lies.

    At one place a filter is a matrix, so every step is a product of small matrices, masked once and not at each step.
    """

    def __init__(self, net: PixelCNN, n: int) -> None:
        super().__init__(net, n)
        _, H, W = net.space.shape
        r, zeros = net.reach, net.row.new_zeros
        self.net = net
        self.inner = [zeros(n, len(block.filter.weight), H + r, W + 2 * r) for block in net.blocks]
        filters = [module for module in net.modules() if isinstance(module, MaskedConv2d)]
        self.matrix = {conv: (conv.weight * conv.mask).flatten(1) for conv in filters}

    def at(self, conv: MaskedConv2d, seen: Tensor) -> Tensor:
        """One place of a filter's output: all that it sees there, [B, in, r + 1, 2r + 1] or [B, in] -> [B, out]."""
        return F.linear(seen.flatten(1), self.matrix[conv], conv.bias)

    def logits_at(self, x: Tensor, i: int, j: int, c: int) -> Tensor:
        net, r, at = self.net, self.net.reach, self.at
        h = at(net.input, self.seen(net, x, i, j)) + net.row[:, i, 0] + net.column[:, 0, j]
        for block, inner in zip(net.blocks, self.inner, strict=True):
            inner[:, :, i + r, j + r] = at(block.down, h.relu()).relu()
            h = h + at(block.up, at(block.filter, inner[:, :, i : i + r + 1, j : j + 2 * r + 1]).relu())
        logits = at(net.output, at(net.hidden, h.relu()).relu())
        return logits.unflatten(1, (-1, net.levels))[:, c]


PRESETS = {
    "digits": Preset(
        {"width": 64, "depth": 5, "first": 5, "dropout": 0.5}, steps=1200, batch_size=64, lr=3e-3, weight_decay=0.2,
        clip=50.0, ema=0.99, validate_every=100,
    ),
    "digits-without-9": Preset(
        {"width": 64, "depth": 5, "first": 5, "dropout": 0.5}, steps=1200, batch_size=64, lr=3e-3, weight_decay=0.2,
        clip=50.0, ema=0.99, validate_every=100,
    ),
    "mnist-binary": Preset(
        {"width": 32, "depth": 9}, steps=12_000, batch_size=64, lr=3e-3, clip=100.0, ema=0.999, validate_every=1000
    ),
}  # fmt: skip

build = PixelCNN
