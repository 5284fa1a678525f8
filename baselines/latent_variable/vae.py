"""Variational autoencoder: latents z ~ N(0, I), a decoder p(x | z), and an encoder q(z | x) that makes it trainable.

    log p(x) >= E_q log p(x | z) - KL(q(z | x) || p(z))        (Kingma and Welling 2014, equation 3)

q(z | x) = N(mean(x), diag sd(x)^2), so that the KL has a closed form and z = mean + sd * noise carries the
gradient. On integers p(x | z) is by default a categorical over all L levels of every pixel (a Bernoulli where there
are two), not a Bernoulli of grey values, so the bound is a bound on the probability of the data; on real
numbers it is a Gaussian about the decoder's output. Samples are drawn from p(x | z), the
distribution that is scored; its mean would be a picture, not a sample.

References:
    Auto-Encoding Variational Bayes (Kingma and Welling, 2014).
    Importance Weighted Autoencoders (Burda, Grosse, Salakhutdinov, 2016), for `log_weights`.
    Simple and effective VAE training with calibrated decoders (Rybkin, Daniilidis, Levine, 2021), for the shared sd.
"""

import torch
from torch import Generator, Tensor, nn

from genbench import Preset, Space
from genbench.errors import Unavailable

from .._layers import kl_to_standard_normal, log_normal, normalised
from .._observations import observation_of

VERSION = 1
ROWS = 1000  # decoded at once by `log_weights`: few enough that the decoder's outputs stay in the cache


def perceptron(d_in: int, hidden: int, d_out: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(d_in, hidden),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Dropout(dropout),
        nn.Linear(hidden, d_out),
    )


class VAE(nn.Module):
    """Encoder D -> (mean, log sd) of q; decoder z -> the parameters of p(x | z).

    Arguments:
        latent: dimensions of z.
        hidden: width of the two hidden layers on either side.
        dropout: in the hidden layers, while training.
        decoder: the family of p(x | z), see `observation_of`.
    """

    def __init__(
        self, space: Space, *, latent: int = 16, hidden: int = 64, dropout: float = 0.0, decoder: str = "natural"
    ) -> None:
        super().__init__()
        self.space, self.latent = space, latent
        self.observation = observation_of(space, decoder)
        self.encoder: nn.Module = perceptron(space.dim, hidden, 2 * latent, dropout)
        self.decoder: nn.Module = perceptron(latent, hidden, space.dim * self.observation.per_value, dropout)

    def posterior(self, x: Tensor) -> tuple[Tensor, ...]:
        """Mean and log sd of q(z | x): [B, *shape] -> [B, latent] each."""
        mean, log_sd = self.encoder(normalised(x, self.space).flatten(1)).chunk(2, dim=1)
        return mean, log_sd

    def gaussian_posterior(self, x: Tensor) -> tuple[Tensor, ...]:
        """What is measured unit by unit; a subclass whose posterior or prior is another says None."""
        return self.posterior(x)

    def log_prior(self, z: Tensor) -> Tensor:
        """log N(z; 0, I): [..., latent] -> [...]."""
        zero = z.new_zeros(())
        return log_normal(z, zero, zero).sum(-1)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z): [B, *shape], [..., B, latent] -> [..., B].

        Raises:
            Unavailable: the decoder is a Bernoulli of grey values, by which nothing but training is possible.
        """
        if not self.observation.is_likelihood:
            raise Unavailable("a Bernoulli of grey values is a pseudo-likelihood: it is no probability of the levels")
        return self.observation.log_prob(self.decoder(z), x)

    def terms(self, x: Tensor, generator: Generator) -> tuple[Tensor, Tensor]:
        """log p(x | z) at one draw of z, and the KL, in closed form (appendix B): [B, *shape] -> [B] each."""
        mean, log_sd = self.posterior(x)
        noise = torch.randn(mean.shape, generator=generator, device=generator.device)
        kl = kl_to_standard_normal(mean, log_sd).sum(1)
        return self.observation.log_prob(self.decoder(mean + log_sd.exp() * noise), x), kl

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative bound."""
        log_p, kl = self.terms(x, generator)
        return (kl - log_p).mean()

    def draw(self, q: tuple[Tensor, ...], k: int, generator: Generator) -> tuple[Tensor, Tensor]:
        """k draws of z from q, which is a `posterior`, and their log q(z | x) -> [k, B, latent], [k, B]."""
        mean, log_sd = q
        noise = torch.randn(k, *mean.shape, generator=generator, device=generator.device)
        zero = mean.new_zeros(())
        return mean + log_sd.exp() * noise, log_normal(noise, zero, zero).sum(-1) - log_sd.sum(-1)

    def log_weights(self, x: Tensor, k: int, generator: Generator, q: tuple[Tensor, ...] | None = None) -> Tensor:
        """log p(x, z) - log q(z | x) for k draws of z from q, which is the posterior of x: [B, *shape] -> [k, B]."""
        z, log_q = self.draw(q or self.posterior(x), k, generator)
        slices = z.split(max(1, ROWS // len(x)))
        return torch.cat([self.log_likelihood(x, part) for part in slices]) + self.log_prior(z) - log_q

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        return torch.randn(n, self.latent, generator=generator, device=generator.device)

    def observe(self, z: Tensor, generator: Generator) -> Tensor:
        """One draw of p(x | z): [n, latent] -> [n, *shape]."""
        return self.observation.sample(self.decoder(z), generator)

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.observe(self.sample_prior(n, generator), generator)

    def expected(self, z: Tensor) -> Tensor:
        """E[x | z], in the raw range: [n, latent] -> [n, *shape]."""
        return self.observation.mean(self.decoder(z))

    def encode(self, x: Tensor) -> Tensor:
        """The mean of q(z | x): [B, *shape] -> [B, latent]."""
        return self.posterior(x)[0]

    def reconstruct(self, x: Tensor) -> Tensor:
        """E[x | z] at the posterior mean, in the raw range: [B, *shape] -> [B, *shape]."""
        return self.expected(self.encode(x))


PRESETS = {
    "digits": Preset(
        {"latent": 16, "hidden": 64, "dropout": 0.1},
        steps=8000,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
    "digits-without-9": Preset(
        {"decoder": "logistics", "dropout": 0.1}, steps=4000, batch_size=128, lr=3e-3, weight_decay=0.05, ema=0.99
    ),
    "digits-skewed": Preset(
        {"latent": 8, "decoder": "logistics"}, steps=4000, batch_size=128, lr=1e-3, weight_decay=0.05, ema=0.99
    ),
    "shapes": Preset(
        {"latent": 8, "hidden": 96, "decoder": "gaussian-shared"},
        steps=12000,
        batch_size=128,
        lr=2e-3,
        ema=0.995,
        validate_every=500,
    ),
    "ring8": Preset({"latent": 2, "hidden": 128}, steps=16000, batch_size=512, lr=5e-3, clip=1.0, ema=0.99),
    "grid25": Preset({"latent": 2, "hidden": 128}, steps=16000, batch_size=512, lr=5e-3, clip=1.0, ema=0.99),
    "mnist-binary": Preset(
        {"latent": 50, "hidden": 200},  # the network of Burda et al. 2016, section 5, with one stochastic layer
        steps=60000,
        batch_size=128,
        lr=2e-3,
        ema=0.999,
        validate_every=2000,
        half=True,
    ),
    "pinwheel": Preset({"latent": 2, "hidden": 128}, steps=16000, batch_size=512, lr=5e-3, clip=1.0, ema=0.99),
}

build = VAE
