"""Denoising autoencoder: a bottleneck network that gives back the clean image from a corrupted one.

    minimise E |x - g(f(x~))|^2,   x~ ~ c(x~ | x)              (Vincent et al. 2008, section 2.3)

The corruption c either blanks every value with probability `noise` (masking) or adds Gaussian noise of
standard deviation `noise`, on values normalised to [-1, 1]. What can be filled in again has to be
inferred from the other values, so the codes f(x) hold structure and not pixels.

The model has no likelihood. The squared error has no observation noise of its own, and the codes have no
prior: no p(x) was ever defined, and log N(x; g(f(x)), sd^2) is not one, since f(x) has already seen x.
Nor does training give it a sampler. To have one, a Gaussian is fitted to the codes afterwards by maximum
likelihood, and samples are its draws, decoded and rounded to the levels: they are as good as the codes are
Gaussian.

References:
    Extracting and Composing Robust Features with Denoising Autoencoders (Vincent, Larochelle,
    Bengio, Manzagol, 2008); Stacked Denoising Autoencoders (Vincent et al., 2010) for Gaussian noise.

NOTE: the paper's bits have a cross-entropy; grey levels have the squared error of the 2010 paper.
"""

import math

import torch
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from .._layers import normalised

VERSION = 1
CORRUPTIONS = ("masking", "gaussian")


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


class DenoisingAutoencoder(nn.Module):
    """Encoder f: D -> latent, decoder g: latent -> D, two hidden layers in all.

    Arguments:
        latent, hidden: width of the code and of the hidden layer on either side.
        corruption: "masking" or "gaussian".
        noise: the share of values masked, or the standard deviation on [-1, 1].
    """

    def __init__(
        self, space: Space, *, latent: int = 16, hidden: int = 256, corruption: str = "masking", noise: float = 0.25
    ) -> None:
        super().__init__()
        if corruption not in CORRUPTIONS:
            raise ValueError(f"corruption is one of {', '.join(CORRUPTIONS)}, got {corruption!r}")
        self.space, self.corruption, self.noise = space, corruption, noise
        self.f = nn.Sequential(nn.Linear(space.dim, hidden), nn.SiLU(), nn.Linear(hidden, latent))
        self.g = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, space.dim))
        self.codes = LatentGaussian(latent)

    def corrupted(self, x: Tensor, generator: Generator) -> Tensor:
        """A draw of x~ for normalised x; masked values are black: the lowest level, or 0 on real numbers."""
        if self.corruption == "gaussian":
            return x + self.noise * torch.randn(x.shape, generator=generator, device=generator.device)
        masked = torch.rand(x.shape, generator=generator, device=generator.device) < self.noise
        return x.masked_fill(masked, 0.0 if self.space.levels is None else -1.0)

    def denoising_error(self, x: Tensor, generator: Generator) -> Tensor:
        """Squared error of the clean example, summed over its values, mean over the batch."""
        clean = normalised(x, self.space).flatten(1)
        return (self.g(self.f(self.corrupted(clean, generator))) - clean).square().sum(1).mean()

    def latent_loss(self, x: Tensor, generator: Generator) -> Tensor:
        return -self.codes.log_density(self.encode(x).detach()).mean()

    def stages(self) -> tuple[Stage, ...]:
        """The autoencoder first; then, its weights at rest, the Gaussian of its codes."""
        weights = [*self.f.parameters(), *self.g.parameters()]
        learn = Objective("denoising", weights, self.denoising_error)
        fit = Objective("latent", self.codes.parameters(), self.latent_loss, lr=5.0)
        return (
            Stage("denoising", (learn,), self.denoising_error, fraction=0.75),
            Stage("latent", (fit,), self.latent_loss, fraction=0.25),
        )

    def decode(self, z: Tensor) -> Tensor:
        """[n, latent] -> [n, *shape], float, in the raw range of the space."""
        x = self.g(z).view(len(z), *self.space.shape)
        if self.space.levels is None:
            return x
        return (x.clamp(-1, 1) + 1) * ((self.space.levels - 1) / 2)

    def encode(self, x: Tensor) -> Tensor:
        """The code of the uncorrupted example: [B, *shape] -> [B, latent]."""
        return self.f(normalised(x, self.space).flatten(1))

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def sample(self, n: int, generator: Generator) -> Tensor:
        x = self.decode(self.codes.sample(n, generator))
        return x if self.space.levels is None else x.round().long()


PRESETS = {
    "digits": Preset(
        {"latent": 16, "hidden": 256, "corruption": "masking", "noise": 0.25},
        steps=8000,
        batch_size=128,
        lr=2e-3,
        ema=0.998,
    ),
}

build = DenoisingAutoencoder
