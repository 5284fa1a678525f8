"""Five Gaussian blades in the plane, bent into a pinwheel by a twist that keeps areas, with their exact density.

    z ~ 1/5 sum_k N(R(2 pi k / 5) (1, 0), long along the ray and thin across it),    x = R(twist |z|) z

R(a) turns by the angle a. The twist turns every circle about the origin by an angle of its own, so |x| = |z|, its
inverse is R(-twist |x|) x, and its Jacobian has determinant 1: in polar coordinates it adds a function of the radius
to the angle. So p(x) is the mixture's density at z, in closed form, though its ridges are curved. A mixture of
Gaussians with straight axes, or a coupling that bends one coordinate at a time, has to work for each bend.

References:
    Composing graphical models with neural networks for structured representations and fast inference (Johnson et al.,
    2016), whose pinwheel turns by the exponential of the latent instead of its radius, and has no closed form.
"""

from pathlib import Path

import numpy as np
from scipy.special import logsumexp

from genbench.datasets import SPLITS, Dataset
from genbench.datasets._mixtures import SIZES
from genbench.space import Space

LICENCE = "CC0 (generated)"
SOURCE = "genbench.datasets.pinwheel, seed 55"
DOWNLOAD = 0

SEED = 55
BLADES = 5
ALONG, ACROSS = 0.3, 0.05  # standard deviations of a blade before it is bent
TWIST = 2.0  # radians by which a point at distance 1 is turned


def turned(x: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """R(angle) x: `[..., 2]`, `[...]` -> `[..., 2]`."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x[..., 0] - sin * x[..., 1], sin * x[..., 0] + cos * x[..., 1]], -1)


def log_density(x: np.ndarray) -> np.ndarray:
    """log p(x) in nats: `[n, 2]` -> `[n]`."""
    x = x.astype(np.float64)
    z = turned(x, -TWIST * np.linalg.norm(x, axis=-1))
    rays = 2 * np.pi * np.arange(BLADES) / BLADES
    along, across = np.moveaxis(turned(z[:, None], -rays), -1, 0)  # [n, blades] each, the blade on the first axis
    squares = ((along - 1) / ALONG) ** 2 + (across / ACROSS) ** 2
    return logsumexp(-0.5 * squares, axis=1) - np.log(BLADES * 2 * np.pi * ALONG * ACROSS)


def points(blade: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """A draw of each blade in `[n]` -> `[n, 2]`."""
    z = rng.standard_normal((len(blade), 2)) * (ALONG, ACROSS) + (1, 0)
    z = turned(z, 2 * np.pi * blade / BLADES)
    return turned(z, TWIST * np.linalg.norm(z, axis=1)).astype(np.float32)


def load(root: Path | None = None) -> Dataset:
    rng = np.random.RandomState(SEED)  # its stream is frozen since NumPy 1.16
    labels = {split: rng.randint(BLADES, size=SIZES[split]) for split in SPLITS}
    train, validation, test = (points(labels[split], rng) for split in SPLITS)
    return Dataset(
        name="pinwheel",
        space=Space((2,)),
        train=train,
        validation=validation,
        test=test,
        labels=labels,
        licence=LICENCE,
        source=SOURCE,
        log_density=log_density,
    )
