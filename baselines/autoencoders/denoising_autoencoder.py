"""Denoising autoencoder: a bottleneck network that gives back the clean image from a corrupted one.

    minimise E |x - g(f(x~))|^2,   x~ ~ c(x~ | x)              (Vincent et al. 2008, section 2.3)

The corruption c either blanks every value with probability `noise` (masking) or adds Gaussian noise of
standard deviation `noise`, on values normalised to [-1, 1]. What can be filled in again has to be
inferred from the other values, so the codes f(x) hold structure and not pixels.

The model has no likelihood; why not, and where its samples come from, is told in `_codes.py`.

References:
    Extracting and Composing Robust Features with Denoising Autoencoders (Vincent, Larochelle,
    Bengio, Manzagol, 2008); Stacked Denoising Autoencoders (Vincent et al., 2010) for Gaussian noise.

NOTE: the paper's bits have a cross-entropy; grey levels have the squared error of the 2010 paper.
"""

import torch
from torch import Generator, Tensor, nn

from genbench import Objective, Preset, Space, Stage

from ._codes import CodeModel

VERSION = 1
CORRUPTIONS = ("masking", "gaussian")


class DenoisingAutoencoder(CodeModel):
    """Encoder f: D -> latent, decoder g: latent -> D, two hidden layers in all.

    Arguments:
        latent, hidden: width of the code and of the hidden layer on either side.
        corruption: "masking" or "gaussian".
        noise: the share of values masked, or the standard deviation on [-1, 1].
    """

    def __init__(
        self, space: Space, *, latent: int = 16, hidden: int = 256, corruption: str = "masking", noise: float = 0.25
    ) -> None:
        if corruption not in CORRUPTIONS:
            raise ValueError(f"corruption is one of {', '.join(CORRUPTIONS)}, got {corruption!r}")
        f = nn.Sequential(nn.Linear(space.dim, hidden), nn.SiLU(), nn.Linear(hidden, latent))
        g = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, space.dim))
        super().__init__(space, f, g, latent)
        self.corruption, self.noise = corruption, noise

    def corrupted(self, x: Tensor, generator: Generator) -> Tensor:
        """A draw of x~ for normalised x; masked values are black: the lowest level, or 0 on real numbers."""
        if self.corruption == "gaussian":
            return x + self.noise * torch.randn(x.shape, generator=generator, device=generator.device)
        masked = torch.rand(x.shape, generator=generator, device=generator.device) < self.noise
        return x.masked_fill(masked, 0.0 if self.space.levels is None else -1.0)

    def denoising_error(self, x: Tensor, generator: Generator) -> Tensor:
        """Squared error of the clean example, summed over its values, mean over the batch."""
        clean = self.clean(x)
        return (self.g(self.f(self.corrupted(clean, generator))) - clean).square().sum(1).mean()

    def stages(self) -> tuple[Stage, ...]:
        """The autoencoder first; then, its weights at rest, the Gaussian of its codes."""
        weights = [*self.f.parameters(), *self.g.parameters()]
        learn = Objective("denoising", weights, self.denoising_error)
        return Stage("denoising", (learn,), self.denoising_error, fraction=0.75), self.latent_stage()


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
