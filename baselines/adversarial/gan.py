"""Spectral-norm GAN: a generator against a critic whose every layer has spectral norm one.

    critic      min_D  E relu(1 - D(x)) + E relu(1 + D(G(z)))        z ~ N(0, I)
    generator   min_G  -E D(G(z))

Every weight W of the critic is divided by its largest singular value, followed by one step of
power iteration per training pass; D is K times the network, so D is no steeper than `slope` K.
There is no likelihood: the samples G(z) lie on a surface of fewer dimensions than the data. The best
weights are kept by the energy distance between samples and validation data.

References:
    Spectral Normalization for Generative Adversarial Networks (Miyato et al., 2018), equations 8,
    16 and 17, algorithm 1.
    Energy statistics (Szekely and Rizzo, 2013), equation 5.
"""

import itertools
import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genbench import Objective, Preset, Space, Stage

from .._layers import log_normal, normalised

VERSION = 1
SAMPLES_PER_EXAMPLE = 4  # generated for each validation example: the samples' own noise then counts little


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|X-Y| - E|X-X'| - E|Y-Y'|, unbiased (so it can fall below 0): x [n, d], y [m, d] -> scalar.

    Zero in expectation if and only if the two distributions are equal.
    """
    n, m = len(x), len(y)
    within_x = torch.cdist(x, x).sum() / (n * (n - 1))
    within_y = torch.cdist(y, y).sum() / (m * (m - 1))
    return 2 * torch.cdist(x, y).mean() - within_x - within_y


def mlp(sizes: list[int], activation: type[nn.Module]) -> nn.Sequential:
    """Linear layers with an activation between any two."""
    layers: list[nn.Module] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1])


def image_generator(space: Space, latent: int, width: int) -> nn.Sequential:
    """[n, latent] -> images on [-1, 1]: a quarter of the size, doubled twice. GroupNorm sees one image alone."""
    channels, height, breadth = space.shape
    seed = (width, height // 4, breadth // 4)
    layers: list[nn.Module] = [nn.Linear(latent, math.prod(seed)), nn.Unflatten(1, seed), nn.SiLU()]
    for _ in range(2):
        layers += [
            nn.Upsample(scale_factor=2),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(4, width),
            nn.SiLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(width, channels, 3, padding=1), nn.Tanh())


def image_critic(space: Space, width: int) -> nn.Sequential:
    """Images -> [n, 1], halved twice."""
    channels, height, breadth = space.shape
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.1),
        nn.Conv2d(width, width, 4, stride=2, padding=1), nn.LeakyReLU(0.1),
        nn.Conv2d(width, 2 * width, 4, stride=2, padding=1), nn.LeakyReLU(0.1),
        nn.Flatten(), nn.Linear(2 * width * (height // 4) * (breadth // 4), 1),
    )  # fmt: skip


class GAN(nn.Module):
    """Convolutions for images of integers, fully connected networks for points.

    Arguments:
        latent: dimensions of z.
        width, critic_width: channels or hidden units of the generator and of the critic.
        slope: K, the factor on the critic's output.
        repeats: critic steps for each generator step.
    """

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 32,
        width: int = 48,
        critic_width: int = 28,
        slope: float = 4.0,
        repeats: int = 2,
    ) -> None:
        super().__init__()
        if space.is_image:
            if space.levels is None or space.shape[1] % 4 or space.shape[2] % 4:
                raise ValueError("images need integer values and sides that are multiples of 4")
            if width % 4:
                raise ValueError(f"width must be a multiple of 4 for images, got {width}")
        elif space.levels is not None:
            raise ValueError("a generator's output is continuous: integers need an image to be rounded to")
        self.space, self.latent, self.slope, self.repeats = space, latent, slope, repeats
        if space.is_image:
            self.generator, critic = image_generator(space, latent, width), image_critic(space, critic_width)
        else:
            self.generator = mlp([latent, width, width, width, space.dim], nn.ReLU)
            critic = mlp([space.dim, critic_width, critic_width, critic_width, 1], nn.LeakyReLU)
        self.critic = nn.Sequential(*(spectral_norm(m) if hasattr(m, "weight") else m for m in critic))

    def generate(self, n: int, generator: Generator) -> Tensor:
        """G(z), normalised and continuous: what the critic sees `[n, *shape]`."""
        return self.decode(self.sample_prior(n, generator))

    def critic_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The hinge loss, equation 16."""
        with torch.no_grad():
            fake = self.generate(len(x), generator)
        scores = self.slope * self.critic(torch.cat([normalised(x, self.space), fake]))
        real_score, fake_score = scores.chunk(2)
        return (1 - real_score).relu().mean() + (1 + fake_score).relu().mean()

    def generator_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """Equation 17."""
        return -self.slope * self.critic(self.generate(len(x), generator)).mean()

    def distance(self, x: Tensor, generator: Generator) -> Tensor:
        """Energy distance between x and samples, in the raw values of the space."""
        samples = self.sample(SAMPLES_PER_EXAMPLE * len(x), generator)
        return energy_distance(x.flatten(1).float(), samples.flatten(1).float())

    def stages(self) -> tuple[Stage, ...]:
        critic = Objective("critic", self.critic.parameters(), self.critic_loss, repeats=self.repeats)
        generator = Objective("generator", self.generator.parameters(), self.generator_loss)
        return (Stage("train", (critic, generator), self.distance),)

    def sample(self, n: int, generator: Generator) -> Tensor:
        """G(z), rounded to the nearest level where the space has levels."""
        x = self.expected(self.sample_prior(n, generator))
        return x if self.space.levels is None else x.round().long()  # tanh keeps it in range

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        return torch.randn(n, self.latent, generator=generator, device=generator.device)

    def log_prior(self, z: Tensor) -> Tensor:
        """log N(z; 0, I): [n, latent] -> [n]."""
        zero = z.new_zeros(())
        return log_normal(z, zero, zero).sum(-1)

    def decode(self, z: Tensor) -> Tensor:
        """G(z), continuous: on [-1, 1] for images, in raw units for points: [n, latent] -> [n, *shape]."""
        return self.generator(z)

    def expected(self, z: Tensor) -> Tensor:
        """G(z) in the raw range, before it is rounded: [n, latent] -> [n, *shape]."""
        x = self.decode(z)
        return x if self.space.levels is None else (x + 1) / 2 * (self.space.levels - 1)


PRESETS = {
    "digits": Preset(
        {"latent": 32, "width": 48, "critic_width": 28, "slope": 4.0, "repeats": 2},
        steps=6000, batch_size=64, lr=1e-3, betas=(0.5, 0.9), ema=0.995, validate_every=200,
    ),
    "ring8": Preset(
        {"latent": 4, "width": 128, "critic_width": 128, "slope": 20.0, "repeats": 2},
        steps=12000, batch_size=256, lr=2e-3, betas=(0.5, 0.9), ema=0.995, validate_every=250,
    ),
    "grid25": Preset(  # as on ring8, in half the steps
        {"latent": 4, "width": 128, "critic_width": 128, "slope": 20.0, "repeats": 2},
        steps=6000, batch_size=256, lr=2e-3, betas=(0.5, 0.9), ema=0.995, validate_every=250,
    ),
    "pinwheel": Preset(  # as on grid25
        {"latent": 4, "width": 128, "critic_width": 128, "slope": 20.0, "repeats": 2},
        steps=6000, batch_size=256, lr=2e-3, betas=(0.5, 0.9), ema=0.995, validate_every=250, half=True,
    ),
}  # fmt: skip

build = GAN
