"""Minimax GAN: the two-player game as it was first written down, whose generator stands still where the critic wins.

    min_G max_D  V(D, G) = E log D(x) + E log(1 - D(G(z)))        D = sigmoid(critic),  z ~ N(0, I)

Against a fixed generator with density q the best critic is D* = p / (p + q), and V(D*, G) = 2 JSD(p, q) - log 4. So the
generator would lower the Jensen-Shannon divergence, if the critic were always at its best. But the gradient that
reaches the generator through a score s is

    d/ds log(1 - sigmoid(s)) = -sigmoid(s),

nothing where the critic is sure of a sample (s << 0): the worse the samples, the less is learned of them.
`nonsaturating-gan` has the remedy.

References:
    Generative Adversarial Nets (Goodfellow et al., 2014), equation 1, proposition 1, theorem 1, algorithm 1.
"""

import torch.nn.functional as F
from torch import Generator, Tensor

from genbench import Preset, Space

from ._skeleton import FullyConnected

VERSION = 1


class MinimaxGAN(FullyConnected):
    def __init__(
        self, space: Space, *, latent: int = 4, width: int = 64, critic_width: int = 64, repeats: int = 1
    ) -> None:
        super().__init__(space, latent=latent, width=width, critic_width=critic_width, repeats=repeats)

    def critic_loss(self, real: Tensor, fake: Tensor, generator: Generator) -> Tensor:
        """-V: log sigmoid(s) is -softplus(-s), and log(1 - sigmoid(s)) is -softplus(s)."""
        return F.softplus(-self.critic(real)).mean() + F.softplus(self.critic(fake)).mean()

    def generator_loss(self, fake: Tensor) -> Tensor:
        """E log(1 - D(G(z)))."""
        return -F.softplus(self.critic(fake)).mean()


PRESETS = dict.fromkeys(
    ("ring8", "grid25"),  # chosen on ring8; the grid has the same
    Preset({}, steps=6_000, batch_size=256, lr=3e-3, betas=(0.5, 0.9), ema=0.995, validate_every=250),
)
build = MinimaxGAN
