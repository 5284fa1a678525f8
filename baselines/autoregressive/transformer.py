"""Decoder-only Transformer over sequences of integers, one exact conditional at a time.

    p(x) = prod_t p(x_t | x_<t)

The input is shifted by one behind a start token, and position t attends to positions <= t: one
pass gives every conditional (training, log_prob). A sample reads its own past T times; the keys and
values of the past never change, so each layer computes them once and keeps them.

References:
    Attention is all you need (Vaswani et al., 2017).
    Language models are unsupervised multitask learners (Radford et al., 2019): normalisation before each sublayer.
    RoFormer (Su et al., 2021): positions as rotations of queries and keys, which need no weights.
    Using the output embedding to improve language models (Press and Wolf, 2017): one matrix reads and writes tokens.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space
from genbench.numerics.beam import beam_search

from .._layers import categorical_log_likelihood, sample_categorical

VERSION = 1


def rotated(x: Tensor, angle: Tensor) -> Tensor:
    """x `[..., T, d]` with coordinates (i, i + d/2) turned by angle `[T, d/2]` (Su et al., equation 34).

    The product of a query at t and a key at s then depends on t - s only.
    """
    a, b = x.chunk(2, -1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1)


class Attention(nn.Module):
    """Causal multi-head self-attention (Vaswani et al., section 3.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, h: Tensor, angle: Tensor, cache: Tensor | None = None, t: int = 0) -> Tensor:
        """h `[B, T, width]` is the whole sequence or, with a cache `[2, B, heads, T, d]`, position t alone."""
        q, k, v = self.qkv(h).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each [B, heads, T, d]
        q, k = rotated(q, angle), rotated(k, angle)
        if cache is not None:
            cache[0, :, :, t], cache[1, :, :, t] = k[:, :, 0], v[:, :, 0]
            k, v = cache[:, :, :, : t + 1]  # [B, heads, t + 1, d]
        read = F.scaled_dot_product_attention(q, k, v, is_causal=cache is None)  # [B, heads, T, d]
        return self.out(read.transpose(1, 2).flatten(2))


