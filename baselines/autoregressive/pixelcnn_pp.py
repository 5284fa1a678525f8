"""PixelCNN++: pixels one after another, each a mixture of logistics in the bins of its levels.

    p(x) = prod_ij sum_k pi_k prod_c [ mass of the bin of x_ijc under a logistic(m_kc, s_kc) ]
    m_kc = mean_kc + sum_{c' < c} coefficient_kcc' x_ijc'

with all parameters from the rows above and the pixels to the left. A level is a place on a line, not one of L names,
and the channels of a pixel share one component, so G knows R by a linear term (section 2.2). Two streams of features
never see ahead because they are shifted: the row stream by one row, the pixel stream by one pixel. In the middle they
work at half the resolution, where a filter reaches twice as far; what is lost there comes back by shortcuts from each
layer of the way down to its mirror image on the way up.

References:
    PixelCNN++: Improving the PixelCNN with discretized logistic mixture likelihood and other modifications
        (Salimans, Karpathy, Chen, Kingma, 2017), sections 2.1 to 2.5, equations 1 to 3, figure 2.

NOTE: weights are not normalised; where a pixel lies is learnt instead of told by a channel of ones; the lowest
resolution has shortcuts too; edge bins take the tails and no bin takes a density (see `genbench.numerics.logistic`).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space
from genbench.numerics.logistic import log_logistic_mass

from .._layers import normalised, quarters, sample_categorical

VERSION = 1
ROWS, PIXELS = 3, 2  # columns of a stream's filters, which tell the streams apart
NARROWEST = -7.0  # log of the smallest scale, where a level of 256 is 4.3 scales from the edge of its bin


def concat_elu(h: Tensor) -> Tensor:
    """elu(h) and elu(-h): [B, p, ...] -> [B, 2p, ...]."""
    return F.elu(torch.cat([h, -h], dim=1))


class Shifted(nn.Conv2d):
    """A filter of the row above and the own: one column to both sides for rows, the left and the own for pixels.

    Its input has its padding already: the whole map's, or the slice that a cache gives. `stride` 2 halves the map.
    """

    def __init__(self, inputs: int, outputs: int, stream: int, level: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, (2, stream), stride)
        self.stream, self.level = stream, level


class Whole:
    """How layers read in a pass over whole images: maps are padded, and nothing is kept but for the other stream."""

    def __init__(self) -> None:
        self.rows: dict[nn.Module, Tensor] = {}

    def read(self, conv: Shifted, h: Tensor) -> Tensor:
        """What the filter of a layer sees of h, with its padding."""
        return F.pad(h, (1, conv.stream - PIXELS, 1, 0))

    def grown(self, grow: nn.Module, stream: int, level: int, compute: Callable[[], Tensor], like: Tensor) -> Tensor:
        """Features that come from half the resolution, where `like` lies."""
        return compute()[..., : like.shape[-2], : like.shape[-1]]

    def above(self, pair: "Pair") -> Tensor:
        """The row stream's features after a layer, where the pixel stream is."""
        return self.rows[pair]


class Gated(nn.Module):
    """h + a gate of two filters (figure 2); `beside` are features without a filter, of a shortcut or another stream."""

    def __init__(self, width: int, beside: int, stream: int, level: int, dropout: float) -> None:
        super().__init__()
        self.first = Shifted(2 * width, width, stream, level)
        self.beside = nn.Conv2d(2 * beside, width, 1) if beside else None
        self.second = Shifted(2 * width, 2 * width, stream, level)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: Tensor, beside: list[Tensor], view: Whole) -> Tensor:
        a = self.first(view.read(self.first, concat_elu(h)))
        if self.beside is not None:
            a = a + self.beside(concat_elu(torch.cat(beside, dim=1)))
        a = self.second(view.read(self.second, self.dropout(concat_elu(a))))
        value, switch = a.chunk(2, dim=1)
        return h + value * switch.sigmoid()


class Pair(nn.Module):
    """One layer of both streams: pixels see rows, and both see a shortcut on the way up."""

    def __init__(self, width: int, shortcut: bool, level: int, dropout: float) -> None:
        super().__init__()
        self.rows = Gated(width, width * shortcut, ROWS, level, dropout)
        self.pixels = Gated(width, width * (1 + shortcut), PIXELS, level, dropout)

    def forward(self, h: Tensor, shortcut: list[Tensor], stream: int, view: Whole) -> Tensor:
        if stream == PIXELS:
            return self.pixels(h, [view.above(self), *shortcut], view)
        view.rows[self] = h = self.rows(h, shortcut, view)
        return h


