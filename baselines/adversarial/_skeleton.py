"""What the adversarial models of this folder share: two networks that take turns, and samples. No loss is in it.

A file of the folder says what makes its model another one, and nothing else:

    critic_loss(real, fake, generator)    what the critic lowers
    generator_loss(fake)                  what the generator lowers
    shown(x, generator, labels)           what the critic is shown of data and of samples: noisy, packed, with a class

The best weights are kept by the energy distance between samples and validation data (see `gan`), since the loss of
neither player says how far the game has come.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Objective, Space, Stage

from .._layers import normalised
from .gan import SAMPLES_PER_EXAMPLE, energy_distance, mlp

# A critic of points has to see modes of a hundredth of their distance: its first layer begins so many times steeper
# than PyTorch's, which also brings its bends nearer to the data. After 2,000 steps of PacGAN on ring8 88 % of the
# samples then lie near a mode, and 45 % without.
STEEPER = 5.0


class Adversarial(nn.Module):
    """A generator against a critic.

    Arguments:
        generator: z `[n, latent]` -> normalised and continuous x `[n, *shape]`, with the class where there are some.
        critic: what `shown` gives -> scores `[n, 1]`.
        repeats: critic steps for each generator step.
    """

    def __init__(self, space: Space, generator: nn.Module, critic: nn.Module, *, latent: int, repeats: int) -> None:
        super().__init__()
        self.space, self.latent, self.repeats = space, latent, repeats
        self.generator, self.critic = generator, critic

    def critic_loss(self, real: Tensor, fake: Tensor, generator: Generator) -> Tensor:
        raise NotImplementedError

    def generator_loss(self, fake: Tensor) -> Tensor:
        raise NotImplementedError

    def shown(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        return x

    def critic_step(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            fake = self.generate(len(x), generator, labels)
        real = normalised(x, self.space)
        return self.critic_loss(self.shown(real, generator, labels), self.shown(fake, generator, labels), generator)

    def generator_step(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        return self.generator_loss(self.shown(self.generate(len(x), generator, labels), generator, labels))

    def distance(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Energy distance between x and samples, in the raw values of the space."""
        samples = self.sample(SAMPLES_PER_EXAMPLE * len(x), generator)
        return energy_distance(x.flatten(1).float(), samples.flatten(1).float())

    def stages(self) -> tuple[Stage, ...]:
        critic = Objective("critic", self.critic.parameters(), self.critic_step, repeats=self.repeats)
        generator = Objective("generator", self.generator.parameters(), self.generator_step)
        return (Stage("train", (critic, generator), self.distance),)

    def generate(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """G(z), normalised and continuous: `[n, *shape]`."""
        return self.decode(self.sample_prior(n, generator, labels))

    def sample(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """G(z), rounded to the nearest level where the space has levels."""
        x = self.expected(self.sample_prior(n, generator, labels))
        return x if self.space.levels is None else x.round().long()  # tanh keeps it in range

    def sample_prior(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        return torch.randn(n, self.latent, generator=generator, device=generator.device)

    def decode(self, z: Tensor) -> Tensor:
        """G(z), continuous: on [-1, 1] for images, in raw units for points: [n, latent] -> [n, *shape]."""
        return self.generator(z)

    def expected(self, z: Tensor) -> Tensor:
        """G(z) in the raw range, before it is rounded: [n, latent] -> [n, *shape]."""
        x = self.decode(z)
        return x if self.space.levels is None else (x + 1) / 2 * (self.space.levels - 1)


class FullyConnected(Adversarial):
    """Three hidden layers of ReLU against three of leaky ReLU, for points and, flattened, for images.

    Arguments:
        latent: dimensions of z.
        width, critic_width: hidden units of the generator and of the critic.
        repeats: critic steps for each generator step.
        pack: observations that the critic is shown at once.
    """

    def __init__(
        self, space: Space, *, latent: int, width: int, critic_width: int, repeats: int, pack: int = 1
    ) -> None:
        refuse_sequences(space)
        inputs = pack * space.dim
        generator = mlp([latent, width, width, width, space.dim], nn.ReLU)
        critic = mlp([inputs, critic_width, critic_width, critic_width, 1], nn.LeakyReLU)
        if space.is_image:
            generator.extend([nn.Tanh(), nn.Unflatten(1, space.shape)])
        else:
            bound = STEEPER / math.sqrt(inputs)
            nn.init.uniform_(next(critic.parameters()), -bound, bound)
        super().__init__(space, generator, nn.Sequential(nn.Flatten(), *critic), latent=latent, repeats=repeats)


class ClassConditional(Adversarial):
    """Both players are told a class: the generator's latents are z with the class beside it, one-hot `[n, latent + K]`,
    and so are the observations that the critic is shown `[n, D + K]`."""

    n_classes: int

    def beside(self, x: Tensor, labels: Tensor | None, scale: float = 1.0) -> Tensor:
        assert labels is not None
        return torch.cat([x.flatten(1).float(), scale * F.one_hot(labels, self.n_classes)], 1)

    def shown(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        return self.beside(x, labels)

    def sample_prior(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Without labels they are uniform."""
        if labels is None:
            labels = torch.randint(self.n_classes, (n,), generator=generator, device=generator.device)
        return self.beside(super().sample_prior(n, generator), labels)

    def distance(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """Energy distance between (x, y) and (sample of y, y): another class counts like two pixels inverted."""
        assert labels is not None
        asked = labels.repeat(SAMPLES_PER_EXAMPLE)
        samples = self.sample(len(asked), generator, asked)
        scale = (self.space.levels or 2) - 1
        return energy_distance(self.beside(x, labels, scale), self.beside(samples, asked, scale))


def refuse_sequences(space: Space) -> None:
    """ValueError for integers that are no image, and for images that are no integers."""
    if space.is_image and space.levels is None:
        raise ValueError("images need integer values")
    if not space.is_image and space.levels is not None:
        raise ValueError("a generator's output is continuous: integers need an image to be rounded to")