class Block(nn.Module):
    """h + attention, then h + a perceptron per position, each on normalised input."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, h: Tensor, angle: Tensor, cache: Tensor | None = None, t: int = 0) -> Tensor:
        h = h + self.attention(self.norm1(h), angle, cache, t)
        return h + self.mlp(self.norm2(h))


class Transformer(nn.Module):
    """log p(x) = sum_t log p(x_t | x_<t), exactly.

    Arguments:
        space: `[T]` integers; V levels.
        width: of the residual stream, in equal parts for each of the heads.
        layers, heads: the number of blocks, and of heads in each.
        hidden: width of the perceptrons.
        temperature: by which every logit is divided, for the likelihood as for samples: below 1 the model is sharper.
        context: tokens of a text that it learns from at once, T or more in place of T: what it can use of a stream.
    """

    angle: Tensor

    def __init__(
        self,
        space: Space,
        *,
        width: int = 64,
        layers: int = 2,
        heads: int = 4,
        hidden: int = 256,
        temperature: float = 1.0,
        context: int | None = None,
    ) -> None:
        super().__init__()
        if space.levels is None or len(space.shape) != 1:
            raise ValueError("it models sequences of integers, [T]")
        if context is not None and context < space.dim:
            raise ValueError(f"a context of {context} is shorter than an observation, {space.dim}")
        if width % (2 * heads):
            raise ValueError(f"width {width} is not a multiple of 2 x {heads} heads")
        if not temperature > 0:
            raise ValueError(f"a temperature is above 0, not {temperature}")
        self.space, self.heads, self.start, self.temperature = space, heads, space.levels, temperature
        self.crop_length = context
        T, V, d = context or space.dim, space.levels, width // heads
        self.embedding = nn.Embedding(V + 1, width)  # the last row is the start token
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        frequency = 10_000.0 ** (-torch.arange(d // 2) / (d // 2))
        self.register_buffer("angle", torch.arange(T)[:, None] * frequency, persistent=False)  # [T, d/2]
        nn.init.normal_(self.embedding.weight, std=width**-0.5)  # logits of unit variance
        for name, weight in self.named_parameters():
            if name.endswith(("attention.out.weight", "mlp.2.weight")):  # what is added to the stream
                nn.init.normal_(weight, std=0.02 / (2 * layers) ** 0.5)  # Radford et al., section 2.3

    def head(self, h: Tensor) -> Tensor:
        """Logits `[..., V]`; the start token is never predicted."""
        return F.linear(self.norm(h), self.embedding.weight[:-1]) / self.temperature

    def features(self, h: Tensor) -> Tensor:
        """Embedded inputs `[B, T, width]` -> the stream behind the last block `[B, T, width]`."""
        for block in self.blocks:
            h = block(h, self.angle[: h.shape[1]])
        return h

    def trunk(self, h: Tensor) -> Tensor:
        """Embedded inputs `[B, T, width]` -> logits `[B, T, V]`; those at t depend on inputs <= t."""
        return self.head(self.features(h))

    def encode(self, x: Tensor) -> Tensor:
        """The mean over a sequence of the normalised features behind the predictions: `[B, T]` -> `[B, width]`."""
        inputs = F.pad(x[:, :-1], (1, 0), value=self.start)
        return self.norm(self.features(self.embedding(inputs))).mean(1)

    def logits(self, x: Tensor) -> Tensor:
        """Of p(x_t | x_<t) at every t, and of one token more: `[B, t]` -> `[B, t + 1, V]`."""
        start = x.new_full((len(x), 1), self.start)
        return self.trunk(self.embedding(torch.cat([start, x], 1)))

    def log_prob(self, x: Tensor) -> Tensor:
        return categorical_log_likelihood(self.logits(x[:, :-1]).transpose(1, 2), x)

    @torch.no_grad()
    def log_prob_stream(self, x: Tensor) -> Tensor:
        """log p of every token of one long text given those before it: `[T]` -> `[T]`.

        Windows of the length that it was trained on move by a quarter of it, and the last quarter of each is scored: so
        each token but the first ones is scored once, after three quarters of a window. More it has never learnt to use.
        """
        length = len(self.angle)
        step = max(1, length // 4)
        ends = [min(end, len(x)) for end in range(length + step, len(x) + step, step)]
        begun = [length, *ends]  # what is scored of a window begins where the last one ended
        found = [self.token_log_probs(x[None, :length], first=True)[0]]
        for i in range(0, len(ends), 64):
            some = ends[i : i + 64]
            rows = self.token_log_probs(torch.stack([x[end - length : end] for end in some]), first=False)
            found += [row[begun[i + k] - end :] for k, (row, end) in enumerate(zip(rows, some, strict=True))]
        return torch.cat(found)

    def token_log_probs(self, x: Tensor, first: bool) -> Tensor:
        """log p of every token of windows `[B, T]`: of text that begins with them, or that has gone on before.

        A window in the middle of a text is read without the start token, and its first token is not scored.
        """
        if first:
            return -F.cross_entropy(self.logits(x[:, :-1]).transpose(1, 2), x, reduction="none")
        logits = self.trunk(self.embedding(x[:, :-1]))
        return -F.cross_entropy(logits.transpose(1, 2), x[:, 1:], reduction="none")

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """-log p of an observation; of crops of a text `[B, crop_length]`, as if they had an observation's length."""
        return -self.log_prob(x).mean() * self.space.dim / x.shape[1]

    def sample(self, n: int, generator: Generator) -> Tensor:
        x = torch.zeros(n, self.space.dim, dtype=torch.long, device=self.angle.device)
        return self.complete(x, torch.zeros_like(x), generator)

    @torch.no_grad()
    def complete(self, x: Tensor, mask: Tensor, generator: Generator) -> Tensor:
        """x with its tail drawn from p(tail | prefix), where mask is 1 on a prefix of each sequence.

        Raises:
            ValueError: a hidden value stands before a given one; its conditional is out of reach.
        """
        given, cache = self.prefix(x, mask), self.empty(*x.shape)
        token, drawn = x.new_full((len(x),), self.start), x.clone()
        for t in range(x.shape[1]):
            logits = self.step(token, cache, t)
            if not given[:, t].all():
                drawn[:, t] = torch.where(given[:, t], x[:, t], sample_categorical(logits, generator))
            token = drawn[:, t]
        return drawn

    def most_likely(self, x: Tensor, mask: Tensor, beam: int = 8) -> Tensor:
        """x with its tail set to the most likely one, as far as a beam finds it; mask as in `complete`."""
        cache: Tensor | None = None

        def advance(token: Tensor, rows: Tensor, t: int) -> Tensor:
            nonlocal cache  # each path goes on from the past that it chose
            cache = self.empty(len(token), x.shape[1]) if cache is None else cache[:, :, rows]
            return self.step(token, cache, t)

        return beam_search(advance, x, self.prefix(x, mask), self.start, beam)

    def prefix(self, x: Tensor, mask: Tensor) -> Tensor:
        """Which values are given `[B, T]`; refused if a hidden one stands before them."""
        given = mask.bool().expand_as(x)
        if (given[:, 1:] & ~given[:, :-1]).any():
            raise ValueError("a Transformer completes prefixes: mask must be ones, then zeros, along each sequence")
        return given

    def empty(self, n: int, T: int) -> Tensor:
        """Room for the keys and values of n sequences: `[blocks, 2, n, heads, T, d]`."""
        return torch.empty(len(self.blocks), 2, n, self.heads, T, 2 * self.angle.shape[1], device=self.angle.device)

    def step(self, token: Tensor, cache: Tensor, t: int) -> Tensor:
        """Logits `[B, V]` of what follows tokens `[B]` at input t, whose keys and values enter the cache."""
        h = self.embedding(token)[:, None]  # [B, 1, width]
        for block, past in zip(self.blocks, cache, strict=True):
            h = block(h, self.angle[t : t + 1], past, t)
        return self.head(h[:, 0])

    @torch.no_grad()
    def sample_naive(self, n: int, generator: Generator) -> Tensor:
        """The same samples as `sample`, each step a pass over the whole past: what the cache is tested against."""
        x = torch.empty(n, 0, dtype=torch.long, device=self.angle.device)
        for _ in range(self.space.dim):
            x = torch.cat([x, sample_categorical(self.logits(x)[:, -1], generator)[:, None]], 1)
        return x


PRESETS = {
    "tinyshakespeare": Preset(
        {"width": 72, "layers": 3, "heads": 4, "hidden": 240, "context": 344},  # a stream is scored after 258 of them
        steps=6000,
        batch_size=12,
        lr=5e-3,
        weight_decay=0.1,
        betas=(0.9, 0.99),
        clip=128.0,  # of a loss that is a sum over 128 characters
        ema=0.999,
        validate_every=500,
        half=True,
    ),
}

build = Transformer
