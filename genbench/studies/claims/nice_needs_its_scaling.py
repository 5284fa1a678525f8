"""NICE of the baselines with its scaling layer, with one factor for all values in its place, and with none.

Additive couplings preserve volume, so that nothing but the scaling z = exp(s) * y says where data are dense. `each`
learns one s for every value, as the paper does; `one` learns one s for all of them, which begins at the deviation of
all; `none` leaves s = 0 and has to fit data on [-1, 1] to a standard logistic distribution. The three have the same
first weights of their couplings and the same steps. What is measured is the bound by uniform noise, the mean of
log q(x + u) over 16 draws of u.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from genbench import catalog, datasets
from genbench.studies.claims import Finding
from genbench.studies.claims._training import trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "NICE needs its scaling layer."
SAID_BY = "Dinh, Krueger, Bengio (2015), section 3.3"
DECIDED_BY = (
    "the bound on bits/dim of test images, without scaling and with one factor for all values, less that with one "
    "factor for each; below 0.1 it would not need it"
)
CARRIES = (
    "to 8x8 images, four couplings and these numbers of steps, after which both flows still learn. That there is a "
    "scale at all is worth more than two bits/dim; whether each value needs its own is left open. At first both had a "
    "thousand steps, after which photographs showed no difference between one factor and many; more steps were taken "
    "since a difference may come late."
)
PICTURE = "Bound on bits/dim of test images (lower is better): a point for each seed."
SEEDS, VERSION = 3, 2
DATA, WAYS, NEED = ("digits", "patches"), ("none", "one", "each"), 0.1
STEPS, DRAWS = {"digits": 1500, "patches": 3000}, 16
OPTIONS = {"couplings": 4, "hidden": 96, "depth": 2}


def flow(data: datasets.Dataset, way: str, seed: int) -> Any:
    """The flow before its training, whose scaling is bound to be what `way` says."""
    torch.manual_seed(seed)
    model: Any = catalog.build("nice", data.space, OPTIONS)
    s = model.density.log_scale
    if way == "none":
        s.requires_grad_(False)
        return model
    model.initialise(whole(data.train[:4096]), torch.Generator().manual_seed(seed))
    if way == "one":
        sd = model.density.centred(torch.from_numpy(data.train[:4096]).float()).std()
        with torch.no_grad():
            s.fill_(math.log(math.pi / math.sqrt(3)) - float(sd.log()))
        s.register_hook(lambda gradient: gradient.mean().expand_as(gradient))
    return model


def bound(name: str, way: str, seed: int) -> float:
    """On bits/dim of the test images."""
    data = datasets.load(name)
    train, test = (whole(x) for x in (data.train, data.test))
    model, noise = flow(data, way, seed), torch.Generator().manual_seed(seed)
    trained(model, train, lambda x: model.loss(x, noise) / data.space.dim, STEPS[name], seed)
    with torch.no_grad():
        log_q = model.log_weights(test, DRAWS, torch.Generator().manual_seed(0)).double().mean()
    return -float(log_q) / (data.space.dim * math.log(2))


def trial(seed: int) -> Found:
    return {name: {way: bound(name, way, seed) for way in WAYS} for name in DATA}


def judged(found: list[Found]) -> list[Finding]:
    said = {"none": "no scaling", "one": "one factor for all values"}
    cases = [(name, way) for name in DATA for way in said]
    return [
        of_mean(
            f"{name}: bits/dim, {said[way]} less one factor for each",
            each(found, name, way) - each(found, name, "each"),
            "above",
            NEED,
            len(cases),
        )
        for name, way in cases
    ]


def plot(axes, found: list[Found]) -> None:
    ticks: list[str] = []
    for i, name in enumerate(DATA):
        for way in WAYS:
            y = each(found, name, way)
            axes.scatter(len(ticks) + np.linspace(-0.12, 0.12, len(y)), y, s=16, color=f"C{i}")
            ticks.append(f"{name},\n{ {'none': 'no scaling', 'one': 'one for all', 'each': 'one for each'}[way] }")
    axes.set_xticks(range(len(ticks)), ticks, size=8)
    axes.set(ylabel="bits/dim of test images", ylim=(0, None))
