"""Quarters of samples, and how they fit together: a VQ-VAE against a VAE, both of the baselines.

The squared transport distance of two Gaussians is a sum over blocks of values, and something that is at least 0:

    FD(whole) = sum over quarters FD(quarter) + what the quarters lack together,

since a map that is best for the whole is none better for its parts. The first term sees what a 4x4 quarter by itself
looks like, the second how quarters go together. All are of pixels in units of the range, 2,000 samples against the
training digits; fresh digits in their place (those to test on) show what is noise.

A VQ-VAE is codes (a 4x4 grid of 32), then their prior, 1,000 steps each; the VAE takes 2,000 steps. Both have a
categorical distribution for each pixel.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from genbench import catalog
from genbench.metrics import fd
from genbench.numerics.points import Points
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A VQ-VAE gets the parts of an image better than a VAE, and the whole worse."
SAID_BY = (
    "Razavi, van den Oord, Vinyals (2019), section 3.1, who add a level of codes for global shape; lectures on VQ-VAE"
)
DECIDED_BY = (
    "the Fréchet distance of quarters of samples, and by how much that of the whole exceeds their sum, VQ-VAE less VAE"
)
CARRIES = (
    "to means and covariances of pixels of 8x8 digits, where a prior over sixteen codes sees the whole at once; "
    "larger grids of codes are harder to learn a prior of."
)
PICTURE = "Fréchet distance of quarters, and what they lack together (lower is better): a point for each seed."
SEEDS, VERSION = 5, 1
STEPS, DRAWN = 2000, 2000
VQVAE = {"width": 24, "blocks": 2, "dropout": 0.2, "codes": 32, "dim": 8, "prior_width": 20, "prior_depth": 4,
         "prior_dropout": 0.3}  # fmt: skip
VAE = {"latent": 16, "hidden": 64, "dropout": 0.1}


def distances(x: np.ndarray) -> dict[str, float]:
    """Of images `[n, 1, 8, 8]` from the training digits: over quarters, and what the whole has beyond them."""
    a, b = (images.reshape(-1, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4) / 16 for images in (x, digits().train))

    def of(part: tuple) -> float:
        u, v = (y[(slice(None), *part)].reshape(len(y), -1) for y in (a, b))
        return float(fd.compute(Points(u), Points(v))["fd"].value)

    quarters = sum(of((i, j)) for i in range(2) for j in range(2))
    return {"quarters": quarters, "together": of(()) - quarters}


def drawn(model: Any, seed: int) -> dict[str, float]:
    with torch.no_grad():
        return distances(model.sample(DRAWN, torch.Generator().manual_seed(seed)).numpy())


def vqvae(seed: int) -> Any:
    torch.manual_seed(seed)
    model: Any = catalog.build("vqvae", digits().space, VQVAE)
    x, noise = whole(digits().train), torch.Generator().manual_seed(seed)
    trained(model, x, lambda batch: model.code_loss(batch, noise) / 64, STEPS // 2, seed)
    trained(model.prior, x, lambda batch: model.prior_loss(batch, noise) / 16, STEPS // 2, seed)
    return model.eval()


def vae(seed: int) -> Any:
    torch.manual_seed(seed)
    model: Any = catalog.build("vae", digits().space, VAE)
    x, noise = whole(digits().train), torch.Generator().manual_seed(seed)
    return trained(model, x, lambda batch: model.loss(batch, noise) / 64, STEPS, seed)


def trial(seed: int) -> Found:
    return {"VQ-VAE": drawn(vqvae(seed), seed), "VAE": drawn(vae(seed), seed), "test": distances(digits().test)}


def judged(found: list[Found]) -> list[Finding]:
    less = {what: each(found, "VQ-VAE", what) - each(found, "VAE", what) for what in ("quarters", "together")}
    return [
        of_mean("FD of quarters, VQ-VAE less VAE", less["quarters"], "below", 0.0, 2),
        of_mean("what quarters lack together, VQ-VAE less VAE", less["together"], "above", 0.0, 2),
    ]


def plot(axes, found: list[Found]) -> None:
    said = {"quarters": "quarters by themselves", "together": "what they lack together"}
    for i, what in enumerate(said):
        for j, model in enumerate(("VAE", "VQ-VAE")):
            y = each(found, model, what)
            x = i + 0.24 * (j - 0.5) + np.linspace(-0.06, 0.06, len(y))
            axes.scatter(x, y, s=16, color=f"C{j}", label=None if i else model)
        axes.hlines(each(found, "test", what).mean(), i - 0.3, i + 0.3, color="#888888", linewidth=0.8,
                    label=None if i else "500 test digits")  # fmt: skip
    axes.set_xticks(range(len(said)), list(said.values()))
    axes.set(ylabel="FD of pixels, squared range", ylim=(0, None))
    axes.legend(fontsize=8)