class Resolution(nn.Module):
    """Layers down, all that happens at half the resolution, and layers up with shortcuts."""

    def __init__(self, width: int, depth: int, level: int, levels: int, dropout: float) -> None:
        super().__init__()
        self.level = level
        self.down: list[Pair] = nn.ModuleList(  # type: ignore[assignment]
            Pair(width, False, level, dropout) for _ in range(depth)
        )
        self.up: list[Pair] = nn.ModuleList(  # type: ignore[assignment]
            Pair(width, True, level, dropout) for _ in range(depth)
        )
        self.inner = Resolution(width, depth, level + 1, levels, dropout) if level + 1 < levels else None
        if self.inner is not None:
            streams = (PIXELS, ROWS)
            self.shrink: list[Shifted] = nn.ModuleList(  # type: ignore[assignment]
                Shifted(width, width, stream, level, stride=2) for stream in streams
            )
            self.grow = nn.ModuleList(nn.ConvTranspose2d(width, width, 2, 2) for _ in streams)

    def forward(self, h: Tensor, stream: int, view: Whole) -> Tensor:
        shortcuts = []
        for pair in self.down:
            h = pair(h, [], stream, view)
            shortcuts.append(h)
        if self.inner is not None:
            inner, shrink, grow = self.inner, self.shrink[stream - PIXELS], self.grow[stream - PIXELS]
            seen = view.read(shrink, h)
            h = view.grown(grow, stream, self.level, lambda: grow(inner(shrink(seen), stream, view)), h)
        for pair in self.up:
            h = pair(h, [shortcuts.pop()], stream, view)
        return h


