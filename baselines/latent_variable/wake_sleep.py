"""Helmholtz machine: two layers of binary latents, trained by wake-sleep, without a gradient through any draw.

    p(x, h) = p(h2) p(h1 | h2) p(x | h1),    q(h | x) = q(h1 | x) q(h2 | h1)
    wake:    x from the data,  h ~ q(h | x):     raise log p(x, h) over the generative weights
    sleep:   h, x ~ p, a dream:                  raise log q(h | x) over the recognition weights

The wake phase is the gradient of the variational bound by the generative weights. The sleep phase is not that by the
recognition weights: it lowers KL(p(h | x) || q(h | x)) on dreams in the place of KL(q || p) on data, the wrong way
round and at first on the wrong x. In exchange each phase is supervised learning of one layer from another, so binary
units cost nothing: there is no draw to differentiate. What is reported is the bound all the same, on data.

References:
    The wake-sleep algorithm for unsupervised neural networks (Hinton, Dayan, Frey, Neal, 1995).
    The Helmholtz machine (Dayan, Hinton, Neal, Zemel, 1995), equation 6.
    Reweighted wake-sleep (Bornschein, Bengio, 2015), for the bound by importance weights of binary layers.

NOTE: each conditional has hidden layers without noise, where the paper's are linear.
"""

import torch
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import log_bernoulli, normalised
from .._observations import observation_of
from .vae import ROWS, perceptron

VERSION = 1


