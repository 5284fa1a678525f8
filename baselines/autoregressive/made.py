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

import itertools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import categorical_log_likelihood, normalised, sample_categorical

VERSION = 1


class MADE(nn.Module):
    """log p(x) = log mean_o p_o(x), exactly.

    Arguments:
        space: integers of any shape, D values of L levels.
        width, depth: of the hidden layers.
        orders: how many orders, each with masks of its own. The first is that of the values as they come.
        one_hot: read x as one-hot levels, not as numbers.
        dropout: on hidden units, in training.
    """

    order: Tensor
    degree: Tensor

    def __init__(
        self,
        space: Space,
        *,
        width: int = 128,
        depth: int = 2,
        orders: int = 4,
        one_hot: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if space.levels is None:
            raise ValueError("it models integers")
        if min(width, depth, orders) < 1:
            raise ValueError("width, depth and orders must be at least 1")
        self.space, self.levels, self.one_hot, self.n_orders = space, space.levels, one_hot, orders
        D = space.dim
        self.each = space.levels if one_hot else 1  # inputs of a value
        sizes = [D * self.each, *[width] * depth]
        hidden = [nn.Linear(a, b) for a, b in itertools.pairwise(sizes)]
        self.hidden: list[nn.Linear] = nn.ModuleList(hidden)  # type: ignore[assignment]
        self.output = nn.Linear(width, D * space.levels)
        self.dropout = nn.Dropout(dropout)
        generator = torch.Generator().manual_seed(0)  # masks belong to the model, not to its training
        order = [torch.arange(D), *(torch.randperm(D, generator=generator) for _ in range(orders - 1))]
        self.register_buffer("order", torch.stack(order))  # [orders, D]: the value of each step
        self.register_buffer("degree", torch.stack([self.degrees(width, depth, generator) for _ in order]))

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
        """Which inputs each unit sees `[out, in]`, of every hidden layer and of the output (equations 8 and 9)."""
        step = self.steps(k)
        below = step.repeat_interleave(self.each)
        found = []
        for degree in self.degree[k]:
            found.append(degree[:, None] >= below)
            below = degree
        return [*found, step.repeat_interleave(self.levels)[:, None] > below]

    def embed(self, x: Tensor) -> Tensor:
        """`[B, *shape]` int64 -> `[B, D * each]`."""
        if self.one_hot:
            return F.one_hot(x.flatten(1), self.levels).flatten(1).float()
        return normalised(x, self.space).flatten(1)

    def features(self, x: Tensor, masks: list[Tensor]) -> Tensor:
        """The last hidden layer: `[B, width]`."""
        h = self.embed(x)
        for layer, mask in zip(self.hidden, masks, strict=True):
            h = self.dropout(F.linear(h, layer.weight * mask, layer.bias).relu())
        return h

    def encode(self, x: Tensor) -> Tensor:
        """The last hidden layer under every order, one beside another: `[B, *shape]` -> `[B, orders * width]`."""
        return torch.cat([self.features(x, self.masks(k)[:-1]) for k in range(self.n_orders)], 1)

    def logits(self, x: Tensor, k: int) -> Tensor:
        """Of every value under order k: `[B, L, D]`."""
        *masks, last = self.masks(k)
        h = self.features(x, masks)
        return F.linear(h, self.output.weight * last, self.output.bias).unflatten(1, (-1, self.levels)).transpose(1, 2)

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
    def draw(self, n: int, generator: Generator, reader: Callable[..., Callable[[Tensor, int], Tensor]]) -> Tensor:
        """An order for every sample, then its values in that order; samples of one order together."""
        chosen = torch.randint(self.n_orders, (n,), generator=generator, device=generator.device)
        x = torch.zeros(n, self.space.dim, dtype=torch.long, device=generator.device)
        for k in range(self.n_orders):
            rows = torch.nonzero(chosen == k)[:, 0]
            logits_at, some = reader(self, k, len(rows)), x[rows]
            for t in range(self.space.dim if len(rows) else 0):
                some[:, self.order[k, t]] = sample_categorical(logits_at(some, t), generator)
            x[rows] = some
        return x.view(n, *self.space.shape)


class Degrees:
    """The logits of one value after another, for n samples under order k, all of them for the cost of one pass.

    What t values decide are the units of degree t: they are computed at step t, and none is computed twice.
    """

    def __init__(self, net: MADE, k: int, n: int) -> None:
        *masks, last = net.masks(k)
        self.net, self.order, self.degree = net, net.order[k], net.degree[k]
        self.weights = [layer.weight * mask for layer, mask in zip(net.hidden, masks, strict=True)]
        self.last = net.output.weight * last
        self.units = [net.output.weight.new_zeros(n, len(layer.bias)) for layer in net.hidden]

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """Of the value at step t, from 0: x `[n, D]` -> `[n, L]`. Asked for step by step."""
        net, L = self.net, self.net.levels
        below = net.embed(x)
        for layer, weight, units, degree in zip(net.hidden, self.weights, self.units, self.degree, strict=True):
            new = torch.nonzero(degree == t)[:, 0]
            units[:, new] = F.linear(below, weight[new], layer.bias[new]).relu()
            below = units
        out = slice(int(self.order[t]) * L, int(self.order[t] + 1) * L)
        return F.linear(below, self.last[out], net.output.bias[out])


PRESETS = {
    "digits": Preset(
        {"width": 76, "depth": 2, "orders": 4, "dropout": 0.1}, steps=6000, batch_size=64, lr=3e-3, weight_decay=0.05,
        ema=0.995, clip=100.0,
    ),
    "mnist-binary": Preset(
        {"width": 500, "depth": 1, "orders": 1}, steps=60_000, batch_size=100, lr=1e-3, ema=0.999, clip=100.0,
        validate_every=2000, half=True,
    ),
}  # fmt: skip

build = MADE
