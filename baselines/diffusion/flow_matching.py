"""Flow matching: a velocity field that carries noise to data along straight lines, learned by regression alone.

    x_t = (1 - t) x_0 + (sigma + (1 - sigma) t) e,    e ~ N(0, I)      (Lipman et al. 2023, equations 20 and 22)
    loss = E_{t, x_0, e} | v(x_t, t) - ((1 - sigma) e - x_0) |^2        (equation 23)

For each x_0 the path moves a narrow Gaussian about x_0, at t = 0, to N(0, I), at t = 1, as optimal transport would. The
velocity of x_t given x_0 is known; the v of least squares is its mean over all x_0 that may have led to x_t, and the
flow dx/dt = v(x, t) has at every t the distribution of x_t (theorems 1 and 2). No ODE is solved in training. Samples
solve it from noise, by the midpoint rule, with as many evaluations of v as asked for.

The likelihood is that of a continuous normalising flow: `velocity` is what the harness integrates (`nll-ode`, see
`genbench.likelihood.probability_flow`), an estimate. At t = 0 the flow has data with noise of deviation sigma. Integers
run on [-1, 1]; with sigma a quarter of the distance of two levels this noise is a dequantisation, truncated at test
time to the cell of each level.

NOTE: time runs as in the harness and in diffusion models, from data to noise, against the paper's. NOTE: the t of
training may be drawn more often near the data, t = u^focus with u uniform. That weights the errors at different t; the
v that is best at every t stays the same.

References:
    Flow matching for generative modeling (Lipman, Chen, Ben-Hamu, Nickel, Le, 2023), section 4.1, example II.
    Fourier features let networks learn high frequency functions (Tancik et al., 2020), for points.
"""

import itertools

import torch
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage
from genbench.errors import Unavailable

from .._layers import nearest_level, normalised, quarters
from .ddpm import UNet

VERSION = 1
READ = 0.3  # t at which `encode` reads, as in `ddpm.py`; up to there it matters little (tests/metrics/reading.py)


def waves(x: Tensor, least: float, most: float, n: int) -> Tensor:
    """Sines and cosines at n frequencies from 10^least to 10^most: [B, D] -> [B, 2 n D]."""
    frequency = torch.logspace(least, most, n, dtype=x.dtype, device=x.device)
    angle = (x[..., None] * frequency).flatten(1)
    return torch.cat([angle.sin(), angle.cos()], 1)


