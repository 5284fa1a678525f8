"""Instance-noise GAN: the critic sees data and samples through noise that fades, so that the two always overlap.

    critic and generator play `nonsaturating-gan` on  x + s e  and  G(z) + s e,    e ~ N(0, I),   s falls to zero

Data and samples on two thin surfaces can be told apart without error: then every critic that does it is optimal, and
its gradient says nothing. With noise, the densities p * N(0, s^2) and q * N(0, s^2) overlap, D* = p/(p+q) is unique
and smooth, and the divergence between them still is zero only where p = q.

References:
    Amortised MAP Inference for Image Super-resolution (Sonderby et al., 2017), on instance noise.
    Towards Principled Methods for Training Generative Adversarial Networks (Arjovsky and Bottou, 2017), section 3.
"""

import torch
from torch import Generator, Tensor

from genbench import Preset, Space

from .nonsaturating_gan import NonsaturatingGAN

VERSION = 1


class InstanceNoiseGAN(NonsaturatingGAN):
    """Arguments as in `FullyConnected`, and

    noise: s at the first step, in normalised units.
    fade: critic steps after which s is zero; it falls linearly.
    """

    steps: Tensor

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 4,
        width: int = 64,
        critic_width: int = 64,
        repeats: int = 1,
        noise: float = 0.3,
        fade: int = 6000,
    ) -> None:
        super().__init__(space, latent=latent, width=width, critic_width=critic_width, repeats=repeats)
        self.noise, self.fade = noise, fade
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))  # so that a resumed run goes on from it

    def shown(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        left = (1 - self.steps / self.fade).clamp(min=0)
        return x + self.noise * left * torch.randn(x.shape, generator=generator, device=x.device)

    def critic_loss(self, real: Tensor, fake: Tensor, generator: Generator) -> Tensor:
        if self.training:
            self.steps += 1
        return super().critic_loss(real, fake, generator)


PRESETS = dict.fromkeys(
    ("ring8", "grid25"),  # chosen on ring8; the grid has the same
    Preset({}, steps=6_000, batch_size=256, lr=3e-3, betas=(0.5, 0.9), ema=0.995, validate_every=250),
)
build = InstanceNoiseGAN
