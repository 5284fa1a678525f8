"""MAF: a stack of autoregressive affine maps, each of one pass through a masked network; its inverse takes D steps.

    z_i = (x_i - mu_i) exp(-alpha_i),    mu_i, alpha_i functions of x_1 .. x_{i-1}   (Papamakarios et al. 2017, eq. 4)
    log |det dz/dx| = -sum_i alpha_i                                                 (equation 5)

The masks make one network give all D pairs (mu_i, alpha_i) at once: hidden unit h has a degree m(h), sees values up
to the m(h)-th and units of no higher degree, and the i-th output sees units of degrees below i. From one map to the
next the order of the values is reversed. A density needs one pass; a sample has to know x_1 .. x_{i-1} before x_i, so
that each map is inverted by D passes.

An affine map gives every conditional the shape of a Gaussian. The base may be a mixture of C Gaussians in every
conditional ("MAF MoG", section 3.4), again by a masked network:

    pi(z) = prod_i sum_c w_ic N(z_i; m_ic, s_ic^2),    w, m, s functions of z_1 .. z_{i-1}

NOTE: where the paper has batch normalisation, every map follows an ActNorm, a learned affine map of each value that
is set by data before the training: nothing depends on the batch.

References:
    Masked autoregressive flow for density estimation (Papamakarios, Pavlakou, Murray, 2017).
    MADE (Germain, Gregor, Murray, Larochelle, 2015), for the masks.
"""

import itertools

import torch
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import MaskedLinear, log_normal, sample_categorical
from ._bijections import ActNorm, Bijection, Composition, Flow, Logit, Shape, for_space

VERSION = 2  # 2: hidden units of all degrees, also where they are fewer than the values
ALPHA = 5.0  # bounds log scales, smoothly: a step of the optimiser cannot make a density overflow


class MaskedNetwork(nn.Module):
    """[B, D] -> [B, each, D]: `each` numbers for every value, from the values before it.

    Arguments:
        hidden, depth, dropout: of the hidden layers.
        backwards: whether the last value comes first.
        direct: whether the first number of each value also is a linear function of the values before it, past the
            hidden layers (Germain et al. 2015, equation 15): where these are narrower than x, much of x is lost there.
    """

    order: Tensor

    def __init__(
        self, dim: int, each: int, hidden: int, depth: int, dropout: float, backwards: bool, direct: bool = False
    ) -> None:
        super().__init__()
        places = torch.arange(dim)
        place = places.flip(0) if backwards else places
        spread = 1 + torch.arange(hidden) * max(1, dim - 1) // hidden  # over all values, however few the units
        degrees = [place + 1, *[spread] * depth]
        self.layers = nn.ModuleList(MaskedLinear(b[:, None] >= a) for a, b in itertools.pairwise(degrees))
        self.last = MaskedLinear(((place + 1)[:, None] > degrees[-1]).repeat(each, 1))
        self.direct = MaskedLinear(place[:, None] > place, bias=False) if direct else None
        self.each, self.dropout = each, nn.Dropout(dropout)
        for p in [*self.last.parameters(), *(self.direct.parameters() if self.direct else ())]:
            nn.init.zeros_(p)
        self.register_buffer("order", place.argsort(), persistent=False)  # the value of each step

    def forward(self, x: Tensor) -> Tensor:
        h = x
        for layer in self.layers:
            h = self.dropout(layer(h).relu())
        out = self.last(h).unflatten(1, (self.each, -1))
        return out if self.direct is None else torch.cat([out[:, :1] + self.direct(x)[:, None], out[:, 1:]], 1)


