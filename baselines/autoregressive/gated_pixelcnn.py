"""Gated PixelCNN: an exact autoregressive likelihood by masked convolutions, without the blind spot.

    p(x) = prod_{i,j,c} p(x_ijc | the rows above, the pixels to the left, the channels before c)

There are two stacks of features. The vertical stack, `vstack`, sees every row above and no part of its
own; the horizontal stack, `hstack`, sees its row up to the pixel, and the vertical stack by a link.
Together they see all of the past: one stack of masked k x k filters would miss a wedge of pixels to the
upper right (the blind spot). Features come in groups, one for each channel, so that R is seen by G and B,
and G by B.

References:
    Conditional Image Generation with PixelCNN Decoders (van den Oord et al., 2016), section 2,
    equations 2 and 4, figure 2.
    Pixel Recurrent Neural Networks (van den Oord, Kalchbrenner, Kavukcuoglu, 2016), section 3.4: the masks.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space
from genbench.errors import Unavailable

from .._layers import categorical_log_likelihood, normalised, quarters, sample_categorical

VERSION = 1


def groups(n: int, channels: int) -> Tensor:
    """The image channel that each of n features belongs to, in equal shares -> [n]."""
    return torch.arange(n) * channels // n


class MaskedConv2d(nn.Conv2d):
    """A convolution over one row, up to and including the pixel, with no padding.

    Earlier pixels are seen whole. Of the pixel itself, feature o sees feature i only where
    group(i) < group(o) (mask A, `strict`: the input is x) or group(i) <= group(o) (mask B).
    """

    mask: Tensor

    def __init__(self, before: Tensor, after: Tensor, reach: int, strict: bool = False) -> None:
        super().__init__(len(before), len(after), (1, reach + 1))
        seen = before < after[:, None] if strict else before <= after[:, None]  # [out, in]
        mask = torch.ones_like(self.weight)
        mask[:, :, 0, reach] = seen.float()
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias)


def gate(a: Tensor) -> Tensor:
    """tanh(a_1) sigmoid(a_2), equation 2: [B, 2p, ...] -> [B, p, ...]."""
    value, switch = a.chunk(2, dim=1)
    return value.tanh() * switch.sigmoid()


class GatedLayer(nn.Module):
    """One layer of both stacks (figure 2), p features in each.

    Both methods take input that is padded already, so that the cache can give them slices.
    NOTE: the vertical stack is residual too; the paper found that this neither helps nor harms.
    """

    def __init__(self, width: int, reach: int, channels: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.reach = reach
        g = groups(width, channels)
        self.vstack = nn.Conv2d(width, 2 * width, (reach + 1, 2 * reach + 1))
        self.link = nn.Conv2d(2 * width, 2 * width, 1)
        self.hstack = MaskedConv2d(g, g.repeat(2), reach)
        self.hstack_out = MaskedConv2d(g, g, 0)
        self.condition = nn.Embedding(classes, 4 * width) if classes else None
        self.dropout = nn.Dropout(dropout)

    def bias(self, labels: Tensor | None, stack: int) -> Tensor | float:
        """V^T h of equation 4 for the vertical (0) or horizontal (1) stack, h one-hot; 0 in a model without classes."""
        if self.condition is None:
            return 0.0
        return self.condition(labels).chunk(2, dim=1)[stack][:, :, None, None]

    def rows(self, vstack: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """The vertical stack's next features [B, p, n, W], and the link [B, 2p, n, W], from [B, p, n + r, W + 2r]."""
        r = self.reach
        a = self.vstack(vstack)
        same = vstack[:, :, r:, r : vstack.shape[-1] - r]
        return same + self.dropout(gate(a + self.bias(labels, 0))), self.link(a)

    def pixels(self, hstack: Tensor, link: Tensor, labels: Tensor | None) -> Tensor:
        """The horizontal stack's next features [B, p, n, m], from [B, p, n, m + r] and the link [B, 2p, n, m]."""
        a = self.hstack(hstack) + link + self.bias(labels, 1)
        return hstack[..., self.reach :] + self.hstack_out(self.dropout(gate(a)))


