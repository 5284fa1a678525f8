"""Mixture of Gaussians with diagonal covariances, trained by gradient on its exact marginal likelihood.

    p(x) = sum_k pi_k prod_d N(x_d; mu_kd, sigma_kd^2)

On integers every Gaussian is discretised: P(x_d) is its mass between x_d - 1/2 and x_d + 1/2, the
two edge levels taking the tails, so that the levels sum to one and the likelihood stays exact.

References:
    Pattern Recognition and Machine Learning (Bishop, 2006), section 9.2. EM climbs the same
    likelihood; the gradient needs no M-step and takes minibatches.
"""

import math

import torch
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import log_normal, log_normal_mass, nearest_level, normalised

VERSION = 1


class GaussianMixture(nn.Module):
    """log p(x) in closed form, by log-sum-exp over the components.

    Arguments:
        components: K.
        scale: initial standard deviation of every component; integers are normalised to [-1, 1].
    """

    def __init__(self, space: Space, *, components: int = 50, scale: float = 0.3) -> None:
        super().__init__()
        self.space = space
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, space.dim))  # of normalised data
        self.log_sd = nn.Parameter(torch.full((components, space.dim), math.log(scale)))

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: Generator) -> None:
        """Means at random training examples: from means that know no data, all components follow one."""
        chosen = torch.randint(len(x), (len(self.mean),), generator=generator, device=x.device)
        self.mean.copy_(normalised(x[chosen], self.space).flatten(1))

    def log_components(self, x: Tensor) -> Tensor:
        """log N(x; mu_k, sigma_k), of the bin of x where x is an integer: [B, *shape] -> [B, K]."""
        x = normalised(x, self.space).flatten(1).unsqueeze(1)  # [B, 1, D]
        if self.space.levels is None:
            return log_normal(x, self.mean, self.log_sd).sum(-1)
        return log_normal_mass(x, self.mean, self.log_sd, self.space.levels).sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.logsumexp(self.logits.log_softmax(0) + self.log_components(x), dim=1)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.log_prob(x).mean()

    def sample(self, n: int, generator: Generator) -> Tensor:
        k = torch.multinomial(self.logits.softmax(0), n, replacement=True, generator=generator)
        noise = torch.randn(n, self.space.dim, generator=generator, device=k.device)
        x = (self.mean[k] + self.log_sd[k].exp() * noise).view(n, *self.space.shape)
        return nearest_level(x, self.space)


PRESETS = {
    "digits": Preset(
        {"components": 100, "scale": 0.3}, steps=1200, batch_size=64, lr=1e-2, weight_decay=0.3, validate_every=50
    ),
    "mnist-binary": Preset({"components": 50, "scale": 0.3}, steps=2000, batch_size=64, lr=1e-2, validate_every=500),
    "ring8": Preset({"components": 24, "scale": 0.3}, steps=3000, batch_size=512, lr=2e-2),
    "patches": Preset({"components": 60, "scale": 0.3}, steps=3000, batch_size=64, lr=1e-2, validate_every=200),
    "pinwheel": Preset({"components": 60, "scale": 0.1}, steps=3000, batch_size=512, lr=1e-2),
}

build = GaussianMixture
