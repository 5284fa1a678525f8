"""An autoencoder whose code is one number, on 32 points that have nothing in common.

Points are drawn from N(0, I) in 64 dimensions. The best linear code of one number keeps the share of their variance
that lies along their first principal component; an encoder and a decoder of two hidden layers learn them by heart.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from genbench.studies.claims import Finding
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A code narrower than the data keeps an autoencoder from copying its input."
SAID_BY = (
    "introductions to the undercomplete autoencoder; against it Goodfellow, Bengio, Courville (2016), section 14.1"
)
DECIDED_BY = "the share of the variance of 32 random points in 64 dimensions that a code of one number gives back"
CARRIES = "to training points: of new ones such a code knows nothing. With a few weights or many points it does hold."
PICTURE = (
    "Share of the variance that is given back: of training points, and of fresh ones (below 0 is worse than the mean)."
)
SEEDS, VERSION = 5, 1
POINTS, DIMENSION, HIDDEN, STEPS = 32, 64, 128, 3000


def given_back(x: torch.Tensor, y: torch.Tensor) -> float:
    """1 - |x - y|^2 / |x|^2 of points about 0."""
    return 1 - float((x - y).square().sum() / x.square().sum())


def trial(seed: int) -> Found:
    generator = torch.Generator().manual_seed(seed)
    x, fresh = (torch.randn(POINTS, DIMENSION, generator=generator) for _ in range(2))
    encoder = nn.Sequential(nn.Linear(DIMENSION, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))
    decoder = nn.Sequential(
        nn.Linear(1, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, DIMENSION)
    )
    net = nn.Sequential(encoder, decoder)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = 2e-3 * (1 - step / STEPS)
        optimiser.zero_grad()
        (net(x) - x).square().mean().backward()
        optimiser.step()
    with torch.no_grad():
        variances = np.linalg.svd(x.numpy(), compute_uv=False) ** 2
        linear = float(variances[0] / variances.sum())
        return {"trained": given_back(x, net(x)), "fresh": given_back(fresh, net(fresh)), "linear": linear}


def judged(found: list[Found]) -> list[Finding]:
    return [
        of_mean("two hidden layers: share of variance given back", each(found, "trained"), "below", 0.5, 2),
        of_mean("linear code of one number: the same", each(found, "linear"), "below", 0.5, 2),
    ]


def plot(axes, found: list[Found]) -> None:
    names = {"trained": "training points", "linear": "training points,\nlinear code", "fresh": "fresh points"}
    for i, name in enumerate(names):
        y = each(found, name)
        axes.scatter(i + np.linspace(-0.1, 0.1, len(y)), y, s=16)
    axes.set_xticks(range(len(names)), list(names.values()))
    axes.set(ylabel="share of variance given back")
    axes.axhline(0, color="#888888", linewidth=0.8)
