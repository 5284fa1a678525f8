"""Bernoulli VAE: a few binary latents, summed out instead of drawn, so that bound, gradient and likelihood are exact.

    L(x) = sum_z q(z | x) [ log p(x | z) + log p(z) - log q(z | x) ],    q(z | x) = prod_j Bernoulli(z_j; q_j(x))

A draw of a binary latent carries no gradient to the probability that it was drawn with: one needs an estimator with
noise (the score function) or a surrogate. With d latents there are 2^d codes, and for d about 10 the sum itself can be
computed: each code is decoded once for the whole batch, and log p(x | z) of all pairs is one product of matrices,
one-hot levels [B, D L] times log-probabilities [D L, 2^d]. So this is what every estimator is compared with.

The same sum gives log p(x) = log sum_z p(z) p(x | z), and p(z | x): what the bound loses is KL(q(z | x) || p(z | x)),
the price of a q that factorises. Prior and posterior have d parameters each, not 2^d.

References:
    Neural variational inference and learning in belief networks (Mnih, Gregor, 2014), equation 1.
    Auto-Encoding Variational Bayes (Kingma and Welling, 2014), for the bound.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import log_bernoulli, normalised, sample_categorical
from .vae import perceptron

VERSION = 1
MOST = 12  # latents: 4,096 codes


class BernoulliVAE(nn.Module):
    """Encoder x -> the logits of q; decoder z -> the logits of all levels. Codes are rows of 0 and 1.

    Arguments:
        latent: d.
        hidden, dropout: width of the two hidden layers on either side, and dropout in them while training.
        tight: train log p(x) itself, which is the bound with the true posterior in the place of q; the encoder then
            only follows, by KL(p(z | x) || q(z | x)).
    """

    codes: Tensor

    def __init__(
        self, space: Space, *, latent: int = 8, hidden: int = 64, dropout: float = 0.0, tight: bool = False
    ) -> None:
        super().__init__()
        if space.levels is None:
            raise ValueError("it models integers: their levels are what is summed over in one product")
        if not 1 <= latent <= MOST:
            raise ValueError(f"there are 1 to {MOST} latents, got {latent}: all 2^{latent} codes are decoded")
        self.space, self.levels, self.latent, self.tight = space, space.levels, latent, tight
        self.encoder = perceptron(space.dim, hidden, latent, dropout)
        self.decoder = perceptron(latent, hidden, space.dim * space.levels, dropout)
        self.prior = nn.Parameter(torch.zeros(latent))  # logits
        codes = torch.tensor(list(itertools.product((0.0, 1.0), repeat=latent)))
        self.register_buffer("codes", codes, persistent=False)  # [2^d, d]

    @property
    def latent_space(self) -> Space:
        """The space of the codes: where it is small, the harness sums over all of them."""
        return Space((self.latent,), levels=2)

    def posterior(self, x: Tensor) -> Tensor:
        """The logits of q(z | x): [B, *shape] -> [B, d]."""
        return self.encoder(normalised(x, self.space).flatten(1))

    def log_levels(self, z: Tensor) -> Tensor:
        """log p of every level of every value given z: [n, d] -> [n, D, L]."""
        return self.decoder(normalised(z, self.latent_space)).unflatten(1, (self.space.dim, -1)).log_softmax(2)

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(z): [n, d] -> [n]."""
        return log_bernoulli(z, self.prior)

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z): [n, *shape], [n, d] -> [n]."""
        return self.log_levels(z).gather(2, x.flatten(1)[:, :, None]).sum((1, 2))

    def log_joint(self, x: Tensor) -> Tensor:
        """log p(x, z) of every code: [B, *shape] -> [B, 2^d]."""
        log_p = self.log_levels(self.codes)
        one_hot = F.one_hot(x.flatten(1), self.levels).to(log_p.dtype).flatten(1)
        return one_hot @ log_p.flatten(1).T + self.log_prior(self.codes)

    def log_prob(self, x: Tensor) -> Tensor:
        """log sum_z p(x, z) -> [B]."""
        return self.log_joint(x).logsumexp(1)

    def bounds(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The bound, log p(x), and KL(p(z | x) || q(z | x)), all without noise: [B] each."""
        joint = self.log_joint(x)
        log_p = joint.logsumexp(1)
        log_q = log_bernoulli(self.codes, self.posterior(x)[:, None])  # [B, 2^d]
        true = (joint - log_p[:, None]).detach()
        return (log_q.exp() * (joint - log_q)).sum(1), log_p, (true.exp() * (true - log_q)).sum(1)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative bound; where it is tight -log p(x), and q follows the true posterior by a term of its own."""
        bound, log_p, gap = self.bounds(x)
        return (gap - log_p).mean() if self.tight else -bound.mean()

    def stages(self) -> tuple[Stage, ...]:
        """Weights are chosen by what is reported, the likelihood."""
        return (Stage("train", (Objective("loss", self.parameters(), self.loss),), self.nats),)

    def nats(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.log_prob(x).mean()

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        return torch.bernoulli(self.prior.sigmoid().expand(n, -1), generator=generator).long()

    def observe(self, z: Tensor, generator: Generator) -> Tensor:
        """One draw of p(x | z): [n, d] -> [n, *shape]."""
        return sample_categorical(self.log_levels(z), generator).view(-1, *self.space.shape)

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.observe(self.sample_prior(n, generator), generator)

    def encode(self, x: Tensor) -> Tensor:
        """The probabilities q_j(x): [B, *shape] -> [B, d]."""
        return self.posterior(x).sigmoid()

    def reconstruct(self, x: Tensor) -> Tensor:
        """E[x' | x] = sum_z q(z | x) E[x' | z], in the raw range: [B, *shape] -> [B, *shape]."""
        levels = torch.arange(self.levels, device=x.device, dtype=self.prior.dtype)
        means = self.log_levels(self.codes).exp() @ levels  # [2^d, D]
        q = log_bernoulli(self.codes, self.posterior(x)[:, None]).exp()
        return (q @ means).view(-1, *self.space.shape)


PRESETS = {
    "digits": Preset(
        {"latent": 10, "hidden": 48, "dropout": 0.05},
        steps=3500,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.1,
        ema=0.99,
    ),
}

build = BernoulliVAE