class Pictures(nn.Module):
    """v of images [B, C, H, W] at t [B], by the U-Net of `ddpm.py`."""

    def __init__(self, channels: int, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.net = UNet(channels, width, embedding, dropout)
        self.mix = nn.Conv2d(2 * channels, channels, 1)  # its two outputs, for a mean and a variance, become one

    def time(self, t: Tensor) -> Tensor:
        return waves(t[:, None], 0.0, 2.0, self.embedding // 2)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.mix(self.net(x, self.time(t)))

    def features(self, x: Tensor, t: Tensor) -> Tensor:
        """The lowest features of the network: [B, C, H, W], [B] -> [B, 2 width, H/2, W/2]."""
        return self.net.features(x, self.net.time(self.time(t)))[1]


class Points(nn.Module):
    """v of points [B, D] at t [B]: a fully connected network of Fourier features, up to a wave length of 0.06."""

    def __init__(self, dim: int, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.n, self.embedding = 8, embedding
        layers: list[nn.Module] = [nn.Linear(dim + 2 * self.n * dim + embedding + 1, width), nn.SiLU()]
        for _ in range(2):
            layers += [nn.Linear(width, width), nn.SiLU(), nn.Dropout(dropout)]
        self.net = nn.Sequential(*layers, nn.Linear(width, dim))

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        scale = (t[:, None] + 1e-3).log() / 3  # what matters near the data is how many times the noise has grown
        time = torch.cat([waves(scale, -0.5, 1.0, self.embedding // 2), scale], 1)
        return self.net(torch.cat([x, waves(x, 0.0, 2.0, self.n), time], 1))


class FlowMatching(nn.Module):
    """The flow, of images or of points.

    Arguments:
        sigma: noise about every x_0 at t = 0.
        width, embedding, dropout: of the network, `Pictures` or `Points`; features of the time.
        focus: t = u^focus in training.
        evaluations: of v for a sample, two for each step of the midpoint rule. Steps are shorter near the data.
    """

    eps = 0.0

    def __init__(
        self,
        space: Space,
        *,
        sigma: float = 0.03,
        width: int = 24,
        embedding: int = 64,
        dropout: float = 0.0,
        focus: float = 1.0,
        evaluations: int = 100,
    ) -> None:
        super().__init__()
        if len(space.shape) == 2 or (space.is_image and (space.shape[1] % 2 or space.shape[2] % 2)):
            raise ValueError("it needs images with even sides, or vectors")
        if not 0 <= sigma < 1 or evaluations < 2 or width % 4 or embedding % 2:
            raise ValueError("sigma is in [0, 1), evaluations are at least 2, width is a multiple of 4, embedding even")
        self.space, self.sigma, self.focus, self.evaluations = space, sigma, focus, evaluations
        network = Pictures if space.is_image else Points
        self.net = network(space.shape[0], width, embedding, dropout)

    @property
    def noise_at_start(self) -> tuple[float, float]:
        """(alpha, sigma) of x at t = 0, alpha x_0 + sigma e: what truncated-normal dequantisation asks for."""
        return 1.0, self.sigma

    def path(self, x0: Tensor, e: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_t and its velocity given x_0: [B, *shape] twice, t [B] -> [B, *shape] twice."""
        t = t.view(-1, *[1] * (x0.dim() - 1))
        return (1 - t) * x0 + (self.sigma + (1 - self.sigma) * t) * e, (1 - self.sigma) * e - x0

    def velocity(self, x: Tensor, t: Tensor) -> Tensor:
        """dx/dt: [B, *shape], [B] -> [B, *shape]."""
        return self.net(x, t)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        x0 = normalised(x, self.space)
        t = torch.rand(len(x0), generator=generator, device=x0.device) ** self.focus
        e = torch.randn(x0.shape, generator=generator, device=x0.device)
        xt, velocity = self.path(x0, e, t)
        return (self.velocity(xt, t) - velocity).square().mean()

    def encode(self, x: Tensor) -> Tensor:
        """The lowest features of the network, averaged over each quarter of the image: [B, *shape] -> [B, 8 width].

        It is shown (1 - t) x_0, the mean of x_t, at t = READ, as `ddpm.py` is.

        Raises:
            Unavailable: of points, whose network has no such features.
        """
        if not isinstance(self.net, Pictures):
            raise Unavailable("the network of points has no features that stand for a point")
        t = torch.full((len(x),), READ, device=x.device)
        return quarters(self.net.features((1 - READ) * normalised(x, self.space), t))

    def stages(self) -> tuple[Stage, ...]:
        return (Stage("train", (Objective("loss", self.net.parameters(), self.loss),), self.validation_loss),)

    def validation_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The loss over 8 draws of t and e: what differs between two weights is small beside the noise of one."""
        return torch.stack([self.loss(x, generator) for _ in range(8)]).mean()

    @torch.no_grad()
    def sample(self, n: int, generator: Generator) -> Tensor:
        """Solves dx/dt = v from noise at t = 1 to data at t = 0; integers are rounded to the nearest level."""
        x = torch.randn(n, *self.space.shape, generator=generator, device=generator.device)
        steps = self.evaluations // 2
        times = torch.linspace(1, 0, steps + 1, device=x.device) ** 2
        for t, later in itertools.pairwise(times):
            half = x + (later - t) / 2 * self.velocity(x, t.expand(n))
            x = x + (later - t) * self.velocity(half, ((t + later) / 2).expand(n))
        return nearest_level(x, self.space)


PRESETS = {
    "digits": Preset(
        {"sigma": 0.04, "width": 24, "embedding": 64, "dropout": 0.1},
        steps=4000,
        batch_size=128,
        lr=2e-3,
        ema=0.998,
        clip=1.0,
        validate_every=500,
    ),
    "mnist": Preset(
        {"sigma": 0.01, "width": 24, "embedding": 64},
        steps=3000,
        batch_size=64,
        lr=2e-3,
        ema=0.998,
        clip=1.0,
        validate_every=1000,
        half=True,
    ),
    "ring8": Preset(
        {"sigma": 0.002, "width": 128, "embedding": 32, "focus": 3.0},
        steps=12000,
        batch_size=1024,
        lr=2e-3,
        ema=0.999,
        clip=1.0,
        validate_every=1000,
    ),
    "grid25": Preset(
        {"sigma": 0.01, "width": 128, "embedding": 32, "focus": 3.0},
        steps=12000,
        batch_size=1024,
        lr=2e-3,
        ema=0.999,
        clip=1.0,
        validate_every=1000,
    ),
    "pinwheel": Preset(
        {"sigma": 0.005, "width": 128, "embedding": 32, "focus": 3.0},
        steps=10000,
        batch_size=1024,
        lr=2e-3,
        ema=0.999,
        clip=1.0,
        validate_every=1000,
    ),
}

build = FlowMatching
