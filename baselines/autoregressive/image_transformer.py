"""Image Transformer: every value attends to a neighbourhood of those before it, of one size everywhere.

    p(x) = prod_t p(x_t | x_s, s before t and near it)

Values are read in raster order, the channels of a pixel one after another. What is near is an option: "1d" is the last
`window` values, which may wrap over a few rows; "2d" is a rectangle of the rows above and the columns on both sides.
With layers above each other what a value sees grows, as in a stack of convolutions, but the filters are computed from
the content. A sample keeps the keys and values of its past, and reads no more of them than the neighbourhood.

References:
    Image Transformer (Parmar et al., 2018), sections 3.1 and 3.2: local attention in one and in two dimensions. There
        queries come in blocks that share a memory; here each has its own, of the same size everywhere.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space
from genbench.errors import Unavailable

from .._layers import quarters, sample_categorical

VERSION = 1


def neighbourhood(space: Space, near: str, window: int, rows: int, columns: int) -> Tensor:
    """Which inputs each step attends to, boolean `[D, D]`; input t is what stands before the value of step t."""
    C, _, W = space.shape
    step = torch.arange(space.dim)
    age = step[:, None] - step[None]
    if near == "1d":
        return (age >= 0) & (age < window)
    if near == "2d":
        i, j = step // (C * W), step // C % W
        up, aside = i[:, None] - i[None], (j[:, None] - j[None]).abs()
        return (age >= 0) & (up <= rows) & ((aside <= columns) | (age <= C))  # the last pixel is near across a line
    raise ValueError(f"no neighbourhood '{near}': it is 1d or 2d")


class Block(nn.Module):
    """h + local attention, then h + a perceptron for each value, each on normalised input."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width, bias=False)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.dropout = nn.Dropout(dropout)

    def projections(self, h: Tensor) -> Tensor:
        """Queries, keys and values `[3, B, heads, T, d]` of h `[B, T, width]`."""
        return self.qkv(self.norm1(h)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)

    def finish(self, h: Tensor, read: Tensor) -> Tensor:
        """The block's output, from what the heads have read `[B, heads, T, d]`."""
        h = h + self.dropout(self.out(read.transpose(1, 2).flatten(2)))
        return h + self.dropout(self.mlp(self.norm2(h)))


