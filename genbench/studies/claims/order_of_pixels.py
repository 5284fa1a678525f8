"""One likelihood model of the digits after another, their pixels in three orders: rows, columns, and at random.

log p(x) = sum_i log p(x_i | those before) holds in any order. An RNN and an LSTM of 48 units read pixel after pixel, so
that in rows the pixel above is eight steps back, and in a random order any neighbour may be anywhere. A PixelCNN of
`baselines/` reads the pixels of an image that was dealt anew: columns are its transpose, and a random order leaves no
neighbours to its filters. MADE sees all that came before through one masked network. A model has the same steps and
the same first weights in all orders; a random order is another one for each seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import catalog
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A random order of pixels costs recurrent and convolutional networks likelihood, and MADE none."
SAID_BY = "Vinyals, Bengio, Kudlur (2016), that order matters to what recurs; Germain et al. (2015) of MADE"
DECIDED_BY = "exact bits/dim of test digits, random order less rows, of which 0.02 counts as none"
CARRIES = "to 64 pixels and these numbers of steps; a network that is trained longer may make up for its order."
PICTURE = "Exact bits/dim of test digits: a point for each seed."
SEEDS, VERSION = 4, 2
ORDERS, LEVELS, WIDTH = ("rows", "columns", "random"), 17, 48
STEPS = {"RNN": 300, "LSTM": 300, "PixelCNN": 300, "MADE": 600}
PIXELCNN = {"width": 32, "depth": 4, "first": 5}


def placed(order: str, seed: int) -> np.ndarray:
    """Which pixel comes at each of the 64 places."""
    pixels = np.arange(64).reshape(8, 8)
    return {
        "rows": pixels.ravel(),
        "columns": pixels.T.ravel(),
        "random": np.random.default_rng(seed).permutation(64),
    }[order]


class Recurrent(nn.Module):
    """An RNN or LSTM over values, each told the one before."""

    def __init__(self, layer: Callable[..., nn.RNNBase]) -> None:
        super().__init__()
        self.told = nn.Embedding(LEVELS + 1, 16)
        self.place = nn.Embedding(64, 16)
        self.layer = layer(16, WIDTH, batch_first=True)
        self.out = nn.Linear(WIDTH, LEVELS)

    def log_prob(self, x: Tensor) -> Tensor:
        """Of levels `[n, 64]` in nats `[n]`."""
        before = F.pad(x[:, :-1], (1, 0), value=LEVELS)
        h, _ = self.layer(self.told(before) + self.place.weight)
        return self.out(h).log_softmax(-1).gather(2, x[..., None])[..., 0].sum(1)


def network(model: str) -> Any:
    if model == "PixelCNN":
        return catalog.build("pixelcnn", digits().space, PIXELCNN)
    return catalog.build("made", digits().space, {"orders": 1}) if model == "MADE" else Recurrent(getattr(nn, model))


def bits(model: str, order: str, seed: int) -> float:
    """Bits/dim of the test digits."""
    torch.manual_seed(seed)
    at = placed(order, seed)
    train, test = (whole(x.reshape(-1, 64)[:, at]) for x in (digits().train, digits().test))
    net = network(model)

    def log_prob(x: Tensor) -> Tensor:
        return net.log_prob(x if isinstance(net, Recurrent) else x.reshape(-1, 1, 8, 8))

    trained(net, train, lambda x: -log_prob(x).mean() / 64, STEPS[model], seed, lr=5e-3)
    with torch.no_grad():
        return -float(log_prob(test).double().mean()) / (64 * math.log(2))


def trial(seed: int) -> Found:
    return {model: {order: bits(model, order, seed) for order in ORDERS} for model in STEPS}


def judged(found: list[Found]) -> list[Finding]:
    cost = {m: each(found, m, "random") - each(found, m, "rows") for m in STEPS}
    what = "bits/dim, random order less rows"
    return [
        *(of_mean(f"{m}: {what}", cost[m], "above", 0.0, len(STEPS)) for m in STEPS if m != "MADE"),
        of_mean(f"MADE: {what}", cost["MADE"], "below", 0.02, len(STEPS)),
    ]


def plot(axes, found: list[Found]) -> None:
    for i, model in enumerate(STEPS):
        for j, order in enumerate(ORDERS):
            y = each(found, model, order)
            at = i + 0.25 * (j - 1) + np.linspace(-0.06, 0.06, len(y))
            axes.scatter(at, y, s=16, color=f"C{j}", label=None if i else order)
    axes.set_xticks(range(len(STEPS)), list(STEPS))
    axes.set(ylabel="bits/dim of test digits")
    axes.legend(title="order of pixels", fontsize=8, title_fontsize=8, loc="lower right")
