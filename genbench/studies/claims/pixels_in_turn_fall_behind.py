"""Processor time of a sample along the side of the image, of untrained networks of fixed width.

A VAE of convolutions draws an image of two levels in one pass; a PixelCNN of 16 features and 4 blocks draws it pixel by
pixel, either by a full pass for each, or by a cache in which a pixel costs the same wherever it lies. With t the time
of a sample and s the side, t ~ s^a; a is the slope of log t against log s by least squares. In theory a pass takes
s^2 work, s^2 passes s^4, and s^2 steps in a cache s^2 again.

One trial times everything once, model after model at one side after another, on one thread, 64 samples at once. Where
a full pass is taken for each pixel the passes are alike: three are timed, and counted s^2 times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from genbench import catalog
from genbench.space import Space
from genbench.studies.claims import Finding
from genbench.studies.claims._training import seconds
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "The larger the image, the further a model that draws pixel by pixel falls behind a latent-variable model."
SAID_BY = "Reed et al. (2017): one evaluation of the network for each pixel; lectures that compare the families"
DECIDED_BY = (
    "the exponent of a sample's processor time in the side of the image, 8 to 64, PixelCNN less VAE: below 0.2, a "
    "factor of 1.5 over these sides, the gap counts as constant"
)
CARRIES = (
    "to work on one thread, of networks whose width does not grow with the image. With a cache the gap grows among "
    "small images, where a VAE's pass is mostly overhead: from 28 to 64 pixels the exponents are 1.9 and 2.1, and the "
    "VAE 27 and 30 times as fast. Where a whole image is computed at once, steps count and not work: one for a VAE, "
    "one for each pixel for a PixelCNN with or without a cache."
)
PICTURE = "Processor time of a sample against the side of the image, means over trials, with fitted exponents."
SEEDS, VERSION = 6, 1
SIDES, BATCH, PASSES, NONE = (8, 16, 28, 64), 64, 3, 0.2
PIXELCNN = {"width": 16, "depth": 4, "first": 5}


def of_side(side: int, seed: int) -> dict[str, float]:
    """Seconds of one sample by each model."""
    space, generator = Space((1, side, side), levels=2), torch.Generator().manual_seed(seed)
    vae: Any = catalog.build("conv-vae", space, {}).eval()
    pixelcnn: Any = catalog.build("pixelcnn", space, PIXELCNN).eval()
    x = torch.zeros(BATCH, 1, side, side, dtype=torch.int64)

    def passes() -> None:
        for _ in range(PASSES):
            pixelcnn.logits(x)

    return {
        "VAE": seconds(lambda: vae.sample(BATCH, generator)) / BATCH,
        "cache": seconds(lambda: pixelcnn.sample(BATCH, generator)) / BATCH,
        "passes": seconds(passes) / PASSES * side**2 / BATCH,
    }


@torch.no_grad()
def trial(seed: int) -> Found:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {str(side): of_side(side, seed) for side in SIDES}
    finally:
        torch.set_num_threads(threads)


def exponents(found: list[Found], model: str) -> np.ndarray:
    """The slope of log seconds in log side, of every trial."""
    t = np.stack([each(found, str(side), model) for side in SIDES])
    return np.polyfit(np.log(SIDES), np.log(np.maximum(t, 1e-12)), 1)[0]


def judged(found: list[Found]) -> list[Finding]:
    a = {model: exponents(found, model) for model in ("VAE", "cache", "passes")}
    more = {m: f"(VAE {a['VAE'].mean():.2f}, PixelCNN {a[m].mean():.2f})" for m in ("passes", "cache")}
    return [
        of_mean(f"a pass for each pixel: exponent less VAE {more['passes']}", a["passes"] - a["VAE"], "above", NONE, 2),
        of_mean(f"with a cache: exponent less VAE {more['cache']}", a["cache"] - a["VAE"], "above", NONE, 2),
    ]


def plot(axes, found: list[Found]) -> None:
    said = {"passes": "PixelCNN, a pass for each pixel", "cache": "PixelCNN with a cache", "VAE": "VAE, one pass"}
    for (model, label), marker in zip(said.items(), "^os", strict=True):
        t = [float(each(found, str(side), model).mean()) for side in SIDES]
        axes.plot(SIDES, t, marker + "-", label=f"{label}: exponent {exponents(found, model).mean():.2f}")
    axes.set(xscale="log", yscale="log", xlabel="side of the image, pixels", ylabel="processor seconds of a sample")
    axes.set_xticks(SIDES, list(map(str, SIDES)))
    axes.minorticks_off()
    axes.legend(fontsize=8)
