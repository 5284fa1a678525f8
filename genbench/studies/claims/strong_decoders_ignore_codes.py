"""PixelVAEs of the digits whose decoders see no pixel, their neighbours, or all earlier ones: what is left to the code?

A decoder that sees z alone has to be told everything; one that sees every earlier pixel can be any distribution without
z. Of each, trained for 400 steps by the bound, the KL on test digits is measured in nats, with the bound on bits/dim.
The strongest is also trained with a ramp, the weight of its KL rising from 0 to 1 over half of the steps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genbench import catalog
from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A strong decoder makes a VAE ignore its code, and a ramp of the KL's weight cures that."
SAID_BY = "Bowman et al. (2016) of both; Chen et al. (2017), section 2; lectures on posterior collapse"
DECIDED_BY = "the KL on test digits, of which less than 1 nat counts as ignored"
CARRIES = (
    "to 8x8 digits, small networks and the first 400 steps, where a code that is ignored may still be found later; of "
    "the cures the ramp alone is tried."
)
PICTURE = "KL on test digits against what the decoder sees of earlier pixels: a point for each seed."
SEEDS, VERSION = 4, 1
REACHES, STEPS, OPTIONS = (0, 1, 7), 400, {"maps": 8, "width": 32, "latent": 16}
RAMP = "ramp"


def measured(reach: int, ramp: bool, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    vae: Any = catalog.build("pixel-vae", digits().space, {**OPTIONS, "reach": reach})
    noise, taken = torch.Generator().manual_seed(seed), 0

    def loss(x: Tensor) -> Tensor:
        nonlocal taken
        taken += 1
        log_p, kl = vae.terms(x, noise)
        return (min(1.0, taken / (STEPS / 2) if ramp else 1.0) * kl - log_p).mean() / 64

    train, test = (whole(x) for x in (digits().train, digits().test))
    trained(vae, train, loss, STEPS, seed, lr=3e-3)
    with torch.no_grad():
        log_p, kl = (term.double().mean() for term in vae.terms(test, noise))
    return {"kl": float(kl), "bits": float(kl - log_p) / (64 * math.log(2))}


def trial(seed: int) -> Found:
    return {**{str(r): measured(r, False, seed) for r in REACHES}, RAMP: measured(REACHES[-1], True, seed)}


def judged(found: list[Found]) -> list[Finding]:
    return [
        of_mean("KL in nats, all earlier pixels", each(found, "7", "kl"), "below", 1.0, 3),
        of_mean("KL in nats, none", each(found, "0", "kl"), "above", 1.0, 3),
        of_mean("KL in nats, all earlier pixels and a ramp", each(found, RAMP, "kl"), "above", 1.0, 3),
    ]


def plot(axes, found: list[Found]) -> None:
    ticks = {"0": "none", "1": "neighbours", "7": "all", RAMP: "all, with a ramp"}
    for i, name in enumerate(ticks):
        y = each(found, name, "kl")
        axes.scatter(i + np.linspace(-0.1, 0.1, len(y)), y, s=16)
    bits = [float(each(found, name, "bits").mean()) for name in ticks]
    axes.set_xticks(range(len(ticks)), [f"{t}\n{b:.2f} bits/dim" for t, b in zip(ticks.values(), bits, strict=True)])
    axes.axhline(1, color="#888888", linewidth=0.8)
    axes.set(ylabel="KL, nats", xlabel="earlier pixels that the decoder sees", ylim=(0, None))
