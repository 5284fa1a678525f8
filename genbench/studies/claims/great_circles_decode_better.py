"""The middle between two latents of a VAE of the digits, decoded: on the straight line and on the great circle.

The VAE of `baselines/` with a beta of 0.1, with which most of its 32 latents are used, is trained for 1,500 steps. Of
1,000 draws from the prior, 500 pairs, the Fréchet distance in the features of the digits' classifier is measured of
the expected pictures of the middles of lines, of those of great circles, and of the first of each pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from genbench import catalog
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, frechet, trained
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "Between two latents a great circle gives better pictures than a straight line."
SAID_BY = "White (2016), section 2.1"
DECIDED_BY = "the Fréchet distance of decoded middles, straight line less great circle, of 32 latents"
CARRIES = "to latents drawn from the prior of a VAE of 8x8 digits; between the codes of two real digits is not asked."
PICTURE = "Fréchet distance of decoded middles and of decoded draws from the prior: a point for each seed."
SEEDS, VERSION = 5, 1
LATENT, BETA, STEPS, PAIRS_DRAWN = 32, 0.1, 1500, 500


def middles(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the straight lines, and of the great circles (spherical interpolation at 1/2) `[n, d]`."""
    cosine = torch.nn.functional.cosine_similarity(a, b)[:, None]
    line = (a + b) / 2
    return line, line / ((1 + cosine) / 2).sqrt()


def trial(seed: int) -> Found:
    data = digits()
    vae: Any = catalog.build("beta-vae", data.space, {"beta": BETA, "climb": 0, "latent": LATENT})
    noise = torch.Generator().manual_seed(seed)
    trained(vae, torch.from_numpy(data.train).long(), lambda x: vae.weighted(x, noise), STEPS, seed)
    with torch.no_grad():
        a, b = vae.sample_prior(2 * PAIRS_DRAWN, noise).chunk(2)
        line, circle = middles(a, b)
        return {name: frechet(vae.expected(z)) for name, z in (("line", line), ("circle", circle), ("prior", a))}


def judged(found: list[Found]) -> list[Finding]:
    return [of_mean("FD of middles, line less circle", each(found, "line") - each(found, "circle"), "above", 0.0)]


def plot(axes, found: list[Found]) -> None:
    names = {"line": "middles of lines", "circle": "middles of great circles", "prior": "draws from the prior"}
    for i, name in enumerate(names):
        y = each(found, name)
        axes.scatter(i + np.linspace(-0.1, 0.1, len(y)), y, s=16)
    axes.set_xticks(range(len(names)), list(names.values()))
    axes.set(ylabel="FD (squared feature distance)", ylim=(0, None))
