"""LSGAN: least squares in place of the logistic loss, so that samples on the right side but far away are still pulled.

    critic      min_D  1/2 E (D(x) - b)^2 + 1/2 E (D(G(z)) - a)^2        a = 0, b = 1
    generator   min_G  1/2 E (D(G(z)) - c)^2                             c = 1

A logistic loss is flat at samples that the critic takes for real, wherever they lie; a square is flat only where the
score is c itself. With b - c = 1 and b - a = 2 the generator would lower Pearson's chi-square divergence between p + q
and 2q; like the authors we use the 0-1 coding, equation 9, which gave them the same.

References:
    Least Squares Generative Adversarial Networks (Mao et al., 2017), equations 2, 8 and 9.
"""

from torch import Generator, Tensor

from genbench import Preset, Space

from ._skeleton import FullyConnected

VERSION = 1


class LSGAN(FullyConnected):
    def __init__(
        self, space: Space, *, latent: int = 4, width: int = 64, critic_width: int = 64, repeats: int = 1
    ) -> None:
        super().__init__(space, latent=latent, width=width, critic_width=critic_width, repeats=repeats)

    def critic_loss(self, real: Tensor, fake: Tensor, generator: Generator) -> Tensor:
        return ((self.critic(real) - 1) ** 2).mean() / 2 + (self.critic(fake) ** 2).mean() / 2

    def generator_loss(self, fake: Tensor) -> Tensor:
        return ((self.critic(fake) - 1) ** 2).mean() / 2


PRESETS = dict.fromkeys(
    ("ring8", "grid25"),  # chosen on ring8; the grid has the same
    Preset({}, steps=6_000, batch_size=256, lr=3e-3, betas=(0.5, 0.9), ema=0.995, validate_every=250),
)
build = LSGAN