class PixelCNNPP(nn.Module):
    """log p(x) in one pass; samples pixel by pixel.

    Arguments:
        space: images [C, H, W] of L levels, of any size: halves are rounded up.
        width: p, the features of each stream.
        depth: layers on the way down, and as many on the way up, at each resolution.
        resolutions: how many there are, each half of the one before.
        components: K, of the mixture.
        dropout: between the two filters of a layer, in training.
    """

    def __init__(
        self,
        space: Space,
        *,
        width: int = 32,
        depth: int = 2,
        resolutions: int = 2,
        components: int = 5,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not space.is_image or space.levels is None:
            raise ValueError("it models images [C, H, W] of integer levels")
        if min(width, depth, resolutions, components) < 1:
            raise ValueError("width, depth, resolutions and components must be at least 1")
        C, H, W = space.shape
        self.space, self.levels, self.components = space, space.levels, components
        self.rows_in = nn.Conv2d(C, width, (2, 3))  # of the two rows above
        self.above_in = nn.Conv2d(C, width, (1, 3))  # of the row above, for the pixel stream
        self.left_in = nn.Conv2d(C, width, (2, 1))  # of the pixel to the left and the one above that
        self.row, self.column = nn.Parameter(torch.zeros(2, width, H, 1)), nn.Parameter(torch.zeros(2, width, 1, W))
        self.layers = Resolution(width, depth, 0, resolutions, dropout)
        # Of each component: its logit, and for each channel mean, log scale, and coefficients of the channels before.
        self.sizes = [1, C, C, C * (C - 1) // 2]
        self.output = nn.Conv2d(width, components * sum(self.sizes), 1)
        with torch.no_grad():  # components start apart, and together cover the levels
            bias = self.output.bias.view(components, -1).zero_()  # type: ignore[union-attr]
            bias[:, 1 : 1 + C] = (2 * (torch.arange(components) + 0.5) / components - 1)[:, None]
            bias[:, 1 + C : 1 + 2 * C] = -1.5

    def features(self, e: Tensor, stream: int, i: slice, j: slice, view: Whole) -> Tensor:
        """A stream's last features, of the inputs e with a frame of two rows above and one column on both sides.

        Arguments:
            i, j: the place, which is learnt.
        """
        place = self.row[stream - PIXELS, :, i] + self.column[stream - PIXELS, :, :, j]
        if stream == ROWS:
            return self.layers(self.rows_in(e[:, :, :-1]) + place, stream, view)
        h = self.above_in(e[:, :, 1:-1]) + self.left_in(e[:, :, 1:, :-2])
        return self.layers(h + place, stream, view)

    def parameters_of(self, x: Tensor) -> Tensor:
        """The mixtures of all pixels: x [B, C, H, W] -> [B, K, P, H, W]."""
        return self.mixture(self.last_features(x))

    def last_features(self, x: Tensor) -> Tensor:
        """What the pixel stream makes of the past of every pixel: [B, C, H, W] -> [B, p, H, W]."""
        e, view, every = F.pad(normalised(x, self.space).to(self.row), (1, 1, 2, 0)), Whole(), slice(None)
        self.features(e, ROWS, every, every, view)
        return self.features(e, PIXELS, every, every, view)

    def encode(self, x: Tensor) -> Tensor:
        """The features behind the predictions, averaged over each quarter of the image: [B, C, H, W] -> [B, 4 p]."""
        return quarters(F.elu(self.last_features(x)))

    def mixture(self, h: Tensor) -> Tensor:
        return self.output(F.elu(h)).unflatten(1, (self.components, -1))

    def component(self, parameters: Tensor, x: Tensor, c: int) -> tuple[Tensor, Tensor]:
        """Mean and log scale of channel c in each component, given the channels before: [B, K, P, ...] -> [B, K, ...].

        Arguments:
            x: normalised, [B, C, ...], of which the first c channels are read.
        """
        _, mean, log_scale, coefficient = parameters.split(self.sizes, dim=2)
        first = c * (c - 1) // 2
        linear = coefficient[:, :, first : first + c].tanh() * x[:, None, :c]  # equation 3
        return mean[:, :, c] + linear.sum(2), log_scale[:, :, c].clamp(min=NARROWEST)

    def log_joint(self, parameters: Tensor, x: Tensor, channels: int) -> list[Tensor]:
        """log of the mass of the first c channels and component k, for each c up to `channels`: [B, K, ...] each."""
        joint = [parameters[:, :, 0].log_softmax(1)]
        for c in range(channels):
            mean, log_scale = self.component(parameters, x, c)
            joint.append(joint[-1] + log_logistic_mass(x[:, None, c], mean, log_scale, self.levels))
        return joint

    def log_conditionals(self, x: Tensor) -> Tensor:
        """log p of every value given those before it, in raster order, channels last: [B, C, H, W]."""
        joint = self.log_joint(self.parameters_of(x), normalised(x, self.space).to(self.row), self.space.shape[0])
        return torch.stack(joint[1:], dim=2).logsumexp(1).diff(dim=1, prepend=torch.zeros_like(x[:, :1]).to(joint[0]))

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_conditionals(x).flatten(1).sum(1)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.log_prob(x).mean()

    def draw(self, parameters: Tensor, x: Tensor, c: int, generator: Generator) -> Tensor:
        """Channel c of one pixel given those before: parameters [B, K, P], x [B, C] int64 -> [B].

        A component by its probability given the channels before, then the bin that a draw of its logistic falls into.
        """
        before = normalised(x, self.space).to(parameters)
        k = sample_categorical(self.log_joint(parameters, before, c)[-1], generator)[:, None]
        mean, log_scale = (t.gather(1, k)[:, 0] for t in self.component(parameters, before, c))
        u = torch.rand(len(x), generator=generator, device=generator.device)
        value = mean + log_scale.exp() * torch.logit(u.to(mean))
        return ((value + 1) * ((self.levels - 1) / 2)).round().clamp(0, self.levels - 1).long()

    def sample(self, n: int, generator: Generator) -> Tensor:
        x = torch.zeros(n, *self.space.shape, dtype=torch.int64, device=generator.device)
        return self.complete(x, torch.zeros_like(x), generator)

    def sample_naive(self, n: int, generator: Generator) -> Tensor:
        """The same samples by a full pass for every pixel: what the cache is tested and timed against."""
        x = torch.zeros(n, *self.space.shape, dtype=torch.int64, device=generator.device)
        return self.complete(x, torch.zeros_like(x), generator, cached=False)

    @torch.no_grad()
    def complete(self, x: Tensor, mask: Tensor, generator: Generator, cached: bool = True) -> Tensor:
        """x where mask is 1, draws elsewhere, in raster order.

        The draws are from p(hidden | visible) where the visible values come first, such as an upper half.
        """
        visible = mask.expand_as(x).bool()
        cache = Cache(self, len(x)) if cached else None
        x = x.masked_fill(~visible, 0)
        C, H, W = self.space.shape
        for i in range(H):
            for j in range(W):
                parameters = cache.parameters_at(x, i, j) if cache else self.parameters_of(x)[..., i, j]
                for c in range(C):
                    drawn = self.draw(parameters, x[:, :, i, j], c, generator)
                    x[:, c, i, j] = torch.where(visible[:, c, i, j], x[:, c, i, j], drawn)
        return x


class Cache(Whole):
    """How layers read while pixels come one after another: each filter sees a slice of what it has been given so far.

    The row stream takes a row when its first pixel is asked for, the pixel stream one pixel. At half the resolution a
    place is computed once, at the first of its four pixels (an even row and column), and serves all four: by then all
    that it sees is known. So a pixel costs the same wherever it lies.
    """

    def __init__(self, net: PixelCNNPP, n: int) -> None:
        super().__init__()
        self.net, self.n = net, n
        C, H, W = net.space.shape
        self.e = net.row.new_zeros(n, C, H + 2, W + 2)
        self.maps: dict[nn.Module, Tensor] = {}
        self.i = self.j = 0

    def map(self, key: nn.Module, channels: int, level: int) -> Tensor:
        """All that one filter has seen, with a frame that is wide enough for every stream and for odd sizes."""
        if key not in self.maps:
            H, W = (-(-side // 2**level) for side in self.net.space.shape[1:])
            self.maps[key] = self.net.row.new_zeros(self.n, channels, H + 2, W + 2)
        return self.maps[key]

    def read(self, conv: Shifted, h: Tensor) -> Tensor:
        seen, i, j = self.map(conv, h.shape[1], conv.level), self.i >> conv.level, self.j >> conv.level
        if conv.stream == ROWS:
            seen[:, :, i + 1, 1:-1] = h[:, :, 0]
            return seen[:, :, i : i + 2]
        seen[:, :, i + 1, j + 1] = h[:, :, 0, 0]
        return seen[:, :, i : i + 2, j : j + 2]

    def grown(self, grow: nn.Module, stream: int, level: int, compute: Callable[[], Tensor], like: Tensor) -> Tensor:
        kept, i, j = self.map(grow, like.shape[1], level), self.i >> level, self.j >> level
        if stream == ROWS:
            if i % 2 == 0:
                new = compute()
                kept[:, :, i : i + 2, : new.shape[-1]] = new
            return kept[:, :, i : i + 1, : like.shape[-1]]
        if i % 2 == 0 and j % 2 == 0:
            kept[:, :, i : i + 2, j : j + 2] = compute()
        return kept[:, :, i : i + 1, j : j + 1]

    def above(self, pair: Pair) -> Tensor:
        j = self.j >> pair.rows.first.level
        return self.rows[pair][..., j : j + 1]

    def parameters_at(self, x: Tensor, i: int, j: int) -> Tensor:
        """The mixture of pixel (i, j) given those before it: x [B, C, H, W] -> [B, K, P]. Asked for in raster order."""
        net, W = self.net, x.shape[-1]
        self.i, self.j = i, j
        if (i, j) > (0, 0):  # the last pixel is complete now
            a, b = (i, j - 1) if j else (i - 1, W - 1)
            self.e[:, :, a + 2, b + 1] = normalised(x[:, :, a, b], net.space).to(self.e)
        row = slice(i, i + 1)
        if j == 0:
            net.features(self.e[:, :, i : i + 3], ROWS, row, slice(None), self)
        return net.mixture(net.features(self.e[:, :, i : i + 3, j : j + 3], PIXELS, row, slice(j, j + 1), self))[
            ..., 0, 0
        ]


PRESETS = {
    "digits": Preset(
        {"width": 17, "depth": 1, "components": 5, "dropout": 0.5}, steps=2500, batch_size=64, lr=3e-3,
        weight_decay=0.2, clip=50.0, ema=0.99, validate_every=100,
    ),
    "mnist": Preset(
        {"width": 24, "depth": 1, "resolutions": 3, "components": 5}, steps=7500, batch_size=16, lr=2e-3, clip=2000.0,
        ema=0.999, validate_every=2500, half=True,
    ),
    "patches": Preset(
        {"width": 17, "depth": 1, "components": 10}, steps=6000, batch_size=32, lr=3e-3, clip=200.0, ema=0.995,
        validate_every=250, half=True,
    ),
}  # fmt: skip

build = PixelCNNPP
