"""Sparse autoencoder: more code units than a bottleneck has, of which few are active for any one image.

    minimise E |x - g(f(x))|^2 + weight * penalty(f(x)),    f(x) = a(V x + c),  g(z) = W z + b

What keeps the code from copying the input is no longer its width but a price on activity. Two prices:

    kl    sum_j KL(rho || rho_j),  rho_j = mean over the batch of f_j(x)               (Ng 2011, section 2)
    l1    sum_j E |f_j(x)|,  every column of W of length 1        (Olshausen and Field 1996, equation 2, S(x) = |x|)

KL is that of two coins, rho log rho/rho_j + (1 - rho) log (1-rho)/(1-rho_j): every unit is on average active with
probability rho, so none dies. Its units are sigmoids. L1 counts activity example by example, and its units are
rectified, so that most are exactly 0. Without the unit columns L1 would be no price at all: halving f and doubling W
changes no output and halves the penalty.

The model has no likelihood; why not, and where its samples come from, is told in `_codes.py`. Sparse codes are the
least Gaussian of all: most of their mass is at 0, and a Gaussian has none of the dependence in which units are active.

References:
    Emergence of simple-cell receptive field properties by learning a sparse code (Olshausen, Field, 1996).
    Efficient learning of sparse representations with an energy-based model (Ranzato, Poultney, Chopra, LeCun, 2006).
    Sparse autoencoder (Ng, 2011), CS294A lecture notes.
"""

import torch
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from ._codes import CodeModel

VERSION = 1
PENALTIES = ("kl", "l1")
JITTER = 0.01  # sd


class UnitColumns(nn.Linear):
    """A linear map whose every column is divided by its length: no unit pays less by a larger weight after it."""

    def forward(self, z: Tensor) -> Tensor:
        return nn.functional.linear(z, nn.functional.normalize(self.weight, dim=0), self.bias)


def coins(rho: float, mean: Tensor) -> Tensor:
    """KL(rho || mean) of two coins, elementwise; finite, since a sigmoid's mean that rounds to 0 or 1 is moved off."""
    mean = mean.clamp(1e-6, 1 - 1e-6)
    p = torch.tensor(rho, dtype=mean.dtype, device=mean.device)
    return p * (p / mean).log() + (1 - p) * ((1 - p) / (1 - mean)).log()


class SparseAutoencoder(CodeModel):
    """One layer of `latent` units, and a linear map back.

    Arguments:
        latent: units of the code, usually more than the data need.
        penalty: "kl" (sigmoid units) or "l1" (rectified units, columns of the decoder of length 1).
        weight: of the penalty, in squared error summed over values on [-1, 1].
        rho: the mean activity that "kl" asks of every unit.
    """

    def __init__(
        self, space: Space, *, latent: int = 64, penalty: str = "kl", weight: float = 0.1, rho: float = 0.05
    ) -> None:
        if penalty not in PENALTIES:
            raise ValueError(f"penalty is one of {', '.join(PENALTIES)}, got {penalty!r}")
        if not 0 < rho < 1:
            raise ValueError(f"rho is a probability above 0 and below 1, got {rho}")
        unit = nn.Sigmoid() if penalty == "kl" else nn.ReLU()
        back = nn.Linear(latent, space.dim) if penalty == "kl" else UnitColumns(latent, space.dim)
        super().__init__(space, nn.Sequential(nn.Linear(space.dim, latent), unit), nn.Sequential(back), latent)
        self.penalty, self.weight, self.rho = penalty, weight, rho

    def price(self, z: Tensor) -> Tensor:
        """The penalty of a batch of codes [B, latent], summed over units."""
        return coins(self.rho, z.mean(0)).sum() if self.penalty == "kl" else z.abs().sum(1).mean()

    def sparse_error(self, x: Tensor, generator: Generator) -> Tensor:
        clean = self.clean(x)
        z = self.f(clean)
        return (self.g(z) - clean).square().sum(1).mean() + self.weight * self.price(z)

    def latent_loss(self, x: Tensor, generator: Generator) -> Tensor:
        """Rectified units that no example activates have no variance: a little noise gives them a Gaussian, too."""
        z = self.encode(x).detach()
        if self.penalty == "l1":
            z = z + JITTER * torch.randn(z.shape, generator=generator, device=generator.device)
        return -self.codes.log_density(z).mean()

    def stages(self) -> tuple[Stage, ...]:
        """The autoencoder first; then, its weights at rest, the Gaussian of its codes."""
        learn = Objective("sparse", [*self.f.parameters(), *self.g.parameters()], self.sparse_error)
        return Stage("sparse", (learn,), self.sparse_error, fraction=0.6), self.latent_stage(0.4)


PRESETS = {
    "digits": Preset(
        {"latent": 64, "penalty": "kl", "weight": 0.3, "rho": 0.05}, steps=12000, batch_size=256, lr=4e-3, ema=0.998
    ),
}

build = SparseAutoencoder
