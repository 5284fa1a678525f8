"""Ring of 8 Gaussians in the plane (radius 1, standard deviation 0.01), with its exact density.

References:
    Adversarially Learned Inference (Dumoulin et al., 2016); VEEGAN (Srivastava et al., 2017);
    PacGAN (Lin et al., 2018), whose protocol takes 2,500 samples.
"""

from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._mixtures import gaussian_mixture

LICENCE = "CC0 (generated)"
SOURCE = "genbench.datasets._mixtures, seed 8"
DOWNLOAD = 0


def load(root: Path | None = None) -> Dataset:
    angle = 2 * np.pi * np.arange(8) / 8
    return gaussian_mixture("ring8", np.stack([np.cos(angle), np.sin(angle)], 1), sd=0.01, seed=8)