class WakeSleep(nn.Module):
    """Latents are rows (h1, h2) of 0 and 1, int64 outside of the networks.

    Arguments:
        lower, upper: binary units of h1 and of h2.
        hidden, dropout: width of the hidden layers of the networks beside x (half of it between h1 and h2), and dropout
            in them while training.
        decoder: the family of p(x | h1), see `observation_of`.
    """

    def __init__(
        self,
        space: Space,
        *,
        lower: int = 32,
        upper: int = 16,
        hidden: int = 64,
        dropout: float = 0.0,
        decoder: str = "natural",
    ) -> None:
        super().__init__()
        self.space, self.sizes = space, [lower, upper]
        self.observation = observation_of(space, decoder)
        if not self.observation.is_likelihood:
            raise ValueError("a dream is drawn from p(x | h1): a pseudo-likelihood of grey values has none")
        self.recognise_lower = perceptron(space.dim, hidden, lower, dropout)
        self.recognise_upper = perceptron(lower, hidden // 2, upper, dropout)
        self.prior = nn.Parameter(torch.zeros(upper))  # logits of h2
        self.generate_lower = perceptron(upper, hidden // 2, lower, dropout)
        self.generate_x = perceptron(lower, hidden, space.dim * self.observation.per_value, dropout)

    @property
    def latent_space(self) -> Space:
        """The space of (h1, h2): where it is small, the harness sums over all of it."""
        return Space((sum(self.sizes),), levels=2)

    def log_prior(self, z: Tensor) -> Tensor:
        """log p(h2) + log p(h1 | h2): [..., lower + upper] -> [...]."""
        h1, h2 = z.to(self.prior).split(self.sizes, dim=-1)
        return log_bernoulli(h2, self.prior) + log_bernoulli(h1, self.generate_lower(2 * h2 - 1))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | h1): [B, *shape], [..., B, lower + upper] -> [..., B]."""
        return self.observation.log_prob(self.outputs(z), x)

    def outputs(self, z: Tensor) -> Tensor:
        """What p(x | h1) is made of: [..., lower + upper] -> [..., P D]."""
        return self.generate_x(2 * z[..., : self.sizes[0]].to(self.prior) - 1)

    def posterior(self, x: Tensor) -> Tensor:
        """The logits of q(h1 | x): [B, *shape] -> [B, lower]."""
        return self.recognise_lower(normalised(x, self.space).flatten(1))

    def log_posterior(self, z: Tensor, logits: Tensor) -> Tensor:
        """log q(h1 | x) + log q(h2 | h1), from `posterior`: [..., B, lower + upper], [B, lower] -> [..., B]."""
        h1, h2 = z.to(logits).split(self.sizes, dim=-1)
        return log_bernoulli(h1, logits) + log_bernoulli(h2, self.recognise_upper(2 * h1 - 1))

    def draw(self, logits: Tensor, k: int, generator: Generator) -> Tensor:
        """k draws of q(h | x), from `posterior` -> [k, B, lower + upper] int64."""
        h1 = torch.bernoulli(logits.sigmoid().expand(k, -1, -1), generator=generator)
        h2 = torch.bernoulli(self.recognise_upper(2 * h1 - 1).sigmoid(), generator=generator)
        return torch.cat([h1, h2], dim=-1).long()

    def log_weights(self, x: Tensor, k: int, generator: Generator, q: Tensor | None = None) -> Tensor:
        """log p(x, h) - log q(h | x) for k draws of h from q, which is the posterior of x: [B, *shape] -> [k, B]."""
        logits = self.posterior(x) if q is None else q
        z = self.draw(logits, k, generator)
        slices = z.split(max(1, ROWS // len(x)))
        log_p = torch.cat([self.log_likelihood(x, part) for part in slices])
        return log_p + self.log_prior(z) - self.log_posterior(z, logits)

    def stages(self) -> tuple[Stage, ...]:
        recognition = [*self.recognise_lower.parameters(), *self.recognise_upper.parameters()]
        known = set(recognition)
        generation = [p for p in self.parameters() if p not in known]
        wake, sleep = Objective("wake", generation, self.wake), Objective("sleep", recognition, self.sleep)
        return (Stage("train", (wake, sleep), self.bound),)

    def wake(self, x: Tensor, generator: Generator) -> Tensor:
        """-log p(x, h), h from q: nothing of it is a function of the recognition weights but the draw."""
        with torch.no_grad():
            z = self.draw(self.posterior(x), 1, generator)[0]
        return -(self.log_likelihood(x, z) + self.log_prior(z)).mean()

    def sleep(self, x: Tensor, generator: Generator) -> Tensor:
        """-log q(h | x) of as many dreams as there are x, whose values do not matter."""
        with torch.no_grad():
            z = self.sample_prior(len(x), generator)
            dream = self.observe(z, generator)
        return -self.log_posterior(z, self.posterior(dream)).mean()

    def bound(self, x: Tensor, generator: Generator) -> Tensor:
        """The negative bound, by one draw."""
        return -self.log_weights(x, 1, generator).mean()

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        """h2, then h1 given it -> [n, lower + upper] int64."""
        h2 = torch.bernoulli(self.prior.sigmoid().expand(n, -1), generator=generator)
        h1 = torch.bernoulli(self.generate_lower(2 * h2 - 1).sigmoid(), generator=generator)
        return torch.cat([h1, h2], dim=-1).long()

    def observe(self, z: Tensor, generator: Generator) -> Tensor:
        """One draw of p(x | h1): [n, lower + upper] -> [n, *shape]."""
        return self.observation.sample(self.outputs(z), generator)

    def sample(self, n: int, generator: Generator) -> Tensor:
        return self.observe(self.sample_prior(n, generator), generator)

    def encode(self, x: Tensor) -> Tensor:
        """The probabilities of h1 in q: [B, *shape] -> [B, lower]."""
        return self.posterior(x).sigmoid()

    def reconstruct(self, x: Tensor) -> Tensor:
        """E[x' | h1] at the likelier value of every unit, in the raw range: [B, *shape] -> [B, *shape]."""
        return self.observation.mean(self.outputs((self.posterior(x) > 0).long()))


PRESETS = {
    "digits": Preset(
        {"lower": 32, "upper": 16, "hidden": 64, "dropout": 0.1, "decoder": "logistics"},
        steps=5000,
        batch_size=128,
        lr=3e-3,
        weight_decay=0.05,
        ema=0.99,
    ),
}

build = WakeSleep
