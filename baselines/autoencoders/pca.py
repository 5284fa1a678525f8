"""PCA: the code is the coordinates of an example on the axes along which the training data vary most.

    z = U_d' (x - mu),    x' = mu + U_d z,    C U = U Lambda,  C the training covariance      (Pearson 1901)

Of all linear codes of d values it has the least squared error (Hotelling 1933), which is what an autoencoder has to
beat; of all representations here it is the one without a network, and so the row that a probe of codes is held against.
The coordinates are uncorrelated, with variances Lambda: samples are made of independent normal ones.

References:
    On lines and planes of closest fit to systems of points in space (Pearson, 1901).
    Analysis of a complex of statistical variables into principal components (Hotelling, 1933).

NOTE: `ppca.py` spans the same axes and has a likelihood; its codes are shrunk by its noise.
"""

import torch
from torch import Generator, Tensor, nn

from genbench import Preset, Space

from .._layers import nearest_level, normalised

VERSION = 1


class PCA(nn.Module):
    """Arguments:
    latent: d, at most the dimension of an example.
    """

    def __init__(self, space: Space, *, latent: int = 1) -> None:
        super().__init__()
        if not 1 <= latent <= space.dim:
            raise ValueError(f"latent is from 1 to the {space.dim} values of an observation, not {latent}")
        self.space, self.latent = space, latent
        self.mean = nn.Parameter(torch.zeros(space.dim), requires_grad=False)
        self.axes = nn.Parameter(torch.eye(space.dim)[:, :latent].clone(), requires_grad=False)  # U_d, [D, d]
        self.sd = nn.Parameter(torch.ones(latent), requires_grad=False)  # roots of Lambda

    def fit(self, x: Tensor, labels: Tensor | None = None) -> None:
        """In float64; of each axis the sign by which its largest entry is positive."""
        x = normalised(x, self.space).flatten(1).double()
        c = x - x.mean(0)
        eigenvalues, U = torch.linalg.eigh(c.T @ c / len(c))  # ascending
        U = U[:, -self.latent :].flip(1)
        self.mean.copy_(x.mean(0))
        self.axes.copy_(U * U.gather(0, U.abs().argmax(0, keepdim=True)).sign())
        self.sd.copy_(eigenvalues[-self.latent :].flip(0).clamp(min=0).sqrt())

    def encode(self, x: Tensor) -> Tensor:
        """[B, *shape] -> [B, d]."""
        return (normalised(x, self.space).flatten(1) - self.mean) @ self.axes

    def expected(self, z: Tensor) -> Tensor:
        """In the raw range of the space, not rounded: [n, d] -> [n, *shape]."""
        x = (self.mean + z @ self.axes.T).view(-1, *self.space.shape)
        if self.space.levels is None:
            return x
        return (x.clamp(-1, 1) + 1) * ((self.space.levels - 1) / 2)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.expected(self.encode(x))

    def sample_prior(self, n: int, generator: Generator) -> Tensor:
        return self.sd * torch.randn(n, self.latent, generator=generator, device=generator.device)

    def sample(self, n: int, generator: Generator) -> Tensor:
        x = self.mean + self.sample_prior(n, generator) @ self.axes.T
        return nearest_level(x.view(-1, *self.space.shape), self.space)


PRESETS = {
    "digits": Preset({"latent": 16}),  # as many as the codes of the other autoencoders
    "digits-without-9": Preset({"latent": 16}),
    "shapes": Preset({"latent": 8}),  # as many as the VAEs of this data
}

build = PCA
