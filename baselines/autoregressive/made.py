"""MADE: one autoencoder whose masks make its outputs the conditionals of p(x), in any order of the values.

    p(x) = prod_t p(x_o(t) | x_o(1) ... x_o(t-1))

Every hidden unit has a degree m: it sees the first m values of the order o, and units of a degree of at most m. The
logits of the t-th value see units of degrees below t. One pass gives all conditionals. Orders and degrees are drawn
anew for each of several masks that share their weights; the model is the mixture of them, p(x) = mean_o p_o(x), so a
sample first draws its order.

References:
    MADE: masked autoencoder for distribution estimation (Germain, Gregor, Murray, Larochelle, 2015), sections 3 and 4.
    A deep and tractable density estimator (Uria, Murray, Larochelle, 2014): ensembles of orders.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import MaskedLinear, categorical_log_likelihood, normalised, sample_categorical

VERSION = 1
Reader = Callable[..., Callable[[Tensor, int], Tensor]]  # (model, order, n) -> (x [n, D], step) -> logits [n, L]


class MADE(nn.Module):
    """log p(x) = log mean_o p_o(x), exactly.

    Arguments:
        space: integers of any shape, D values of L levels.
        width, depth: of the hidden layers.
        orders: how many orders, each with masks of its own. The first is that of the values as they come.
        one_hot: read x as one-hot levels, not as numbers.
        dropout: on hidden units, in training.
        direct: whether the logits also are linear functions of the values before, past the hidden layers (equation 15).
    """

    order: Tensor
    degree: Tensor

    def __init__(
        self,
        space: Space,
        *,
        width: int,
        depth: int,
        orders: int,
        one_hot: bool,
        dropout: float,
        direct: bool,
    ) -> None:
        super().__init__()
        if space.levels is None:
            raise ValueError("it models integers")
        if min(width, depth, orders) < 1:
            raise ValueError("width, depth and orders must be at least 1")
        self.space, self.levels, self.one_hot, self.n_orders = space, space.levels, one_hot, orders
        D = space.dim
        self.each = space.levels if one_hot else 1  # inputs of a value
        self.outs = 1 if space.levels == 2 else space.levels  # and outputs: of two levels one logit says all
        self.dropout = nn.Dropout(dropout)
        generator = torch.Generator().manual_seed(0)  # masks belong to the model, not to its training
        order = [torch.arange(D), *(torch.randperm(D, generator=generator) for _ in range(orders - 1))]
        self.register_buffer("order", torch.stack(order))  # [orders, D]: the value of each step
        self.register_buffer("degree", torch.stack([self.degrees(width, depth, generator) for _ in order]))
        *hidden, output, past = self.masks(0)
        layers = [self.layer(mask) for mask in hidden]
        self.hidden: list[nn.Linear | MaskedLinear] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.output = self.layer(output)
        self.direct = self.layer(past, bias=False) if direct else None
        if self.direct is not None:
            nn.init.zeros_(next(self.direct.parameters()))

    def layer(self, mask: Tensor, bias: bool = True) -> nn.Linear | MaskedLinear:
        """A layer with masks of this shape. Nearly every weight is used by some of the orders."""
        return nn.Linear(mask.shape[1], mask.shape[0], bias)

    def degrees(self, width: int, depth: int, generator: Generator) -> Tensor:
        """Of every hidden unit `[depth, width]`: at least the least one below, so that no unit is cut off."""
        D, rows = self.space.dim, []
        least = min(1, D - 1)
        for _ in range(depth):
            rows.append(torch.randint(least, max(D, least + 1), (width,), generator=generator))
            least = int(rows[-1].min())
        return torch.stack(rows)

    def steps(self, k: int) -> Tensor:
        """The step at which order k comes to each value, from 1: `[D]`."""
        return self.order[k].argsort() + 1

    def masks(self, k: int) -> list[Tensor]:
        """Which inputs each unit sees `[out, in]`: of every hidden layer, of the output (equations 8 and 9), and of the
        output past the hidden layers."""
        step = self.steps(k)
        first, last = step.repeat_interleave(self.each), step.repeat_interleave(self.outs)[:, None]
        found, below = [], first
        for degree in self.degree[k]:
            found.append(degree[:, None] >= below)
            below = degree
        return [*found, last > below, last > first]

    def weights(self, k: int) -> list[Tensor]:
        """Of every hidden layer, of the output and, if there is one, of the way past them, under order k."""
        return [layer.weight * mask for layer, mask in zip(self.layers(), self.masks(k), strict=False)]

    def layers(self) -> list[nn.Linear | MaskedLinear]:
        return [*self.hidden, self.output, *([self.direct] if self.direct else [])]

    def embed(self, x: Tensor) -> Tensor:
        """`[B, *shape]` int64 -> `[B, D * each]`."""
        if self.one_hot:
            return F.one_hot(x.flatten(1), self.levels).flatten(1).float()
        return normalised(x, self.space).flatten(1)

    def features(self, h: Tensor, weights: list[Tensor]) -> Tensor:
        """Embedded values -> the last hidden layer: `[B, D * each]` -> `[B, width]`."""
        for layer, weight in zip(self.hidden, weights, strict=False):
            h = self.dropout(F.linear(h, weight, layer.bias).relu())
        return h

    def encode(self, x: Tensor) -> Tensor:
        """The last hidden layer under every order, one beside another: `[B, *shape]` -> `[B, orders * width]`."""
        return torch.cat([self.features(self.embed(x), self.weights(k)) for k in range(self.n_orders)], 1)

    def logits(self, x: Tensor, k: int) -> Tensor:
        """Of every value under order k: `[B, L, D]`."""
        values, weights = self.embed(x), self.weights(k)
        out = F.linear(self.features(values, weights), weights[len(self.hidden)], self.output.bias)
        if self.direct is not None:
            out = out + F.linear(values, weights[-1])
        return self.levelled(out.unflatten(1, (-1, self.outs))).transpose(1, 2)

    def levelled(self, out: Tensor) -> Tensor:
        """A logit for each level: `[..., outs]` -> `[..., L]`; of two levels the first has 0."""
        return F.pad(out, (self.levels - self.outs, 0))

    def log_prob(self, x: Tensor) -> Tensor:
        flat = x.flatten(1)
        each = torch.stack([categorical_log_likelihood(self.logits(x, k), flat) for k in range(self.n_orders)])
        return torch.logsumexp(each, 0) - math.log(self.n_orders)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """-log p_o(x) of one order, drawn anew for each batch: in expectation a bound on -log p(x) (Jensen)."""
        k = int(torch.randint(self.n_orders, (), generator=generator, device=generator.device))
        return -categorical_log_likelihood(self.logits(x, k), x.flatten(1)).mean()

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.draw(n, generator, Degrees)

    def sample_naive(self, n: int, generator: Generator) -> Tensor:
        """The same samples, each value by a pass through the whole network."""
        return self.draw(n, generator, lambda net, k, n: lambda x, t: net.logits(x, k)[:, :, net.order[k, t]])

    @torch.no_grad()
    def draw(self, n: int, generator: Generator, reader: Reader) -> Tensor:
        """An order for every sample, then its values in that order; samples of one order together."""
        chosen = torch.randint(self.n_orders, (n,), generator=generator, device=generator.device)
        x = torch.zeros(n, self.space.dim, dtype=torch.long, device=generator.device)
        for k in range(self.n_orders):
            rows = torch.nonzero(chosen == k)[:, 0]
            if len(rows):
                x[rows] = self.filled(x[rows], torch.zeros_like(x[rows], dtype=torch.bool), k, generator, reader)
        return x.view(n, *self.space.shape)

    def filled(self, x: Tensor, given: Tensor, k: int, generator: Generator, reader: Reader) -> Tensor:
        """x `[n, D]` with every value that is not given drawn in its turn of order k."""
        x, logits_at = x.masked_fill(~given, 0), reader(self, k, len(x))
        for t, i in enumerate(self.order[k].tolist()):
            x[:, i] = torch.where(given[:, i], x[:, i], sample_categorical(logits_at(x, t), generator))
        return x


class InOrder(MADE):
    """MADE in the one order of the values as they come: each has a conditional, and what comes first can be given.

    A weight that the masks of the one order hide is none.
    """

    def layer(self, mask: Tensor, bias: bool = True) -> MaskedLinear:
        return MaskedLinear(mask, bias)

    def weights(self, k: int) -> list[Tensor]:
        return [layer.weight for layer in self.layers()]

    def log_conditionals(self, x: Tensor) -> Tensor:
        """log p of every value given those before it: `[B, *shape]` -> `[B, *shape]`."""
        return -F.cross_entropy(self.logits(x, 0), x.flatten(1), reduction="none").view(x.shape)

    @torch.no_grad()
    def complete(self, x: Tensor, mask: Tensor, generator: Generator) -> Tensor:
        """x where mask is 1, draws elsewhere: from p(hidden | given) where the given values come first."""
        given = mask.expand_as(x).bool().flatten(1)
        return self.filled(x.flatten(1), given, 0, generator, Degrees).view(x.shape)


class Degrees:
    """The logits of one value after another, for n samples under order k, all of them for the cost of one pass.

    What t values decide are the units of degree t: they are computed at step t, and none is computed twice.
    """

    def __init__(self, net: MADE, k: int, n: int) -> None:
        self.net, self.order, self.degree, self.weights = net, net.order[k], net.degree[k], net.weights(k)
        self.units = [net.output.weight.new_zeros(n, len(layer.bias)) for layer in net.hidden]

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """Of the value at step t, from 0: x `[n, D]` -> `[n, L]`. Asked for step by step."""
        net, outs = self.net, self.net.outs
        values = below = net.embed(x)
        for layer, weight, units, degree in zip(net.hidden, self.weights, self.units, self.degree, strict=False):
            new = torch.nonzero(degree == t)[:, 0]
            units[:, new] = F.linear(below, weight[new], layer.bias[new]).relu()
            below = units
        some = slice(int(self.order[t]) * outs, int(self.order[t] + 1) * outs)
        out = F.linear(below, self.weights[len(net.hidden)][some], net.output.bias[some])
        if net.direct is not None:
            out = out + F.linear(values, self.weights[-1][some])
        return net.levelled(out)


PRESETS = {
    "digits": Preset(
        {"width": 76, "depth": 2, "orders": 4, "dropout": 0.1}, steps=6000, batch_size=64, lr=3e-3, weight_decay=0.05,
        ema=0.995, clip=100.0,
    ),
    "mnist-binary": Preset(
        {"width": 150, "depth": 1, "orders": 1, "direct": True}, steps=25_000, batch_size=100, lr=2e-3, ema=0.999,
        clip=100.0, validate_every=2500, half=True,
    ),
}  # fmt: skip


def build(
    space: Space,
    *,
    width: int = 128,
    depth: int = 2,
    orders: int = 4,
    one_hot: bool = False,
    dropout: float = 0.0,
    direct: bool = False,
) -> MADE:
    """MADE; of one order that which completes images."""
    kind = InOrder if orders == 1 else MADE
    return kind(space, width=width, depth=depth, orders=orders, one_hot=one_hot, dropout=dropout, direct=direct)
