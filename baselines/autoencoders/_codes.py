"""What all autoencoders here share: an encoder and a decoder, and a Gaussian that is fitted to the codes afterwards.

The squared error has no observation noise of its own, and the codes have no prior: no p(x) was ever defined, and
log N(x; g(f(x)), sd^2) is not one, since f(x) has already seen x. Nor does training give a sampler. To have one, a
Gaussian with a full covariance is fitted to the codes by maximum likelihood once the weights rest, and samples are its
draws, decoded and rounded to the levels: they are as good as the codes are Gaussian.
"""

import math

import torch
from torch import Generator, Tensor, nn

from genbench import Objective, Space, Stage

from .._layers import normalised


class LatentGaussian(nn.Module):
    """N(mean, S) by its whitening map: S^-1 = W'W with W lower triangular, b = W mean.

    In (W, b) the negative log-likelihood -log |W| + |W z - b|^2 / 2 is convex, so gradient descent ends at the
    sample mean and covariance.
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.log_diagonal = nn.Parameter(torch.zeros(d))
        self.lower = nn.Parameter(torch.zeros(d, d))
        self.b = nn.Parameter(torch.zeros(d))

    @property
    def W(self) -> Tensor:  # noqa: N802
        return self.lower.tril(-1) + self.log_diagonal.exp().diag()

    def log_density(self, z: Tensor) -> Tensor:
        """log N(z; mean, S) of codes, not of images: [n, d] -> [n]."""
        white = z @ self.W.T - self.b
        return self.log_diagonal.sum() - 0.5 * (white**2 + math.log(2 * math.pi)).sum(1)

    def sample(self, n: int, generator: Generator) -> Tensor:
        noise = torch.randn(n, len(self.b), generator=generator, device=generator.device)
        return torch.linalg.solve_triangular(self.W, (noise + self.b).T, upper=False).T


class CodeModel(nn.Module):
    """An encoder f: [n, D] -> [n, latent] and a decoder g back, on values normalised to [-1, 1].

    A subclass gives `stages`, and ends them with `latent_stage`.
    """

    def __init__(self, space: Space, f: nn.Sequential, g: nn.Sequential, latent: int) -> None:
        super().__init__()
        self.space, self.f, self.g = space, f, g
        self.codes = LatentGaussian(latent)

    def clean(self, x: Tensor) -> Tensor:
        """Normalised and flat: [B, *shape] -> [B, D]."""
        return normalised(x, self.space).flatten(1)

    def squared_error(self, x: Tensor, generator: Generator) -> Tensor:
        """|x - g(f(x))|^2 on normalised values, summed over them, mean over the batch."""
        clean = self.clean(x)
        return (self.g(self.f(clean)) - clean).square().sum(1).mean()

    def latent_loss(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.codes.log_density(self.encode(x).detach()).mean()

    def latent_stage(self, fraction: float = 0.25) -> Stage:
        """The Gaussian of the codes, the autoencoder's weights at rest."""
        fit = Objective("latent", self.codes.parameters(), self.latent_loss, lr=5.0)
        return Stage("latent", (fit,), self.latent_loss, fraction=fraction)

    def decode(self, z: Tensor) -> Tensor:
        """[n, latent] -> [n, *shape], float, in the raw range of the space."""
        x = self.g(z).view(len(z), *self.space.shape)
        if self.space.levels is None:
            return x
        return (x.clamp(-1, 1) + 1) * ((self.space.levels - 1) / 2)

    def encode(self, x: Tensor) -> Tensor:
        """The code of an example: [B, *shape] -> [B, latent]."""
        return self.f(self.clean(x))

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def sample(self, n: int, generator: Generator) -> Tensor:
        x = self.decode(self.codes.sample(n, generator))
        return x if self.space.levels is None else x.round().long()
