"""VampPrior: a VAE whose prior is the mean of its own posteriors at K learned pseudo-inputs.

    p(z) = 1/K sum_k q(z | u_k)        (equation 9)

The prior that makes the bound largest is the mean of q(z | x) over the data; with all training examples in it,
it overfits and is slow. Here K points u_k in the space of the data stand for them, and are learned with
the rest: the prior has the encoder's shape, for K D parameters, and cannot be far from what the encoder does.
Once the prior is a mixture, the KL has no closed form: the bound is the mean of log p(x | z) + log p(z) - log q(z | x).

References:
    VAE with a VampPrior (Tomczak, Welling, 2018), section 2.

NOTE: one level of latents; pseudo-inputs start at training examples, and are kept on the range of the data
by a clamp (the paper's hardtanh).
"""

import math

import torch
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import log_normal, normalised
from .vae import VAE

VERSION = 1


class VampPriorVAE(VAE):
    """Encoder and decoder of `vae`; another prior.

    Arguments:
        components: K.
        latent, hidden, dropout, decoder: as for `vae`.
    """

    gaussian_posterior = None  # type: ignore[assignment]  # its KL would be to another prior

    def __init__(
        self,
        space: Space,
        *,
        components: int = 100,
        latent: int = 16,
        hidden: int = 64,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        if components < 1:
            raise ValueError(f"a mixture has at least one component, got {components}")
        super().__init__(space, latent=latent, hidden=hidden, dropout=dropout, decoder=decoder)
        self.pseudo = nn.Parameter(0.1 * torch.randn(components, space.dim))  # u, normalised

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: Generator) -> None:
        """Puts the pseudo-inputs on training examples x [n, *shape]."""
        chosen = torch.randint(len(x), (len(self.pseudo),), generator=generator, device=x.device)
        self.pseudo.copy_(normalised(x[chosen], self.space).flatten(1))

    def components(self) -> tuple[Tensor, Tensor]:
        """Mean and log sd of every q(z | u_k): [K, latent] each."""
        u = self.pseudo if self.space.levels is None else self.pseudo.clamp(-1, 1)
        mean, log_sd = self.encoder(u).chunk(2, dim=1)
        return mean, log_sd

    def log_prior(self, z: Tensor) -> Tensor:
        """log 1/K sum_k q(z | u_k): [..., latent] -> [...]."""
        mean, log_sd = self.components()
        log_q = log_normal(z.unsqueeze(-2), mean, log_sd).sum(-1)  # [..., K]
        return log_q.logsumexp(-1) - math.log(len(mean))

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        mean, log_sd = self.components()
        k = torch.randint(len(mean), (n,), generator=generator, device=generator.device)
        noise = torch.randn(n, self.latent, generator=generator, device=generator.device)
        return mean[k] + log_sd[k].exp() * noise

    def terms(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """log p(x | z), and log q(z | x) - log p(z), at one draw of z: [B, *shape] -> [B] each."""
        z, log_q = (t[0] for t in self.draw(self.posterior(x), 1, generator))
        return self.observation.log_prob(self.decoder(z), x), log_q - self.log_prior(z)


PRESETS = {
    "digits": Preset(
        {"components": 200, "latent": 16, "hidden": 64, "dropout": 0.1, "decoder": "logistics"},
        steps=4000,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
    "mnist-binary": Preset(
        {"components": 200, "latent": 50, "hidden": 200},
        steps=40_000,
        batch_size=128,
        lr=2e-3,
        ema=0.999,
        validate_every=2000,
        half=True,
    ),
}

build = VampPriorVAE
