"""WGAN: the critic estimates the earth mover's distance, its weights clipped so that it cannot be too steep.

    W(p, q) = max over 1-Lipschitz f of  E f(x) - E f(G(z))               (Kantorovich and Rubinstein)

    critic      max_f  E f(x) - E f(G(z)),   then every weight is clipped to [-c, c]
    generator   min_G  -E f(G(z))

Clipped weights make f K-Lipschitz for some K, so the critic estimates K W. Unlike the Jensen-Shannon divergence, W has
a useful gradient also where p and q do not overlap, and the critic can be trained to the end. Clipping is "a clearly
terrible way" to it, as the authors say: K hangs on the depth and on c. `wgan-gp` has another.

References:
    Wasserstein GAN (Arjovsky, Chintala and Bottou, 2017), equations 2 and 3, algorithm 1 (RMSProp, which is Adam
    with a first beta of zero, but for the correction of its first steps).
"""

import torch
from torch import Generator, Tensor

from genbench import Preset, Space

from ._skeleton import FullyConnected

VERSION = 1


class WGAN(FullyConnected):
    """Arguments as in `FullyConnected`, and

    limit: c, the largest weight of the critic.
    """

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 4,
        width: int = 64,
        critic_width: int = 64,
        repeats: int = 3,
        limit: float = 0.1,
    ) -> None:
        super().__init__(space, latent=latent, width=width, critic_width=critic_width, repeats=repeats)
        self.limit = limit

    @torch.no_grad()
    def clip_critic(self) -> None:
        """Before each use rather than after each step: the same functions are seen, and the loop needs no hook."""
        for p in self.critic.parameters():
            p.clamp_(-self.limit, self.limit)

    def critic_loss(self, real: Tensor, fake: Tensor, generator: Generator) -> Tensor:
        self.clip_critic()
        return self.critic(fake).mean() - self.critic(real).mean()

    def generator_loss(self, fake: Tensor) -> Tensor:
        self.clip_critic()
        return -self.critic(fake).mean()


PRESETS = dict.fromkeys(
    ("ring8", "grid25"),  # chosen on ring8; the grid has the same
    Preset({}, steps=6_000, batch_size=256, lr=2e-3, betas=(0.0, 0.9), ema=0.995, validate_every=250),
)
build = WGAN
