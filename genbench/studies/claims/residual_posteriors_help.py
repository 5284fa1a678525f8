"""The posterior of a hierarchical VAE, relative to its prior and by itself.

The baseline `hierarchical-vae` says of a group of latents how x moves the prior, mean mu + dmu and log sd s + ds. In
its place the same network may give mean and log sd themselves; then dmu is what it gives less mu, and where the prior
moves in training the posterior has to follow. The family of q is the same, so are first weights, steps and the
spectral regularisation. The bound is the mean of log p(x, z) - log q(z | x) over eight draws of z for each test digit.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from genbench import catalog
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "In a hierarchical VAE a posterior that is relative to its prior gives a better bound."
SAID_BY = "Vahdat, Kautz (2020), section 3.2, of residual normal distributions"
DECIDED_BY = "the bound on bits/dim of test digits, absolute less residual, after 300 steps"
CARRIES = (
    "to four groups of latents and 8x8 digits; the paper has dozens of groups, where more priors move beneath more "
    "posteriors."
)
PICTURE = "Bound on bits/dim of test digits along training (lower is better): a line for each seed."
SEEDS, VERSION = 5, 1
STEPS, EVERY, DRAWS = 300, 100, 8
OPTIONS = {"width": 16, "channels": 2, "spectral": 0.02, "decoder": "logistics"}


class Absolute(nn.Module):
    """A group of latents whose network gives mean and log sd of the posterior themselves."""

    def __init__(self, group: Any) -> None:
        super().__init__()
        self.group = group
        self.p, self.join = group.p, group.join

    def residual(self, h: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """What they are relative to the prior."""
        (mean, log_sd), (m, s) = self.group.p(h), self.group.residual(h, features)
        return m - mean, s - log_sd


def built(kind: str, seed: int) -> Any:
    torch.manual_seed(seed)
    model: Any = catalog.build("hierarchical-vae", digits().space, OPTIONS)
    if kind == "absolute":
        model.groups = nn.ModuleList(Absolute(group) for group in model.groups)
    return model


@torch.no_grad()
def bits(model: Any) -> float:
    """The bound on bits/dim of the test digits."""
    test = whole(digits().test)
    model.eval()
    log_w = model.log_weights(test, DRAWS, torch.Generator().manual_seed(0)).double().mean()
    model.train()
    return -float(log_w) / (64 * math.log(2))


def curve(kind: str, seed: int) -> list[float]:
    """The bound after every hundred steps."""
    model, noise, values, taken = built(kind, seed), torch.Generator().manual_seed(seed), list[float](), 0

    def loss(x: Tensor) -> Tensor:
        nonlocal taken
        if taken and taken % EVERY == 0:
            values.append(bits(model))
        taken += 1
        return model.loss(x, noise) / 64

    trained(model, whole(digits().train), loss, STEPS, seed)
    return [*values, bits(model)]


def trial(seed: int) -> Found:
    return {kind: curve(kind, seed) for kind in ("residual", "absolute")}


def judged(found: list[Found]) -> list[Finding]:
    last = {kind: each(found, kind)[:, -1] for kind in ("residual", "absolute")}
    return [of_mean("bound on bits/dim, absolute less residual", last["absolute"] - last["residual"], "above", 0.0)]


def plot(axes, found: list[Found]) -> None:
    steps = range(EVERY, STEPS + 1, EVERY)
    for kind, colour in (("absolute", "C1"), ("residual", "C0")):
        for i, values in enumerate(each(found, kind)):
            axes.plot(steps, values, "o-", color=colour, markersize=3, linewidth=0.8, label=None if i else kind)
    axes.set(xlabel="steps of training", ylabel="bits/dim of test digits")
    axes.legend(fontsize=8)
