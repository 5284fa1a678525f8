"""Grid of 5x5 Gaussians in the plane (spacing 2, standard deviation 0.05), with its exact density.

References:
    Adversarially Learned Inference (Dumoulin et al., 2016); VEEGAN (Srivastava et al., 2017);
    PacGAN (Lin et al., 2018), whose protocol takes 2,500 samples.
"""

from pathlib import Path

import numpy as np

from genbench.datasets import Dataset
from genbench.datasets._mixtures import gaussian_mixture

LICENCE = "CC0 (generated)"
SOURCE = "genbench.datasets._mixtures, seed 25"
DOWNLOAD = 0


def load(root: Path | None = None) -> Dataset:
    line = np.arange(-4.0, 5.0, 2.0)
    return gaussian_mixture("grid25", np.stack(np.meshgrid(line, line), -1).reshape(25, 2), sd=0.05, seed=25)
