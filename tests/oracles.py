"""Models whose likelihood is known in closed form: several test files hold estimators against them."""

import math

import torch

from genbench.likelihood import log_likelihood
from genbench.space import Space

LOG_2PI = math.log(2 * math.pi)


class LinearGaussian:
    """z ~ N(0, 1), x | z ~ N(z, 1), so x ~ N(0, 2); q = prior, or the posterior N(x/2, 1/2)."""

    space = Space((1,))

    def __init__(self, q: str) -> None:
        self.q = q

    def log_weights(self, x, k, generator):
        mean, variance = (0 * x, 1.0) if self.q == "prior" else (x / 2, 0.5)
        z = mean[:, 0] + math.sqrt(variance) * torch.randn(k, len(x), generator=generator, dtype=torch.float64)
        log_joint = -0.5 * (z**2 + (x[:, 0] - z) ** 2) - LOG_2PI
        log_q = -0.5 * (z - mean[:, 0]) ** 2 / variance - 0.5 * math.log(variance) - 0.5 * LOG_2PI
        return log_joint - log_q


def estimate(model, x, k):
    return log_likelihood(model, x, k, seed=0, block_size=250)
