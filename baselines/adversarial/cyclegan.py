"""CycleGAN: two generators that translate between two domains, learnt without pairs since there and back must agree.

    G: X -> Y,   F: Y -> X,   a critic of each domain, with least-squares losses

    generators  E (D_Y(G(x)) - 1)^2 + E (D_X(F(y)) - 1)^2
                + cycle    (E |F(G(x)) - x|_1 + E |G(F(y)) - y|_1)
                + identity (E |F(x) - x|_1 + E |G(y) - y|_1)
    critics     E (D_Y(y) - 1)^2 / 2 + E D_Y(G(x))^2 / 2,   and the same of D_X

To look like Y is asked of G(x) by the critic alone, and any x would do for any y. The cycle loss makes G keep what F
needs to give x back; it does not say that this is the class, nor that it can be seen. The identity loss leaves an image
alone that is of the other domain already. A generator halves the sides twice, goes through residual blocks and doubles
them twice; a critic that halves them twice gives a score for every patch of 18 x 18, so it judges texture and strokes.
It is shown, half of the time, one of the last 50 translations in place of the present one, which keeps the game from
going in circles.

The paper's networks are eight times as wide and have nine residual blocks, begin and end with filters of 7 x 7 (here
5 x 5), pad by reflection (here by zeros, from which a place in the image can be read: the digits of the two domains
differ in size), and see one pair of images a step. Two options are not the paper's, and off unless they are set:
`noise` on a translation that goes back drowns what is hidden in it, and in a `beginning` the generators learn to change
nothing, so that the game starts from there. The best weights are kept by the energy distances of the translations, both
ways, to the validation data.

References:
    Unpaired image-to-image translation using cycle-consistent adversarial networks (Zhu, Park, Isola and Efros, 2017),
    equations 1 to 3, sections 4 and 5.2 (identity), appendix 7.
    Learning from simulated and unsupervised images through adversarial training (Shrivastava et al., 2017), section
    2.3: the pool of images.
    Adversarial self-defense for cycle-consistent GANs (Bashkirova, Usman and Saenko, 2019): additive noise, one of
    its two defences.
"""

import itertools
from collections.abc import Iterator

import torch
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import normalised
from .gan import energy_distance

VERSION = 1


