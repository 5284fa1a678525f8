"""Random codes and codes between two examples, decoded: is what comes out one of the shapes?

The data set `shapes` is finite: 4,608 pictures of one square, disc or diamond, all of them known. An autoencoder and a
VAE with 8 code values, one network shape and 2,500 steps learn from half of them. Codes are drawn from N(0, I) for the
VAE and from a Gaussian fitted to the codes for the autoencoder; middles are those of the straight line between the
codes of two test examples. A decoded picture is as good as the nearest of all 4,608 is near: root mean square over
pixels, as a share of the range.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from genbench import datasets
from genbench.studies.claims import Finding
from genbench.studies.claims._training import like, trained
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "Random codes and codes between two examples decode nearer to the data in a VAE than in an autoencoder."
SAID_BY = "lectures that call the latent space of a VAE continuous and complete"
DECIDED_BY = "distance of decoded pictures from the nearest of all 4,608 shapes, autoencoder less VAE"
CARRIES = (
    "to one shape on 16x16 pixels and 8 code values, a Gaussian fitted to the autoencoder's codes. Nearer is not "
    "there: random codes of the VAE lie twice as far from any shape as its reconstructions do, as the picture shows. "
    "The sentence first said that they decode to members, which does not hold."
)
PICTURE = "Distance of decoded pictures from the nearest shape, medians of 500: a point for each seed."
SEEDS, VERSION = 5, 1
LATENT, HIDDEN, STEPS, DRAWN, SD = 8, 128, 2500, 500, 0.1


@cache
def shapes() -> tuple[Tensor, Tensor, Tensor]:
    """All shapes, those to train on and those to test on, in [0, 1] `[n, 256]`."""
    data = datasets.load("shapes")
    train, validation, test = (
        torch.from_numpy(x.reshape(len(x), -1).astype(np.float32) / 16)
        for x in (data.train, data.validation, data.test)
    )
    return torch.cat([train, validation, test]), train, test


def net(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, outputs)
    )


def distances(pictures: Tensor) -> Tensor:
    """To the nearest of all shapes `[n]`."""
    return torch.cdist(pictures, shapes()[0]).amin(1) / 16


def of_model(variational: bool, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    _, train, test = shapes()
    encoder, decoder = net(256, 2 * LATENT), net(LATENT, 256)
    noise = torch.Generator().manual_seed(seed)

    def loss(x: Tensor) -> Tensor:
        mean, log_sd = encoder(x).chunk(2, 1)
        if not variational:
            return (decoder(mean) - x).square().mean()
        z = mean + log_sd.exp() * torch.randn(mean.shape, generator=noise)
        kl = 0.5 * (mean.square() + (2 * log_sd).exp() - 1 - 2 * log_sd).sum(1)
        return ((decoder(z) - x).square().sum(1) / (2 * SD**2) + kl).mean() / 256

    trained(nn.ModuleList([encoder, decoder]), train, loss, STEPS, seed)
    with torch.no_grad():
        codes = encoder(train)[:, :LATENT].double()
        z = torch.randn(DRAWN, LATENT, dtype=torch.float64)
        if not variational:
            z = like(codes, z)
        ends = encoder(test[: 2 * DRAWN])[:, :LATENT]
        middles = (ends[:DRAWN] + ends[DRAWN:]) / 2
        found = {"random": decoder(z.float()), "middle": decoder(middles), "reconstruction": decoder(ends)}
        return {what: float(distances(pictures).median()) for what, pictures in found.items()}


def trial(seed: int) -> Found:
    return {"VAE": of_model(True, seed), "autoencoder": of_model(False, seed)}


def judged(found: list[Found]) -> list[Finding]:
    more = {w: each(found, "autoencoder", w) - each(found, "VAE", w) for w in ("random", "middle")}
    return [
        of_mean("random codes: distance, autoencoder less VAE", more["random"], "above", 0.0, 2),
        of_mean("middles: distance, autoencoder less VAE", more["middle"], "above", 0.0, 2),
    ]


def plot(axes, found: list[Found]) -> None:
    ticks: list[str] = []
    for what, label in (("reconstruction", "reconstructions"), ("middle", "middles"), ("random", "random codes")):
        for j, model in enumerate(("VAE", "autoencoder")):
            y = each(found, model, what)
            x = len(ticks) + 0.2 * (j - 0.5) + np.linspace(-0.05, 0.05, len(y))
            axes.scatter(x, y, s=16, color=f"C{j}", label=None if ticks else model)
        ticks.append(label)
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set(ylabel="share of the range", ylim=(0, None))
    axes.legend(fontsize=8)
