"""Equal mixtures of round Gaussians: data, labels, density and modes from one definition."""

import numpy as np
from scipy.special import logsumexp

from genbench.datasets import SPLITS, Dataset
from genbench.space import Space

# PacGAN measures 2,500 samples; the test split has as many.
SIZES = {"train": 20_000, "validation": 2_500, "test": 2_500}


def gaussian_mixture(name: str, centres: np.ndarray, sd: float, seed: int) -> Dataset:
    """p(x) = 1/m sum_i N(x; centres[i], sd^2 I), centres `[m, d]`."""
    m, d = centres.shape
    rng = np.random.RandomState(seed)  # NumPy promises never to change its stream
    labels = {split: rng.randint(m, size=SIZES[split]) for split in SPLITS}
    points = {s: (centres[y] + sd * rng.standard_normal((len(y), d))).astype(np.float32) for s, y in labels.items()}

    def log_density(x: np.ndarray) -> np.ndarray:
        squares = ((x[:, None].astype(np.float64) - centres) ** 2).sum(-1) / sd**2  # [n, m]
        return logsumexp(-0.5 * squares, axis=1) - np.log(m) - d * np.log(sd) - 0.5 * d * np.log(2 * np.pi)

    return Dataset(
        name=name,
        space=Space((d,)),
        train=points["train"],
        validation=points["validation"],
        test=points["test"],
        labels=labels,
        licence="CC0 (generated)",
        source=f"genbench.datasets._mixtures, seed {seed}",
        log_density=log_density,
        modes=(centres, sd),
    )
