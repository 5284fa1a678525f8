"""Mixture of Gaussians with full covariances, trained by gradient on its exact marginal likelihood.

    p(x) = sum_k pi_k N(x; mu_k, Sigma_k)
    N(x; mu_k, Sigma_k) = prod_d N(x_d; m_kd, s_kd^2),    m_kd = mu_kd + sum_{j<d} b_kdj (x_j - mu_kj)

A covariance has to stay positive definite while the gradient moves it. Written by the chain rule it is: B_k is any
strictly lower triangular matrix, log s_k any vector, and Sigma_k = (I - B_k)^-1 diag(s_k^2) (I - B_k)^-T. The diagonal
mixture (`mixture.py`) is the case B = 0, and needs many components where one that is turned suffices.

On integers every factor is discretised: P(x_d | x_<d, k) is the mass of N(m_kd, s_kd^2) between x_d - 1/2 and
x_d + 1/2, the edge levels taking the tails. So P sums to one over all integers, and the likelihood stays exact; what
this P is, and what it is not, says `multivariate_normal.py`. It is drawn from by a component, then value by value.

References:
    Pattern Recognition and Machine Learning (Bishop, 2006), section 9.2. EM climbs the same likelihood; the gradient
        needs no M-step, which discretised factors do not have in closed form, and takes minibatches. EM begins it.
    Unconstrained parametrizations for variance-covariance matrices (Pinheiro and Bates, 1996), for triangular factors.
    From learning models of natural image patches to whole image restoration (Zoran and Weiss, 2011): what such
        mixtures know of photographs.
"""

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import log_normal, log_normal_mass, normalised
from .multivariate_normal import moments, regressions, triangle

VERSION = 1
EM_STEPS, PSEUDO = 5, 0.1  # of the first components
LEAST = 0.1  # of the distance between levels, is the least s: one bin has all the mass, and float32 places its edges


class FullMixture(nn.Module):
    """log p(x) in closed form, by log-sum-exp over the components.

    Arguments:
        components: K.
    """

    def __init__(self, space: Space, *, components: int = 10) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"components is at least 1, not {components}")
        self.space = space
        D = space.dim
        self.least = 0.0 if space.levels is None else LEAST * 2 / (space.levels - 1)
        self.logits = nn.Parameter(torch.zeros(components))
        self.mean = nn.Parameter(torch.randn(components, D))  # of normalised data, as all that follows
        self.below = nn.Parameter(torch.zeros(components, D * (D - 1) // 2))  # the triangles of B, row by row
        self.log_sd = nn.Parameter(torch.zeros(components, D))

    @torch.no_grad()
    def initialise(self, x: Tensor, generator: Generator) -> None:
        """A few steps of EM on the values as real numbers, from clusters about random examples.

        In many dimensions the gradient alone finds no clusters: the component that is least wrong about an average
        example gets all of them. Covariances are shrunk towards that of the data, as if by PSEUDO D more examples
        each, and on integers they have the variance of uniform noise on a cell 2/(L - 1) wide.
        """
        x = normalised(x, self.space).flatten(1).double()
        K, eye = len(self.mean), torch.eye(self.space.dim, dtype=torch.float64, device=x.device)
        noise = 0.0 if self.space.levels is None else (2 / (self.space.levels - 1)) ** 2 / 12
        mean, covariance = moments(x)
        pseudo = PSEUDO * self.space.dim
        chosen = torch.randint(len(x), (K,), generator=generator, device=x.device)
        r = F.one_hot(torch.cdist(x, x[chosen]).argmin(1), K).double()  # responsibilities, [N, K]
        for _ in range(EM_STEPS):
            log_p = torch.empty_like(r)
            for k, n in enumerate(r.sum(0)):
                m = (r[:, k] @ x + mean) / (n + 1)
                c = x - m
                scatter = (c * r[:, k, None]).T @ c + pseudo * covariance
                B, s = regressions(scatter / (n + pseudo) + noise * eye)
                log_p[:, k] = (n + 1).log() + log_normal(c, c @ B.T, s.log()).sum(1)
                self.logits[k], self.mean[k], self.log_sd[k] = (n + 1).log(), m, s.log()
                self.below[k] = B[triangle(len(B), B.device)]
            r = log_p.softmax(1)

    @property
    def B(self) -> Tensor:  # noqa: N802
        """[K, D, D]."""
        D = self.space.dim
        return self.below.new_zeros(len(self.below), D, D).masked_scatter(triangle(D, self.below.device), self.below)

    @property
    def sd(self) -> Tensor:
        """[K, D]."""
        return self.log_sd.exp() + self.least

    def log_components(self, x: Tensor) -> Tensor:
        """log N(x; mu_k, Sigma_k), discretised where x is an integer: [B, *shape] -> [B, K]."""
        x = normalised(x, self.space).flatten(1).unsqueeze(1).to(self.mean.dtype)  # [B, 1, D]
        m = self.mean + torch.einsum("bkj,kdj->bkd", x - self.mean, self.B)
        if self.space.levels is None:
            return log_normal(x, m, self.sd.log()).sum(-1)
        return log_normal_mass(x, m, self.sd.log(), self.space.levels).sum(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        return torch.logsumexp(self.logits.log_softmax(0) + self.log_components(x), dim=1)

    def loss(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.log_prob(x).mean()

    @torch.no_grad()
    def sample(self, n: int, generator: Generator) -> Tensor:
        k = torch.multinomial(self.logits.softmax(0), n, replacement=True, generator=generator)
        mean, sd, B = self.mean[k], self.sd[k], self.B  # [n, D], [n, D], [K, D, D]
        noise = torch.randn(mean.shape, generator=generator, device=k.device, dtype=mean.dtype)
        y = torch.zeros_like(mean)
        for d in range(self.space.dim):
            m = mean[:, d] + ((y[:, :d] - mean[:, :d]) * B[k, d, :d]).sum(1)
            y[:, d] = self.rounded(m + sd[:, d] * noise[:, d])
        y = y.view(n, *self.space.shape)
        if self.space.levels is None:
            return y
        return ((y + 1) / 2 * (self.space.levels - 1)).round().long()

    def rounded(self, y: Tensor) -> Tensor:
        """The level nearest to y, on [-1, 1]; real numbers stay as they are."""
        if self.space.levels is None:
            return y
        top = self.space.levels - 1
        return ((y + 1) / 2 * top).round().clamp(0, top) * (2 / top) - 1


PRESETS = {
    "digits": Preset(
        {"components": 32}, steps=600, batch_size=64, lr=1e-2, weight_decay=0.5, ema=0.98, validate_every=50
    ),
    "digits-without-9": Preset(
        {"components": 32}, steps=600, batch_size=64, lr=1e-2, weight_decay=0.5, ema=0.98, validate_every=50
    ),
    "ring8": Preset({"components": 16}, steps=3000, batch_size=512, lr=2e-2),
    "patches": Preset({"components": 4}, steps=6000, batch_size=64, lr=1e-3, ema=0.99, validate_every=500),
}

build = FullMixture