class GatedPixelCNN(nn.Module):
    """log p(x) in one pass; samples value by value.

    Arguments:
        width: p, the features of each stack.
        depth: the number of gated layers.
        first, kernel: filter sizes (odd) of the first convolution and of the layers.
        dropout: on the gated features of either stack, while training.
        one_hot: read x as one-hot levels, not as a number: for codes, whose order means nothing.
        classes: the number of classes to condition on, 0 for none.
    """

    def __init__(
        self,
        space: Space,
        *,
        width: int = 32,
        depth: int = 6,
        first: int = 7,
        kernel: int = 3,
        dropout: float = 0.0,
        one_hot: bool = False,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if not space.is_image or space.levels is None:
            raise ValueError("it models images [C, H, W] of integer levels")
        C, H, W = space.shape
        if width < C or first % 2 == 0 or kernel % 2 == 0 or first < 3:
            raise ValueError(f"width must be at least {C}; first and kernel odd; first at least 3")
        self.space, self.levels, self.n_classes = space, space.levels, classes
        self.width, self.one_hot = width, one_hot
        self.first, self.reach = first // 2, kernel // 2
        self.inputs = C * space.levels if one_hot else C
        g = groups(width, C)
        self.vstack_in = nn.Conv2d(self.inputs, width, (self.first, first))
        self.hstack_in = MaskedConv2d(groups(self.inputs, C), g, self.first, strict=True)
        # Where a pixel lies, for both stacks: digits are centred, and filters alone do not know the place.
        self.row = nn.Parameter(torch.zeros(2 * width, H, 1))
        self.column = nn.Parameter(torch.zeros(2 * width, 1, W))
        layers = [GatedLayer(width, self.reach, C, classes, dropout) for _ in range(depth)]
        self.layers: list[GatedLayer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.hidden = MaskedConv2d(g, g, 0)
        self.output = MaskedConv2d(g, groups(C * space.levels, C), 0)

    def embed(self, x: Tensor) -> Tensor:
        """[B, C, H, W] int64 -> [B, inputs, H, W] float."""
        if not self.one_hot:
            return normalised(x, self.space)
        return F.one_hot(x, self.levels).movedim(-1, 2).flatten(1, 2).float()

    def place(self, stack: int) -> Tensor:
        """What the vertical (0) or horizontal (1) stack is told of where a pixel lies -> [p, H, W]."""
        return (self.row + self.column).chunk(2)[stack]

    def head(self, hstack: Tensor) -> Tensor:
        """[B, p, H, W] -> logits [B, L, C, H, W]."""
        logits = self.output(self.hidden(hstack.relu()).relu())
        return logits.unflatten(1, (self.space.shape[0], -1)).transpose(1, 2)

    def features(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the horizontal stack makes of the past of every pixel: [B, C, H, W] -> [B, p, H, W]."""
        e, s, r = self.embed(x), self.first, self.reach
        vstack = self.vstack_in(F.pad(e, (s, s, s, 0))[:, :, :-1]) + self.place(0)
        hstack = self.hstack_in(F.pad(e, (s, 0))) + self.place(1)
        for layer in self.layers:
            vstack, link = layer.rows(F.pad(vstack, (r, r, r, 0)), labels)
            hstack = layer.pixels(F.pad(hstack, (r, 0)), link, labels)
        return hstack

    def logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The logits of every value given all those before it: [B, C, H, W] -> [B, L, C, H, W]."""
        return self.head(self.features(x, labels))

    def encode(self, x: Tensor) -> Tensor:
        """The features behind the predictions, averaged over each quarter of the image: [B, C, H, W] -> [B, 4 p].

        Raises:
            Unavailable: a conditional model, whose features are those of a given class.
        """
        if self.n_classes:
            raise Unavailable("the features of a class-conditional model are those of a given class")
        return quarters(self.features(x).relu())

    def level_logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.logits(x, labels)

    def log_conditionals(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p of every value given those before it, in raster order, channels last: [B, C, H, W]."""
        return -F.cross_entropy(self.logits(x, labels), x, reduction="none")

    def log_prob(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x | y); without labels a conditional model's log 1/K sum_y p(x | y)."""
        if labels is None and self.n_classes:
            given = [self.log_prob(x, torch.full_like(x[:, 0, 0, 0], y)) for y in range(self.n_classes)]
            return torch.logsumexp(torch.stack(given), dim=0) - math.log(self.n_classes)
        return categorical_log_likelihood(self.logits(x, labels), x)

    def loss(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        return -self.log_prob(x, labels).mean()

    @torch.no_grad()
    def fill(
        self, x: Tensor, hidden: Tensor, labels: Tensor | None, generator: Generator, cached: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Draws the hidden values in raster order; log p of all values along the way -> [B, C, H, W], [B].

        Arguments:
            hidden: boolean [B, C, H, W], true where a value is drawn, false where that of x stands.
            cached: compute only what is new at each value; otherwise all, by a full pass.
        """
        cache = Cache(self, len(x), labels) if cached else None
        x, log_p = x.masked_fill(hidden, 0), torch.zeros(len(x), device=x.device)
        C, H, W = self.space.shape
        for i, j, c in itertools.product(range(H), range(W), range(C)):
            logits = cache.logits_at(x, i, j, c) if cache else self.logits(x, labels)[:, :, c, i, j]  # [B, L]
            drawn = sample_categorical(logits, generator)
            x[:, c, i, j] = torch.where(hidden[:, c, i, j], drawn, x[:, c, i, j])
            log_p += logits.log_softmax(1).gather(1, x[:, c, i, j, None])[:, 0]
        return x, log_p

    def sample(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        x, labels = self.blank(n, generator, labels)
        return self.fill(x, torch.ones_like(x).bool(), labels, generator)[0]

    def sample_naive(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """The same samples by a full pass for every value: what the cache is tested and timed against."""
        x, labels = self.blank(n, generator, labels)
        return self.fill(x, torch.ones_like(x).bool(), labels, generator, cached=False)[0]

    def blank(self, n: int, generator: Generator, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """n images of zeros, and their labels: those given, or y uniform where the model needs them."""
        if labels is None and self.n_classes:
            labels = torch.randint(self.n_classes, (n,), generator=generator, device=generator.device)
        return torch.zeros(n, *self.space.shape, dtype=torch.int64, device=generator.device), labels

    def complete(self, x: Tensor, mask: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """x where mask is 1, draws elsewhere: [B, C, H, W] -> [B, C, H, W].

        The draws are exact, from p(hidden | visible), where the visible values come first in raster order, such
        as an upper half. A visible value after a hidden one is kept, but does not inform it.
        """
        hidden = ~mask.expand_as(x).bool()
        x = x.masked_fill(hidden, 0)
        if labels is None and self.n_classes:
            labels = self.sample_label(x, ~hidden, generator)
        return self.fill(x, hidden, labels, generator)[0]

    @torch.no_grad()
    def sample_label(self, x: Tensor, visible: Tensor, generator: Generator) -> Tensor:
        """y from p(y | the visible values before the first hidden one) -> [B]."""
        order = visible.permute(0, 2, 3, 1)  # raster order has channels last
        leading = order.flatten(1).cumprod(1).view(order.shape).permute(0, 3, 1, 2)  # [B, C, H, W]
        scores = []
        for y in range(self.n_classes):
            nats = F.cross_entropy(self.logits(x, torch.full_like(x[:, 0, 0, 0], y)), x, reduction="none")
            scores.append(-(nats * leading).flatten(1).sum(1))
        return sample_categorical(torch.stack(scores, dim=1), generator)


class Cache:
    """The features of images that are complete up to one value, asked for in raster order.

    The methods of the full pass, on slices: the vertical stack once for each row, from the r rows
    above in every layer, the horizontal stack once for each value, from the r pixels to the left.
    """

    def __init__(self, net: GatedPixelCNN, n: int, labels: Tensor | None) -> None:
        _, H, W = net.space.shape
        s, r, p = net.first, net.reach, net.width
        zeros = net.row.new_zeros
        self.net, self.labels = net, labels
        self.e = zeros(n, net.inputs, H + s, W + 2 * s)
        self.vstack = [zeros(n, p, H + r, W + 2 * r) for _ in net.layers]
        self.hstack = [zeros(n, p, 1, W + r) for _ in net.layers]  # of one row; columns to the right are stale, unseen
        self.links: list[Tensor] = []

    def enter_row(self, i: int) -> None:
        """The vertical stack at row i, from the rows above."""
        net, r = self.net, self.net.reach
        vstack = net.vstack_in(self.e[:, :, i : i + net.first]) + net.place(0)[:, i : i + 1]
        self.links = []
        for layer, cache in zip(net.layers, self.vstack, strict=True):
            cache[:, :, i + r, r : r + vstack.shape[-1]] = vstack[:, :, 0]
            vstack, link = layer.rows(cache[:, :, i : i + r + 1], self.labels)
            self.links.append(link)

    def logits_at(self, x: Tensor, i: int, j: int, c: int) -> Tensor:
        """Logits of value (c, i, j) given those before it: x [B, C, H, W] -> [B, L]."""
        net, s, r = self.net, self.net.first, self.net.reach
        if j == 0 and c == 0:
            if i > 0:  # the last pixel of the row above is complete now
                self.e[:, :, s + i - 1, s:-s] = net.embed(x[:, :, i - 1 : i])[:, :, 0]
            self.enter_row(i)
        start = max(j - 1, 0)
        self.e[:, :, s + i, s + start : s + j + 1] = net.embed(x[:, :, i : i + 1, start : j + 1])[:, :, 0]
        hstack = net.hstack_in(self.e[:, :, s + i : s + i + 1, j : j + s + 1]) + net.place(1)[:, i : i + 1, j : j + 1]
        for layer, cache, link in zip(net.layers, self.hstack, self.links, strict=True):
            cache[..., j + r] = hstack[..., 0]
            hstack = layer.pixels(cache[..., j : j + r + 1], link[..., j : j + 1], self.labels)
        return net.head(hstack)[:, :, c, 0, 0]


PRESETS = {
    "digits": Preset(
        {"width": 24, "depth": 6, "dropout": 0.4, "one_hot": True},
        steps=1500,
        batch_size=64,
        lr=3e-3,
        weight_decay=0.2,
        clip=50.0,
        ema=0.995,
        validate_every=100,
    ),
    "mnist": Preset(
        {"width": 24, "depth": 5},
        steps=5000,
        batch_size=16,
        lr=3e-3,
        clip=2000.0,
        ema=0.999,
        validate_every=2500,
        half=True,
    ),
    "mnist-binary": Preset(
        {"width": 32, "depth": 7}, steps=4500, batch_size=64, lr=3e-3, clip=100.0, ema=0.998, validate_every=500
    ),
    "patches": Preset(
        {"width": 30, "depth": 3},  # the 256 levels as numbers: one-hot, the first layer alone would be the largest
        steps=12000,
        batch_size=32,
        lr=3e-3,
        clip=50.0,
        ema=0.995,
        validate_every=500,
    ),
}

build = GatedPixelCNN