class Residual(nn.Module):
    """x + f(x), f of two 3x3 convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1), nn.InstanceNorm2d(channels), nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1), nn.InstanceNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def generator_of(channels: int, width: int, blocks: int) -> nn.Sequential:
    """Images on [-1, 1] -> images on [-1, 1] of the same size."""

    def normed(layer: nn.Module, outputs: int) -> tuple[nn.Module, ...]:
        return layer, nn.InstanceNorm2d(outputs), nn.ReLU()

    w = width
    return nn.Sequential(
        *normed(nn.Conv2d(channels, w, 5, padding=2), w),
        *normed(nn.Conv2d(w, 2 * w, 3, stride=2, padding=1), 2 * w),
        *normed(nn.Conv2d(2 * w, 4 * w, 3, stride=2, padding=1), 4 * w),
        *(Residual(4 * w) for _ in range(blocks)),
        *normed(nn.ConvTranspose2d(4 * w, 2 * w, 4, stride=2, padding=1), 2 * w),
        *normed(nn.ConvTranspose2d(2 * w, w, 4, stride=2, padding=1), w),
        nn.Conv2d(w, channels, 5, padding=2), nn.Tanh(),
    )  # fmt: skip


def critic_of(channels: int, width: int, depth: int) -> nn.Sequential:
    """Images -> a score for each patch `[n, 1, H / 2^depth, W / 2^depth]`."""
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
    for w in (width * 2**i for i in range(depth - 1)):
        layers += [nn.Conv2d(w, 2 * w, 4, stride=2, padding=1), nn.InstanceNorm2d(2 * w), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(width * 2 ** (depth - 1), 1, 3, padding=1))


class Pool(nn.Module):
    """The last images that a generator made, about `size` of them."""

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("images", torch.zeros(size, *shape), persistent=False)
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64), persistent=False)

    def forward(self, made: Tensor, generator: Generator) -> Tensor:
        """Each image itself, which then is kept while there is room; once there is none, with probability 1/2 a kept
        image, whose place it takes."""
        shown = []
        for x in made:
            place, size = int(self.filled), len(self.images)
            if place < size:
                self.images[place] = x
                self.filled += 1
            elif torch.rand((), generator=generator, device=x.device) < 0.5:
                place = int(torch.randint(size, (), generator=generator, device=x.device))
                x, self.images[place] = self.images[place].clone(), x
            shown.append(x)
        return torch.stack(shown)


class CycleGAN(nn.Module):
    """Arguments:
    width, blocks: channels of a generator at full size (four times as many at the quarter), and its residual blocks.
    critic_width, critic_depth: channels of a critic at half size, and how often it halves the sides and doubles them.
    cycle, identity: weights of the losses.
    noise: standard deviation of the noise on translations before they are translated back, on [-1, 1].
    beginning: the share of the steps in which the generators learn to change nothing.
    pool: images that each pool keeps.
    """

    def __init__(
        self,
        space: Space,
        *,
        width: int = 8,
        blocks: int = 2,
        critic_width: int = 16,
        critic_depth: int = 2,
        cycle: float = 10.0,
        identity: float = 5.0,
        noise: float = 0.0,
        beginning: float = 0.0,
        pool: int = 50,
    ) -> None:
        super().__init__()
        if not space.is_image or space.levels is None or any(side % 4 or side < 8 for side in space.shape[1:]):
            raise ValueError("it needs images of integer values whose sides are multiples of 4, 8 at least")
        if not 0 <= beginning < 1:
            raise ValueError(f"beginning is {beginning}: give a share below 1")
        self.space, self.cycle, self.identity, self.noise, self.beginning = space, cycle, identity, noise, beginning
        channels = space.shape[0]
        self.forth, self.back = (generator_of(channels, width, blocks) for _ in range(2))  # G and F
        self.critic_x, self.critic_y = (critic_of(channels, critic_width, critic_depth) for _ in range(2))
        self.pool_x, self.pool_y = (Pool(pool, space.shape) for _ in range(2))

    def generators_step(self, x: Tensor, generator: Generator, y: Tensor) -> Tensor:
        x, y = normalised(x, self.space), normalised(y, self.space)
        y_made, y_same = self.forth(torch.cat([x, y])).split([len(x), len(y)])
        x_made, x_same = self.back(torch.cat([y, x])).split([len(y), len(x)])
        self.made = x_made.detach(), y_made.detach()  # for the critics, whose turn is next
        adversarial = (self.critic_y(y_made) - 1).square().mean() + (self.critic_x(x_made) - 1).square().mean()
        y_seen, x_seen = (self.noisy(made, generator) for made in (y_made, x_made))
        cycle = (self.back(y_seen) - x).abs().mean() + (self.forth(x_seen) - y).abs().mean()
        identity = (x_same - x).abs().mean() + (y_same - y).abs().mean()
        return adversarial + self.cycle * cycle + self.identity * identity

    def noisy(self, x: Tensor, generator: Generator) -> Tensor:
        return x + self.noise * torch.randn(x.shape, generator=generator, device=x.device) if self.noise > 0 else x

    def unchanged(self, x: Tensor, generator: Generator, y: Tensor) -> Tensor:
        """Mean |G(x) - x| over both generators and both domains."""
        both = normalised(torch.cat([x, y]), self.space)
        return ((self.forth(both) - both).abs().mean() + (self.back(both) - both).abs().mean()) / 2

    def critics_step(self, x: Tensor, generator: Generator, y: Tensor) -> Tensor:
        x_made, y_made = self.pool_x(self.made[0], generator), self.pool_y(self.made[1], generator)
        loss = torch.zeros((), device=x.device)
        for critic, real, made in ((self.critic_x, x, x_made), (self.critic_y, y, y_made)):
            loss = loss + (critic(normalised(real, self.space)) - 1).square().mean() / 2
            loss = loss + critic(made).square().mean() / 2
        return loss

    def distance(self, x: Tensor, generator: Generator, y: Tensor) -> Tensor:
        """Energy distances of G(x) to y and of F(y) to x, added, in the raw values of the space."""
        pairs = (self.translate(x), y), (self.translate(y, back=True), x)
        return sum((energy_distance(a.flatten(1).float(), b.flatten(1).float()) for a, b in pairs), torch.zeros(()))

    def stages(self) -> tuple[Stage, ...]:
        generators = Objective("generators", parameters(self.forth, self.back), self.generators_step)
        critics = Objective("critics", parameters(self.critic_x, self.critic_y), self.critics_step)
        game = Stage("train", (generators, critics), self.distance, 1 - self.beginning)
        if self.beginning == 0:
            return (game,)
        alone = Objective("unchanged", parameters(self.forth, self.back), self.unchanged)
        return Stage("beginning", (alone,), self.unchanged, self.beginning), game

    def translate(self, x: Tensor, back: bool = False) -> Tensor:
        """G(x), with `back` F(x), rounded to the nearest level: `[B, *shape]` twice."""
        assert self.space.levels is not None
        made = (self.back if back else self.forth)(normalised(x, self.space))
        return ((made + 1) / 2 * (self.space.levels - 1)).round().long()  # tanh keeps it in range


def parameters(*modules: nn.Module) -> Iterator[nn.Parameter]:
    return itertools.chain(*(module.parameters() for module in modules))


PRESETS = {
    "mnist-to-digits": Preset({}, steps=3_000, batch_size=16, lr=1e-3, betas=(0.5, 0.99), ema=0.99, validate_every=250),
    "jackson-to-theo": Preset({}, steps=2_000, batch_size=8, lr=1e-3, betas=(0.5, 0.99), ema=0.99, validate_every=250),
}
build = CycleGAN
