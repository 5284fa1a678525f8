"""WGAN-GP: the critic of a WGAN, kept from being steep by a penalty on its gradient instead of by clipped weights.

    critic      min_f  E f(G(z)) - E f(x) + lambda E (|grad f(y)| - 1)^2
                       y = e x + (1 - e) G(z),   e ~ U(0, 1)
    generator   min_G  -E f(G(z))

The best 1-Lipschitz f has a gradient of length one almost everywhere on the lines between pairs that an optimal
transport couples (proposition 1), which is why it is asked for there, and on both sides of one. No normalisation that
mixes the examples of a batch may stand in the critic: the penalty is of each example alone.

References:
    Improved Training of Wasserstein GANs (Gulrajani et al., 2017), equation 3, algorithm 1; lambda is 10 there for
    images and 0.1 in the authors' code for points in the plane.
"""

import torch
from torch import Generator, Tensor

from genbench import Preset, Space

from ._skeleton import FullyConnected

VERSION = 1


class WGANGP(FullyConnected):
    """Arguments as in `FullyConnected`, and

    penalty: lambda, the weight of the gradient penalty.
    """

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 4,
        width: int = 64,
        critic_width: int = 64,
        repeats: int = 3,
        penalty: float = 0.1,
    ) -> None:
        super().__init__(space, latent=latent, width=width, critic_width=critic_width, repeats=repeats)
        self.penalty = penalty

    def gradient_penalty(self, real: Tensor, fake: Tensor, generator: Generator) -> Tensor:
        """E (|grad f| - 1)^2 at uniform places between real and fake pairs."""
        e = torch.rand(len(real), *[1] * (real.ndim - 1), generator=generator, device=real.device)
        between = (e * real + (1 - e) * fake).requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        return ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()

    def critic_loss(self, real: Tensor, fake: Tensor, generator: Generator) -> Tensor:
        distance = self.critic(real).mean() - self.critic(fake).mean()
        return -distance + self.penalty * self.gradient_penalty(real, fake, generator)

    def generator_loss(self, fake: Tensor) -> Tensor:
        return -self.critic(fake).mean()


PRESETS = dict.fromkeys(
    ("ring8", "grid25", "pinwheel"),  # chosen on ring8; the others have the same
    Preset({}, steps=6_000, batch_size=128, lr=3e-3, betas=(0.0, 0.9), ema=0.995, validate_every=250),
)
build = WGANGP