class Autoregressive(Bijection):
    """Equations 4 and 5."""

    def __init__(self, net: MaskedNetwork) -> None:
        super().__init__()
        self.net = net

    def shift_and_scale(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """mu and alpha: [B, D] -> [B, D] each."""
        mu, alpha = self.net(x).unbind(1)
        return mu, ALPHA * torch.tanh(alpha / ALPHA)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mu, alpha = self.shift_and_scale(x)
        return (x - mu) * (-alpha).exp(), -alpha.sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        """Step t knows the values of all steps before it, and so its own mu and alpha: D passes."""
        x = torch.zeros_like(y)
        for i in self.net.order.tolist():
            mu, alpha = self.shift_and_scale(x)
            x[:, i] = y[:, i] * alpha[:, i].exp() + mu[:, i]
        return x


class MAF(Flow):
    """The flow on real numbers.

    Arguments:
        maps: autoregressive maps in a row.
        hidden, depth, dropout, direct: of every masked network; `direct` of the maps alone.
        components: C of the base's conditionals; 1 for the base N(0, I).
        levels: L where the values are dequantised integers on [0, L).
    """

    def __init__(
        self,
        shape: Shape,
        *,
        maps: int,
        hidden: int,
        depth: int,
        dropout: float,
        components: int,
        direct: bool,
        levels: int | None = None,
    ) -> None:
        super().__init__(shape)
        D = self.space.dim
        self.entry = Composition([] if levels is None else [Logit(levels)])
        layers: list[Bijection] = []
        for i in range(maps):
            net = MaskedNetwork(D, 2, hidden, depth, dropout, i % 2 == 1, direct)
            layers += [ActNorm((D,)), Autoregressive(net)]
        self.maps = Composition(layers)
        self.components = components
        if components > 1:
            self.base = MaskedNetwork(D, 3 * components, hidden, depth, dropout, maps % 2 == 1)
            with torch.no_grad():  # means that differ, or all components would learn the same
                self.base.last.bias.view(3, components, D)[1] = torch.linspace(-1.5, 1.5, components)[:, None]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y, first = self.entry(x)
        z, rest = self.maps(y.flatten(1))
        return z, first + rest

    def inverse(self, z: Tensor) -> Tensor:
        return self.entry.inverse(self.maps.inverse(z).view(len(z), *self.space.shape))

    def conditionals(self, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights, means and log deviations of the base's mixtures: [B, D] -> [B, C, D] each."""
        logits, mean, log_sd = self.base(z).unflatten(1, (3, -1)).unbind(1)
        return logits.log_softmax(1), mean, ALPHA * torch.tanh(log_sd / ALPHA)

    def log_base(self, z: Tensor) -> Tensor:
        if self.components == 1:
            return super().log_base(z)
        log_w, mean, log_sd = self.conditionals(z)
        return (log_w + log_normal(z[:, None], mean, log_sd)).logsumexp(1).sum(1)

    @torch.no_grad()
    def draw_base(self, n: int, generator: Generator) -> Tensor:
        """One value after another: a component, then a draw of it."""
        noise = super().draw_base(n, generator)
        if self.components == 1:
            return noise
        z = torch.zeros_like(noise)
        for i in self.base.order.tolist():
            log_w, mean, log_sd = (part[:, :, i] for part in self.conditionals(z))
            c = sample_categorical(log_w, generator)[:, None]
            z[:, i] = (mean.gather(1, c) + log_sd.gather(1, c).exp() * noise[:, i, None])[:, 0]
        return z


PRESETS = {
    "digits": Preset(
        {"maps": 2, "hidden": 56, "depth": 1, "dropout": 0.2, "components": 5},
        steps=4000,
        batch_size=64,
        lr=2e-3,
        weight_decay=0.1,
        clip=50.0,
        ema=0.995,
        validate_every=200,
    ),
    "mnist": Preset(
        {"maps": 2, "hidden": 96, "depth": 1, "components": 3},
        steps=8000,
        batch_size=128,
        lr=1e-3,
        clip=500.0,
        ema=0.999,
        validate_every=1000,
        half=True,
    ),
    "ring8": Preset(
        {"maps": 2, "hidden": 64, "depth": 2, "components": 10},
        steps=9000,
        batch_size=512,
        lr=3e-3,
        clip=10.0,
        ema=0.998,
    ),
    "grid25": Preset(
        {"maps": 2, "hidden": 64, "depth": 2, "components": 10},
        steps=9000,
        batch_size=512,
        lr=3e-3,
        clip=10.0,
        ema=0.998,
    ),
    "patches": Preset(
        {"maps": 2, "hidden": 20, "depth": 1, "direct": True},
        steps=8000,
        batch_size=128,
        lr=2e-3,
        clip=50.0,
        ema=0.998,
        half=True,
    ),
    "pinwheel": Preset(
        {"maps": 2, "hidden": 64, "depth": 2, "components": 10},
        steps=9000,
        batch_size=512,
        lr=3e-3,
        clip=10.0,
        ema=0.998,
    ),
}


def build(
    space: Space,
    *,
    maps: int = 4,
    hidden: int = 64,
    depth: int = 2,
    dropout: float = 0.0,
    components: int = 1,
    direct: bool = False,
) -> nn.Module:
    """The flow on real numbers; on integers the flow with uniform noise added to them.

    Arguments:
        maps, hidden, depth, dropout, components, direct: of the flow.
    """
    flow = MAF(
        space.shape,
        maps=maps,
        hidden=hidden,
        depth=depth,
        dropout=dropout,
        components=components,
        direct=direct,
        levels=space.levels,
    )
    return for_space(flow, space.levels)
