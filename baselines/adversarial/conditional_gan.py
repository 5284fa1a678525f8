"""Conditional GAN: both players are told the class, so the generator learns p(x | y) and can be asked for a class.

    min_G max_D  E log D(x, y) + E log(1 - D(G(z, y), y))        (here with the non-saturating loss of the generator)

The class stands one-hot beside z, and beside x: two fully connected networks with ten more inputs. A critic that sees
the class can tell a good 3 that was asked to be a 5 from data, which is all that ties samples to their class.

References:
    Conditional Generative Adversarial Nets (Mirza and Osindero, 2014), equation 2, figure 1.
"""

from genbench import Preset, Space

from ._skeleton import ClassConditional, FullyConnected
from .nonsaturating_gan import NonsaturatingGAN

VERSION = 1


class ConditionalGAN(ClassConditional, NonsaturatingGAN):
    """Arguments as in `FullyConnected`; labels are 0 to classes - 1."""

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 16,
        width: int = 128,
        critic_width: int = 96,
        repeats: int = 1,
        classes: int = 10,
    ) -> None:
        FullyConnected.__init__(
            self, space, latent=latent, width=width, critic_width=critic_width, repeats=repeats, classes=classes
        )
        self.n_classes = classes


PRESETS = {
    "digits": Preset({}, steps=6_000, batch_size=64, lr=1e-3, betas=(0.5, 0.9), ema=0.995, validate_every=400),
}
build = ConditionalGAN
