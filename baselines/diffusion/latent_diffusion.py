"""Latent diffusion: an autoencoder makes images small, and a chain of denoising steps is the prior of its latents.

    stage one   encoder q(z | x) and decoder p(x | z) of a VAE (`latent_variable/vae.py`), with p(z) = N(0, I)
    stage two   the chain of `ddpm.py` on draws z ~ q(z | x) of training images: p(z) = int p(z | z_1) ... p(z_T)

The model is p(x) = int p(x | z) p(z) dz with the prior of stage two. Its bound chains those of both stages:

    log p(x) >= E_q [log p(x | z) + log p(z)] + H(q(z | x))              Jensen over z, as in any VAE
             >= E_q [log p(x | z) + L(z)] + H(q(z | x)),                  L(z) <= log p(z)

with L the variational bound of the chain (`ddpm.bound`), whose last step p(z | z_1) is a Gaussian density. That is
sound, since z is a draw of a density q that is scored by the same measure: what a narrow q gains in log p(z) it pays
in its entropy H = sum_d [log sd_d + (1 + log 2 pi) / 2]. (At a deterministic code a density would be no probability.)
The bound is loose by three divergences: of q from p(z | x), of the chain from its reverse, and nothing else. It has
beta = 1 and all T steps, however the stages were trained.

The first prior asks q to fill N(0, I). A smaller weight of that wish, beta < 1, keeps more of x in z, and leaves more
of the density of z to the chain, which is what the paper does with a very small weight (appendix G).

References:
    High-resolution image synthesis with latent diffusion models (Rombach et al., 2022), sections 3.1 and 3.2.
    Score-based generative modeling in latent space (Vahdat, Kreis, Kautz, 2021), equation 2: the bound.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import kl_to_standard_normal
from ..latent_variable.vae import VAE
from .ddpm import Schedule, bound, bound_term

VERSION = 1


class Denoiser(nn.Module):
    """(z_t [B, d], t / T [B]) -> eps and its share of the variance, [B, d] each."""

    def __init__(self, dim: int, width: int, embedding: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        layers: list[nn.Module] = [nn.Linear(dim + embedding, width), nn.SiLU()]
        for _ in range(2):
            layers += [nn.Linear(width, width), nn.SiLU(), nn.Dropout(dropout)]
        self.net = nn.Sequential(*layers, nn.Linear(width, 2 * dim))

    def forward(self, z: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        angle = time[:, None] * torch.logspace(0, 1.5, self.embedding // 2, device=z.device)
        eps, share = self.net(torch.cat([z, angle.sin(), angle.cos()], 1)).chunk(2, dim=1)
        return z + eps, share.sigmoid()  # z_t is mostly noise: a first guess


def picture_decoder(space: Space, per_value: int, latent: int, width: int, dropout: float) -> nn.Sequential:
    """z [B, latent] -> the parameters of p(x | z) for images, [B, per_value C H W], by convolutions."""
    C, H, W = space.shape
    return nn.Sequential(
        nn.Linear(latent, width * (H // 2) * (W // 2)),
        nn.Unflatten(1, (width, H // 2, W // 2)),
        nn.SiLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(width, width, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(width, per_value * C, 3, padding=1),
        nn.Flatten(1),
    )


class LatentDiffusion(nn.Module):
    """Both stages.

    Arguments:
        latent, hidden, dropout: of the VAE.
        width: channels of the decoder of images with even sides; others are decoded as by the VAE.
        beta: weight of the KL in stage one.
        T, log_snr: of the chain, as in `ddpm.py`.
        prior_width, embedding, prior_dropout: of the denoiser, and features of the time.
        hybrid: weight of the chain's bound in its loss, through which the variances are learned.
    """

    def __init__(
        self,
        space: Space,
        *,
        latent: int = 16,
        hidden: int = 64,
        dropout: float = 0.1,
        width: int = 24,
        beta: float = 1.0,
        T: int = 100,
        log_snr: tuple[float, float] = (6.0, -8.0),
        prior_width: int = 96,
        embedding: int = 32,
        prior_dropout: float = 0.0,
        hybrid: float = 0.1,
    ) -> None:
        super().__init__()
        if T < 2 or embedding % 2:
            raise ValueError("T must be at least 2, embedding even")
        self.space, self.latent, self.beta, self.hybrid = space, latent, beta, hybrid
        self.vae = VAE(space, latent=latent, hidden=hidden, dropout=dropout)
        if space.is_image and space.shape[1] % 2 == space.shape[2] % 2 == 0:
            self.vae.decoder = picture_decoder(space, self.vae.observation.per_value, latent, width, dropout)
        self.schedule = Schedule(torch.linspace(*log_snr, T, dtype=torch.float64))
        self.denoiser = Denoiser(latent, prior_width, embedding, prior_dropout)

    def stages(self) -> tuple[Stage, ...]:
        autoencoder, chain = list(self.vae.parameters()), list(self.denoiser.parameters())
        return (
            Stage("autoencoder", (Objective("vae", autoencoder, self.vae_loss),), self.vae_loss),
            Stage("prior", (Objective("chain", chain, self.chain_loss),), self.negative_elbo),
        )

    def draw_latents(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """z ~ q(z | x), and mean and log sd of q: [B, latent] each."""
        mean, log_sd = self.vae.posterior(x)
        noise = torch.randn(mean.shape, generator=generator, device=generator.device)
        return mean + log_sd.exp() * noise, mean, log_sd

    def vae_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """-E log p(x | z) + beta KL(q(z | x) || N(0, I)), one draw of z."""
        z, mean, log_sd = self.draw_latents(x, generator)
        kl = kl_to_standard_normal(mean, log_sd).sum(1)
        return (self.beta * kl - self.vae.log_likelihood(x, z)).mean()

    def denoise(self, zt: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return self.denoiser(zt, t / len(self.schedule))

    def chain_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The loss of `ddpm.py`, on z in place of x: the error in eps, and the bound as a function of the variances."""
        with torch.no_grad():
            z, _, _ = self.draw_latents(x, generator)
        t = torch.randint(len(self.schedule), (len(z),), generator=generator, device=z.device)
        eps = torch.randn(z.shape, generator=generator, device=z.device)
        predicted, share = self.denoise(self.schedule.diffuse(z, t, eps), t)
        term = bound_term(self.schedule, lambda zt, t: (predicted.detach(), share), z, t, eps, None)
        return F.mse_loss(predicted, eps) + self.hybrid * len(self.schedule) / self.latent * term.mean()

    def elbo(self, x: Tensor, generator: Generator) -> Tensor:
        """The chained bound above, with one draw of z and of the noise of every step: [B, *shape] -> [B]."""
        z, _, log_sd = self.draw_latents(x, generator)
        entropy = (log_sd + 0.5 * (1 + math.log(2 * math.pi))).sum(1)
        return self.vae.log_likelihood(x, z) + bound(self.schedule, self.denoise, z, generator, None) + entropy

    def negative_elbo(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.elbo(x, generator).mean()

    @torch.no_grad()
    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        """z by the chain, from noise: [n, latent]."""
        z = torch.randn(n, self.latent, generator=generator, device=generator.device)
        for step in reversed(range(len(self.schedule))):
            t = torch.full((n,), step, device=z.device)
            mean, log_sd = self.schedule.reverse(self.denoise, z, t, bounded=False)
            z = mean + log_sd.exp() * torch.randn(z.shape, generator=generator, device=z.device)
        return z

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.vae.observe(self.sample_prior(n, generator), generator)

    def expected(self, z: Tensor) -> Tensor:
        """E[x | z], in the raw range: [n, latent] -> [n, *shape]."""
        return self.vae.expected(z)

    def encode(self, x: Tensor) -> Tensor:
        """The mean of q(z | x): [B, *shape] -> [B, latent]."""
        return self.vae.encode(x)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.vae.reconstruct(x)


PRESETS = {
    "digits": Preset(
        {"latent": 16, "hidden": 64, "dropout": 0.15, "width": 24, "beta": 0.8},
        steps=12000,
        batch_size=128,
        lr=2e-3,
        weight_decay=0.05,
        ema=0.998,
        clip=10.0,
        validate_every=500,
    ),
}

build = LatentDiffusion
