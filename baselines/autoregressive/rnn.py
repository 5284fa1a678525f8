"""Elman network over sequences of integers: a state that reads one token at a time predicts the next.

    h_t = tanh(W e(x_(t-1)) + U h_(t-1) + b),   p(x_t | x_<t) = softmax(V h_t)

One state of fixed size is all that the model knows of its past: a sample carries it along and pays the same for every
token, and a text of any length can be read as one stream. Gradients reach back through products of U, which vanish or
explode (Bengio et al., 1994): what stood a line of an image ago, 28 steps, is out of reach for most of training.

Images are read pixel by pixel in an order that is an option. In raster order the pixel above is a whole line away.

References:
    Finding structure in time (Elman, 1990).
    Generating text with recurrent neural networks (Sutskever, Martens, Hinton, 2011).
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space
from genbench.numerics.beam import beam_search

from .._layers import quarters, sample_categorical

VERSION = 1

State = Tensor | tuple[Tensor, ...]
PIECE = 1024  # tokens of a stream read at once


def reading(space: Space, order: str) -> Tensor:
    """The place in a flattened observation of every step `[D]`: rows, columns, or rows forth and back."""
    D, W = space.dim, space.shape[-1]
    place = torch.arange(D).view(-1, W)  # [channels * height, width]; text is one line
    if order == "columns":
        return place.view(-1, *space.shape[-2:]).transpose(1, 2).flatten() if len(space.shape) > 1 else place.flatten()
    if order == "snake":
        return torch.where(torch.arange(len(place))[:, None] % 2 == 1, place.flip(1), place).flatten()
    if order == "raster":
        return place.flatten()
    raise ValueError(f"no order '{order}': one of raster, columns, snake")


class Recurrent(nn.Module):
    """log p(x) = sum_t log p(x_t | h_t), exactly.

    Arguments:
        space: integers of any shape, L levels.
        width: of the state.
        embedding: of a token.
        layers: states above each other, each reading the one below.
        dropout: between states and before the output, in training.
        order: of the values of an observation, see `reading`.
        temperature: by which every logit is divided, for the likelihood as for samples: below 1 the model is sharper.
        context: tokens of a text that it learns from at once, in place of an observation's: a state that training only
            ever carries through one observation has not learnt to keep what a stream needs.
    """

    order: Tensor

    def __init__(
        self,
        space: Space,
        *,
        width: int = 128,
        embedding: int = 32,
        layers: int = 1,
        dropout: float = 0.0,
        order: str = "raster",
        temperature: float = 1.0,
        context: int | None = None,
    ) -> None:
        super().__init__()
        if space.levels is None:
            raise ValueError("it models sequences of integers")
        if context is not None and len(space.shape) > 1:
            raise ValueError("a context is of texts, and these are images")
        if not temperature > 0:
            raise ValueError(f"a temperature is above 0, not {temperature}")
        self.space, self.start, self.temperature, self.crop_length = space, space.levels, temperature, context
        self.embedding = nn.Embedding(space.levels + 1, embedding)  # the last row is the start token
        self.states = self.network(embedding, width, layers, dropout if layers > 1 else 0.0)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, space.levels)
        self.register_buffer("order", reading(space, order), persistent=False)

    def network(self, inputs: int, width: int, layers: int, dropout: float) -> nn.RNNBase:
        """What turns inputs `[B, T, inputs]` and a state into states `[B, T, width]` and the last state."""
        return nn.RNN(inputs, width, layers, batch_first=True, dropout=dropout)

    def read(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits `[B, T, L]` of what follows each of `tokens` `[B, T]`, and the state after the last."""
        h, state = self.states(self.embedding(tokens), state)
        return self.head(self.dropout(h)) / self.temperature, state

    def logits(self, x: Tensor) -> Tensor:
        """Of every value in reading order `[B, D, L]`, for values in that order `[B, D]`."""
        start = x.new_full((len(x), 1), self.start)
        return self.read(torch.cat([start, x[:, :-1]], 1))[0]

    def level_logits(self, x: Tensor) -> Tensor:
        """Of every value: `[B, *shape]` -> `[B, L, *shape]`."""
        by_step = self.logits(x.flatten(1)[:, self.order])
        return torch.stack([self.placed(one) for one in by_step.unbind(2)], 1)

    def log_conditionals(self, x: Tensor) -> Tensor:
        """log p of every value given those that are read before it: `[B, *shape]`."""
        values = x.flatten(1)[:, self.order]
        return self.placed(-F.cross_entropy(self.logits(values).transpose(1, 2), values, reduction="none"))

    def log_prob(self, x: Tensor) -> Tensor:
        return self.log_conditionals(x).flatten(1).sum(1)

    def encode(self, x: Tensor) -> Tensor:
        """The mean state, of an image that of each quarter: [B, *shape] -> [B, width] or [B, 4 width]."""
        values = x.flatten(1)[:, self.order]
        h, _ = self.states(self.embedding(F.pad(values[:, :-1], (1, 0), value=self.start)))
        if not self.space.is_image:
            return h.mean(1)
        placed = h[:, self.order.argsort()].transpose(1, 2)  # [B, width, D]
        return quarters(placed.unflatten(2, self.space.shape).mean(2))

    @torch.no_grad()
    def log_prob_stream(self, x: Tensor) -> Tensor:
        """log p of every token of one long text given all before it: `[T]` -> `[T]`; the state is carried along."""
        found, state, start = [], None, x.new_full((1,), self.start)
        for piece, before in zip(x.split(PIECE), torch.cat([start, x[:-1]]).split(PIECE), strict=True):
            logits, state = self.read(before[None], state)
            found.append(-F.cross_entropy(logits[0], piece, reduction="none"))
        return torch.cat(found)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """-log p of an observation; of crops of a text `[B, crop_length]`, as if they had an observation's length."""
        if self.crop_length is None:
            return -self.log_prob(x).mean()
        return self.space.dim * F.cross_entropy(self.logits(x).transpose(1, 2), x)

    def sample(self, n: int, generator: Generator) -> Tensor:
        x = torch.zeros(n, *self.space.shape, dtype=torch.long, device=self.order.device)
        return self.complete(x, torch.zeros_like(x), generator)

    @torch.no_grad()
    def complete(self, x: Tensor, mask: Tensor, generator: Generator) -> Tensor:
        """x with what is hidden drawn from p(hidden | given), where mask is 1 on the first values in reading order.

        Raises:
            ValueError: a hidden value is read before a given one; its conditional is out of reach.
        """
        given = self.begun(x, mask)
        drawn = x.flatten(1)[:, self.order]
        token, state = x.new_full((len(x), 1), self.start), None
        for t in range(self.space.dim):
            logits, state = self.read(token, state)
            if not given[:, t].all():
                drawn[:, t] = torch.where(given[:, t], drawn[:, t], sample_categorical(logits[:, 0], generator))
            token = drawn[:, t : t + 1]
        return self.placed(drawn)

    def begun(self, x: Tensor, mask: Tensor) -> Tensor:
        """Which values are given `[B, D]` in reading order; refused if a hidden one is read before them."""
        given = mask.bool().expand_as(x).flatten(1)[:, self.order]
        if (given[:, 1:] & ~given[:, :-1]).any():
            raise ValueError("a recurrent network completes what it has begun to read: mask must be ones, then zeros")
        return given

    def most_likely(self, x: Tensor, mask: Tensor, beam: int = 8) -> Tensor:
        """x with what is hidden set to its most likely values, as far as a beam finds them; mask as in `complete`."""
        state: State | None = None

        def advance(token: Tensor, rows: Tensor, t: int) -> Tensor:
            nonlocal state
            if isinstance(state, tuple):
                state = tuple(part[:, rows] for part in state)
            elif state is not None:
                state = state[:, rows]
            logits, state = self.read(token[:, None], state)
            return logits[:, 0]

        values = x.flatten(1)[:, self.order]
        return self.placed(beam_search(advance, values, self.begun(x, mask), self.start, beam))

    def placed(self, values: Tensor) -> Tensor:
        """Values in reading order `[B, D]` as an observation `[B, *shape]`."""
        return values[:, self.order.argsort()].view(-1, *self.space.shape)

    @torch.no_grad()
    def sample_naive(self, n: int, generator: Generator) -> Tensor:
        """The same samples as `sample`, each step a pass over the whole past: what the state is tested against."""
        x = torch.empty(n, 0, dtype=torch.long, device=self.order.device)
        for _ in range(self.space.dim):
            past = torch.cat([x.new_full((n, 1), self.start), x], 1)
            x = torch.cat([x, sample_categorical(self.read(past)[0][:, -1], generator)[:, None]], 1)
        return self.placed(x)


PRESETS = {
    "tinyshakespeare": Preset(
        {"width": 340, "embedding": 64, "dropout": 0.1}, steps=8000, batch_size=32, lr=1.5e-3, clip=64.0, ema=0.999,
        validate_every=500, half=True,
    ),
    "digits": Preset(
        {"width": 200, "embedding": 24, "dropout": 0.4}, steps=3000, batch_size=64, lr=2e-3, weight_decay=0.1,
        clip=64.0, ema=0.99, validate_every=100,
    ),
}  # fmt: skip

build = Recurrent
