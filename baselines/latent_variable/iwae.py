"""Importance-weighted autoencoder: a VAE trained by the bound of k weights, with one or two stochastic layers.

    L_k = E log 1/k sum_i w_i,    w_i = p(x, h_i) / q(h_i | x),    h_i ~ q(h | x)        (equation 8)
    log p(x) >= L_{k+1} >= L_k >= L_1, the bound of a VAE                               (theorem 1)

A VAE punishes q for every draw that explains x badly; with k weights one good draw in k is enough, so that the
posterior may be less simple than q, and the model keeps more of its latents in use. The gradient weighs each draw by
its share of the sum (equation 14), which is what differentiating the log-mean-exp does.

With two layers p = p(h2) p(h1 | h2) p(x | h1) and q = q(h1 | x) q(h2 | h1) (equation 4). Both levels are in every
weight; the latents of the model are (h1, h2) in one row.

References:
    Importance Weighted Autoencoders (Burda, Grosse, Salakhutdinov, 2016), sections 2 and 3; section 5.1: the networks.
"""

import math

import torch
from torch import Generator, Tensor

from genbench import Preset, Space

from .._layers import log_normal
from .vae import VAE, perceptron

VERSION = 1


class IWAE(VAE):
    """The encoder and the decoder of `vae`, and between z = h1 and the prior another such pair for h2.

    Arguments:
        k: weights in the bound that is trained; 1 is a VAE.
        layers: of stochastic units, 1 or 2.
        latent, hidden, dropout, decoder: as for `vae`; of h1, and of the networks between it and x.
        upper: dimensions of h2; the two networks between h1 and h2 are half as wide as the others.
    """

    def __init__(
        self,
        space: Space,
        *,
        k: int = 5,
        layers: int = 1,
        latent: int = 16,
        upper: int = 8,
        hidden: int = 64,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        if k < 1 or layers not in (1, 2):
            raise ValueError(f"k is at least 1, and there are 1 or 2 layers; got k = {k}, layers = {layers}")
        super().__init__(space, latent=latent, hidden=hidden, dropout=dropout, decoder=decoder)
        self.k, self.layers, self.upper = k, layers, upper
        if layers == 2:
            self.upper_encoder = perceptron(latent, hidden // 2, 2 * upper, dropout)
            self.upper_decoder = perceptron(upper, hidden // 2, 2 * latent, dropout)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """-L_k, by one set of k weights; its gradient is equation 13."""
        return math.log(self.k) - self.train_weights(x, generator).logsumexp(0).mean()

    def train_weights(self, x: Tensor, generator: Generator) -> Tensor:
        """log w of k draws -> [k, B]. A pseudo-likelihood may be trained by: `log_weights` would refuse it."""
        h, log_q = self.draw(self.posterior(x), self.k, generator)
        return self.observation.log_prob(self.decoder(h[..., : self.latent]), x) + self.log_prior(h) - log_q

    def draw(self, q: tuple[Tensor, ...], k: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """k draws of (h1, h2) and their log q -> [k, B, latent + upper], [k, B]; of h1 alone with one layer."""
        h1, log_q = super().draw(q, k, generator)
        if self.layers == 1:
            return h1, log_q
        mean, log_sd = self.upper_encoder(h1).chunk(2, dim=-1)
        h2 = mean + log_sd.exp() * torch.randn(mean.shape, generator=generator, device=generator.device)
        return torch.cat([h1, h2], dim=-1), log_q + log_normal(h2, mean, log_sd).sum(-1)

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(h2) + log p(h1 | h2): [..., latent + upper] -> [...]."""
        if self.layers == 1:
            return super().log_prior(z)
        h1, h2 = z.split([self.latent, self.upper], dim=-1)
        mean, log_sd = self.upper_decoder(h2).chunk(2, dim=-1)
        return super().log_prior(h2) + log_normal(h1, mean, log_sd).sum(-1)

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        """h2, then h1 given it -> [n, latent + upper]."""
        if self.layers == 1:
            return super().sample_prior(n, generator)
        h2 = torch.randn(n, self.upper, generator=generator, device=generator.device)
        mean, log_sd = self.upper_decoder(h2).chunk(2, dim=-1)
        h1 = mean + log_sd.exp() * torch.randn(mean.shape, generator=generator, device=generator.device)
        return torch.cat([h1, h2], dim=-1)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | h1): [B, *shape], [..., B, latent + upper] -> [..., B]."""
        return super().log_likelihood(x, z[..., : self.latent])

    def observe(self, z: Tensor, generator: Generator) -> Tensor:
        return super().observe(z[..., : self.latent], generator)

    def expected(self, z: Tensor) -> Tensor:
        return super().expected(z[..., : self.latent])


PRESETS = {
    "digits": Preset(
        {"k": 50, "layers": 1, "latent": 16, "hidden": 64, "dropout": 0.1, "decoder": "logistics"},
        steps=3000,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
    "mnist-binary": Preset(
        # Burda et al. 2016, section 5.1: 50 latents after two layers of 200; with two, 100 and 50, between them 100
        {"k": 50, "layers": 1, "latent": 50, "upper": 50, "hidden": 200},
        steps=8000,
        batch_size=128,
        lr=2e-3,
        ema=0.999,
        validate_every=2000,
        half=True,
    ),
    "pinwheel": Preset({"k": 50, "latent": 2, "hidden": 128}, steps=4000, batch_size=256, lr=5e-3, clip=1.0, ema=0.99),
}

build = IWAE
