"""Conditional VAE: p(x | y) = int p(x | z, y) p(z) dz, with the class y known to the encoder and to the decoder.

    log p(x | y) >= E_{q(z | x, y)} log p(x | z, y) - KL(q(z | x, y) || p(z))        (equation 4)

The class reaches either network as a one-hot row beside its input, so that z need not say which digit it is, only
how it is written. Given labels everything here is about p(x | y); without them about the marginal
p(x) = 1/C sum_y p(x | y), for which nothing has to be approximated either: the mean over the classes of a weight
p(x, z_y | y) / q(z_y | x, y) has the mean p(x). The two bounds answer different questions, and are not compared.

References:
    Learning structured output representation using deep conditional generative models (Sohn, Lee, Yan, 2015), equation
    4, where y is what is modelled and x what is known.
    Semi-supervised learning with deep generative models (Kingma, Rezende, Mohamed, Welling, 2014), equation 2, for
    p(x | y, z) and a prior that does not know y.
"""

import math

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from genbench import Preset, Space

from .._layers import kl_to_standard_normal, normalised
from .vae import VAE, perceptron

VERSION = 1


class ConditionalVAE(VAE):
    """`vae` with the class beside every input. `labels` are int64 [B].

    Arguments:
        classes: C.
        latent, hidden, dropout, decoder: as for `vae`.
    """

    def __init__(
        self,
        space: Space,
        *,
        classes: int = 10,
        latent: int = 16,
        hidden: int = 64,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        super().__init__(space, latent=latent, decoder=decoder)
        self.n_classes = classes
        self.encoder = perceptron(space.dim + classes, hidden, 2 * latent, dropout)
        self.decoder = perceptron(latent + classes, hidden, space.dim * self.observation.per_value, dropout)

    def beside(self, rows: Tensor, labels: Tensor) -> Tensor:
        """Rows with their classes behind them: [..., B, d], [B] -> [..., B, d + C]."""
        one_hot = F.one_hot(labels, self.n_classes).to(rows.dtype)
        return torch.cat([rows, one_hot.expand(*rows.shape[:-1], -1)], dim=-1)

    def every(self, n: int, device: torch.device) -> list[Tensor]:
        """For each class the labels of n examples of it: C times [n]."""
        return [torch.full((n,), y, device=device) for y in range(self.n_classes)]

    def posterior(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, ...]:
        """Mean and log sd of q(z | x, y): [B, *shape] -> [B, latent]; without labels of every class, [C, B, latent]."""
        if labels is None:
            given = [self.posterior(x, y) for y in self.every(len(x), x.device)]
            mean, log_sd = (torch.stack(part) for part in zip(*given, strict=True))
        else:
            mean, log_sd = self.encoder(self.beside(normalised(x, self.space).flatten(1), labels)).chunk(2, dim=1)
        return mean, log_sd

    def log_likelihood(self, x: Tensor, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x | z, y), without labels log 1/C sum_y p(x | z, y): [B, *shape], [..., B, latent] -> [..., B]."""
        if labels is None:
            given = [self.log_likelihood(x, z, y) for y in self.every(len(x), x.device)]
            return torch.stack(given).logsumexp(0) - math.log(self.n_classes)
        return super().log_likelihood(x, self.beside(z, labels))

    def loss(self, x: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """The negative bound given the label, which training always knows."""
        assert labels is not None
        mean, log_sd = self.posterior(x, labels)
        noise = torch.randn(mean.shape, generator=generator, device=generator.device)
        kl = kl_to_standard_normal(mean, log_sd).sum(1)
        h = self.decoder(self.beside(mean + log_sd.exp() * noise, labels))
        return (kl - self.observation.log_prob(h, x)).mean()

    def log_weights(
        self,
        x: Tensor,
        k: int,
        generator: Generator,
        q: tuple[Tensor, ...] | None = None,
        labels: Tensor | None = None,
    ) -> Tensor:
        """k weights of mean p(x | y); without labels of mean p(x), each the mean over classes: [B, *shape] -> [k, B].

        Arguments:
            q: `posterior(x, labels)`.
        """
        mean, log_sd = q or self.posterior(x, labels)
        if labels is not None:
            return self.weights_of(x, k, generator, (mean, log_sd), labels)
        given = zip(mean, log_sd, self.every(len(x), x.device), strict=True)
        weights = torch.stack([self.weights_of(x, k, generator, (m, s), y) for m, s, y in given])
        return weights.logsumexp(0) - math.log(self.n_classes)

    def weights_of(self, x: Tensor, k: int, generator: Generator, q: tuple[Tensor, ...], labels: Tensor) -> Tensor:
        z, log_q = self.draw(q, k, generator)
        return self.log_likelihood(x, z, labels) + self.log_prior(z) - log_q

    def observe(self, z: Tensor, generator: Generator, labels: Tensor | None = None) -> Tensor:
        """One draw of p(x | z, y), y uniform where it is not given: [n, latent] -> [n, *shape]."""
        if labels is None:
            labels = torch.randint(self.n_classes, (len(z),), generator=generator, device=generator.device)
        return super().observe(self.beside(z, labels), generator)

    def sample(self, n: int, generator: Generator, labels: Tensor | None = None) -> Tensor:
        return self.observe(self.sample_prior(n, generator), generator, labels)

    def expected(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """E[x | z, y], without labels the mean over classes: [n, latent] -> [n, *shape]."""
        if labels is None:
            return torch.stack([self.expected(z, y) for y in self.every(len(z), z.device)]).mean(0)
        return super().expected(self.beside(z, labels))

    def likeliest(self, x: Tensor) -> Tensor:
        """The class with the largest weight at the mean of its posterior, which stands for p(x | y): [B]."""
        means, log_sds = self.posterior(x)
        given = zip(means, log_sds, self.every(len(x), x.device), strict=True)
        at_mean = [self.log_likelihood(x, m, y) + self.log_prior(m) + s.sum(-1) for m, s, y in given]  # + a constant
        return torch.stack(at_mean).argmax(0)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The mean of q(z | x, y), without labels y the likeliest: [B, *shape] -> [B, latent]."""
        return self.posterior(x, self.likeliest(x) if labels is None else labels)[0]

    def reconstruct(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """E[x | z, y] at the posterior mean, without labels y the likeliest: [B, *shape] -> [B, *shape]."""
        labels = self.likeliest(x) if labels is None else labels
        return self.expected(self.encode(x, labels), labels)


PRESETS = {
    "digits": Preset(
        {"latent": 16, "hidden": 64, "dropout": 0.1, "decoder": "logistics"},
        steps=4000,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
    "mnist-binary": Preset(
        {"latent": 50, "hidden": 200},
        steps=30000,
        batch_size=128,
        lr=2e-3,
        ema=0.999,
        validate_every=2000,
        half=True,
    ),
}

build = ConditionalVAE