class ImageTransformer(nn.Module):
    """log p(x) = sum_t log p(x_t | ...), exactly.

    Arguments:
        space: images [C, H, W] of L levels.
        width: of the residual stream, in equal parts for each of the heads.
        layers, heads, hidden: blocks, heads in each, and the width of their perceptrons.
        near: "1d" or "2d", see `neighbourhood`.
        window: values that "1d" attends to.
        rows, columns: that "2d" attends to: so many rows above, so many columns on either side.
        dropout: on what each block adds, in training.
        classes: the number of classes to condition on, 0 for none.
    """

    mask: Tensor

    def __init__(
        self,
        space: Space,
        *,
        width: int = 64,
        layers: int = 3,
        heads: int = 4,
        hidden: int = 128,
        near: str = "1d",
        window: int = 64,
        rows: int = 3,
        columns: int = 3,
        dropout: float = 0.0,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if not space.is_image or space.levels is None:
            raise ValueError("it models images [C, H, W] of integer levels")
        if width % heads or min(window, rows, columns) < 1:
            raise ValueError(f"width {width} must be a multiple of {heads} heads; window, rows and columns at least 1")
        C, H, W = space.shape
        self.space, self.levels, self.n_classes, self.heads = space, space.levels, classes, heads
        self.embedding = nn.Embedding(space.levels + 1, width)  # the last row starts an image
        self.condition = nn.Embedding(classes, width) if classes else None
        self.row, self.column = nn.Parameter(torch.zeros(H, 1, 1, width)), nn.Parameter(torch.zeros(W, 1, width))
        self.channel = nn.Parameter(torch.zeros(C, width))
        blocks = [Block(width, heads, hidden, dropout) for _ in range(layers)]
        self.blocks: list[Block] = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, space.levels)
        self.register_buffer("mask", neighbourhood(space, near, window, rows, columns), persistent=False)
        nn.init.normal_(self.embedding.weight, std=0.1)
        for place in (self.row, self.column, self.channel):
            nn.init.normal_(place, std=0.1)
        for name, weight in self.named_parameters():
            if name.endswith(("out.weight", "mlp.2.weight")):  # what is added to the stream
                nn.init.normal_(weight, std=0.02 / math.sqrt(2 * layers))

    def place(self, n: int, labels: Tensor | None) -> Tensor:
        """What each step is told besides its token: where its value lies, and of which class `[n, D, width]`."""
        place = (self.row + self.column + self.channel).flatten(0, 2).expand(n, -1, -1)
        return place if self.condition is None or labels is None else place + self.condition(labels)[:, None]

    def sequence(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> values in the order of reading [B, D]."""
        return x.permute(0, 2, 3, 1).flatten(1)

    def placed(self, values: Tensor) -> Tensor:
        """The inverse of `sequence`."""
        C, H, W = self.space.shape
        return values.view(-1, H, W, C).permute(0, 3, 1, 2)

    def features(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """Of every step, given the values before it in the order of reading: [B, D] -> [B, D, width]."""
        tokens = F.pad(values[:, :-1], (1, 0), value=self.levels)
        h = self.embedding(tokens) + self.place(len(values), labels)
        for block in self.blocks:
            q, k, v = block.projections(h)
            h = block.finish(h, F.scaled_dot_product_attention(q, k, v, attn_mask=self.mask))
        return self.norm(h)

    def logits(self, values: Tensor, labels: Tensor | None = None) -> Tensor:
        """Of every step, given the values before it in the order of reading: [B, D] -> [B, D, L]."""
        return self.head(self.features(values, labels))

    def encode(self, x: Tensor) -> Tensor:
        """The features behind the predictions, averaged over each quarter: [B, C, H, W] -> [B, 4 width].

        Raises:
            Unavailable: a conditional model, whose features are those of a given class.
        """
        if self.n_classes:
            raise Unavailable("the features of a class-conditional model are those of a given class")
        C, H, W = self.space.shape
        h = self.features(self.sequence(x)).unflatten(1, (H, W, C)).mean(3)
        return quarters(h.movedim(-1, 1))

    def level_logits(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Of every value: [B, C, H, W] -> [B, L, C, H, W]."""
        by_step = self.logits(self.sequence(x), labels)
        return torch.stack([self.placed(one) for one in by_step.unbind(2)], 1)

    def log_conditionals(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p of every value given those before it, in raster order, channels last: [B, C, H, W]."""
        values = self.sequence(x)
        return self.placed(-F.cross_entropy(self.logits(values, labels).transpose(1, 2), values, reduction="none"))

    def log_prob(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x | y); without labels a conditional model's log 1/K sum_y p(x | y)."""
        if labels is None and self.n_classes:
            given = [self.log_prob(x, torch.full_like(x[:, 0, 0, 0], y)) for y in range(self.n_classes)]
            return torch.logsumexp(torch.stack(given), 0) - math.log(self.n_classes)
        return self.log_conditionals(x, labels).flatten(1).sum(1)

    def loss(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        return -self.log_prob(x, labels).mean()

    def blank(self, n: int, generator: Generator, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """n images of zeros, and their labels: those given, or y uniform where the model needs them."""
        if labels is None and self.n_classes:
            labels = torch.randint(self.n_classes, (n,), generator=generator, device=generator.device)
        return torch.zeros(n, *self.space.shape, dtype=torch.int64, device=generator.device), labels

    def sample(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        x, labels = self.blank(n, generator, labels)
        return self.fill(x, torch.zeros_like(x).bool(), labels, generator)

    def complete(self, x: Tensor, mask: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """x where mask is 1, draws elsewhere, in raster order.

        The draws are from p(hidden | visible) where the visible values come first, such as an upper half; the class of
        a conditional model is drawn given these.
        """
        visible = mask.expand_as(x).bool()
        x = x.masked_fill(~visible, 0)
        if labels is None and self.n_classes:
            leading = self.placed(self.sequence(visible).cumprod(1))
            each = [self.log_conditionals(x, torch.full_like(x[:, 0, 0, 0], y)) for y in range(self.n_classes)]
            labels = sample_categorical((torch.stack(each, 1) * leading[:, None]).flatten(2).sum(2), generator)
        return self.fill(x, visible, labels, generator)

    @torch.no_grad()
    def fill(self, x: Tensor, visible: Tensor, labels: Tensor | None, generator: Generator) -> Tensor:
        """Draws what is not visible, one value after another, from the keys and values of the neighbourhood."""
        values, given, place = self.sequence(x).clone(), self.sequence(visible), self.place(len(x), labels)
        B, D, width = place.shape
        past = place.new_empty(len(self.blocks), 2, B, self.heads, D, width // self.heads)
        token = torch.full_like(values[:, 0], self.levels)
        for t in range(D):
            near = torch.nonzero(self.mask[t])[:, 0]
            h = (self.embedding(token) + place[:, t])[:, None]
            for block, kept in zip(self.blocks, past, strict=True):
                q, k, v = block.projections(h)
                kept[0, :, :, t], kept[1, :, :, t] = k[:, :, 0], v[:, :, 0]
                read = F.scaled_dot_product_attention(q, kept[0][:, :, near], kept[1][:, :, near])
                h = block.finish(h, read)
            drawn = sample_categorical(self.head(self.norm(h[:, 0])), generator)
            values[:, t] = token = torch.where(given[:, t], values[:, t], drawn)
        return self.placed(values)

    @torch.no_grad()
    def sample_naive(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """The same samples by a full pass for every value: what the cache is tested and timed against."""
        x, labels = self.blank(n, generator, labels)
        values = self.sequence(x).clone()
        for t in range(self.space.dim):
            values[:, t] = sample_categorical(self.logits(values, labels)[:, t], generator)
        return self.placed(values)


PRESETS = {
    "digits": Preset(
        {"width": 60, "layers": 3, "heads": 4, "hidden": 96, "window": 24, "dropout": 0.3}, steps=900, batch_size=64,
        lr=3e-3, weight_decay=0.2, clip=50.0, ema=0.995, validate_every=100,
    ),
    "mnist-binary": Preset(
        {"width": 64, "layers": 4, "window": 112, "hidden": 160}, steps=3000, batch_size=16, lr=2e-3, clip=100.0,
        ema=0.999, validate_every=500,
    ),
    "patches": Preset(
        {"width": 60, "layers": 3, "heads": 4, "hidden": 96, "near": "2d", "dropout": 0.1}, steps=3000, batch_size=32,
        lr=3e-3, clip=200.0, ema=0.995, validate_every=250, half=True,
    ),
}  # fmt: skip

build = ImageTransformer
