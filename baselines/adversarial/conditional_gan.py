"""Conditional GAN: both players are told the class, so the generator learns p(x | y) and can be asked for a class.

    min_G max_D  E log D(x, y) + E log(1 - D(G(z, y), y))        (here with the non-saturating loss of the generator)

The class stands one-hot beside z, and beside x, for an image as one constant plane for each class: the two networks of
`dcgan` with ten more inputs. A critic that sees the class can tell a good 3 that was asked to be a 5 from data, which
is all that ties samples to their class. (The paper's networks are fully connected, with maxout and dropout.)

References:
    Conditional Generative Adversarial Nets (Mirza and Osindero, 2014), equation 2, figure 1.
"""

import torch
from torch import Tensor, nn

from genbench import Space

from ._skeleton import Adversarial, ClassConditional
from .dcgan import PRESETS as OF_DCGAN
from .dcgan import critic_of, generator_of
from .nonsaturating_gan import NonsaturatingGAN

VERSION = 1


class Planes(nn.Module):
    """x with the class beside it, one-hot `[n, D + K]` -> images with K more channels, each 0 or 1 everywhere."""

    def __init__(self, space: Space, classes: int) -> None:
        super().__init__()
        self.shape, self.sizes = space.shape, (space.dim, classes)

    def forward(self, xy: Tensor) -> Tensor:
        x, y = xy.split(self.sizes, 1)
        return torch.cat([x.unflatten(1, self.shape), y[:, :, None, None].expand(-1, -1, *self.shape[1:])], 1)


class ConditionalGAN(ClassConditional, NonsaturatingGAN):
    """Arguments as in `DCGAN`; labels are 0 to classes - 1."""

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 16,
        width: int = 32,
        critic_width: int = 24,
        repeats: int = 1,
        classes: int = 10,
    ) -> None:
        generator = generator_of(space, latent + classes, width)
        critic = nn.Sequential(Planes(space, classes), *critic_of(space, space.shape[0] + classes, critic_width))
        Adversarial.__init__(self, space, generator, critic, latent=latent, repeats=repeats)
        self.n_classes = classes


PRESETS = OF_DCGAN  # so that the class is all that differs
build = ConditionalGAN
