"""One VAE of black and white digits, trained by six estimators of its gradient for the same processor time.

Encoder and decoder have two hidden layers of 64 units; the code is eight Gaussian or eight binary latents. The KL and
its gradient are in closed form for all; what they differ in is the gradient of E_q log p(x | z) to the encoder:

    reparameterised      z = mean + sd e
    score function       (log p(x | z) - b) grad log q(z | x), b = 0, or the mean over the other draws of the same x
    Gumbel-softmax       sigmoid((logit + noise) / 0.5) in place of a binary z
    straight-through     a binary z forward, the gradient of its probability backward

Each takes four draws for an example. How many steps the time pays for is tried on a copy beforehand. The bound of the
test digits is by 64 draws of the true q, binary where the latents are.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench import datasets
from genbench.studies.claims import Finding
from genbench.studies.claims._training import steps_within, trained
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "At equal time a gradient through the noise, exact or relaxed, trains a better VAE than the score function."
SAID_BY = "Kingma, Welling (2014); Jang, Gu, Poole (2017) of relaxations"
DECIDED_BY = "the bound on test digits in nats after 1.5 processor seconds of training each"
CARRIES = (
    "to eight latents and some 650 steps. Reparameterisation is ahead of the score function, by a nat with a baseline; "
    "relaxations of binary latents, biased as they are, come to the same as a score function with four draws."
)
PICTURE = "Bound on test digits (higher is better): a point for each seed."
SEEDS, VERSION = 5, 1
LATENT, DRAWS, SECONDS, TEMPERATURE = 8, 4, 1.5, 0.5
NORMAL = ("reparameterised", "score function", "score function with baseline")
BINARY = ("Gumbel-softmax", "straight-through", "binary: score function with baseline")


@cache
def pixels() -> tuple[Tensor, Tensor]:
    """Training and test digits `[n, 64]` of 0 and 1."""
    data = datasets.load("digits-binary")
    train, test = (torch.from_numpy(x.reshape(len(x), -1).astype(np.float32)) for x in (data.train, data.test))
    return train, test


class Coded(nn.Module):
    """A VAE with latents that are Gaussian, or binary."""

    def __init__(self, binary: bool) -> None:
        super().__init__()
        self.binary = binary
        self.encoder = self.layers(64, LATENT if binary else 2 * LATENT)
        self.decoder = self.layers(LATENT, 64)

    @staticmethod
    def layers(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, outputs))

    def log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x | z): `[B, 64]`, `[k, B, d]` -> `[k, B]`."""
        logits = self.decoder(z)
        return (x * logits - F.softplus(logits)).sum(-1)

    def kl(self, q: Tensor) -> Tensor:
        """From the prior N(0, I), or of fair coins: `[B, ...]` -> `[B]`."""
        if self.binary:
            p = q.sigmoid()
            return (p * q - F.softplus(q) + math.log(2)).sum(1)
        mean, log_sd = q.chunk(2, 1)
        return (mean.square() + (2 * log_sd).exp() - 1 - 2 * log_sd).sum(1) / 2

    def log_q(self, q: Tensor, z: Tensor) -> Tensor:
        """log q(z | x) up to a constant -> `[k, B]`."""
        if self.binary:
            return (z * q - F.softplus(q)).sum(-1)
        mean, log_sd = q.chunk(2, 1)
        return (-((z - mean) / log_sd.exp()).square() / 2 - log_sd).sum(-1)

    def drawn(self, q: Tensor, k: int) -> Tensor:
        """Draws of q `[k, B, d]`, through which its gradient passes if they are Gaussian."""
        if self.binary:
            return torch.bernoulli(q.sigmoid().expand(k, -1, -1))
        mean, log_sd = q.chunk(2, 1)
        return mean + log_sd.exp() * torch.randn(k, *mean.shape)

    def through(self, way: str, q: Tensor) -> Tensor:
        """Draws of q, or what stands for them, through which a gradient passes."""
        if way == "Gumbel-softmax":
            u = torch.rand(DRAWS, *q.shape).clamp(1e-6, 1 - 1e-6)
            return ((q + torch.logit(u)) / TEMPERATURE).sigmoid()
        z = self.drawn(q, DRAWS)
        return z.detach() + q.sigmoid() - q.sigmoid().detach() if self.binary else z

    def loss(self, x: Tensor, way: str) -> Tensor:
        """The negative bound, or what has its gradient."""
        q = self.encoder(x)
        if "score" not in way:
            return (self.kl(q) - self.log_likelihood(x, self.through(way, q))).mean()
        z = self.drawn(q, DRAWS).detach()
        log_p = self.log_likelihood(x, z)
        signal = log_p.detach()
        if way.endswith("baseline"):
            signal = signal - (signal.sum(0) - signal) / (DRAWS - 1)
        return (self.kl(q) - log_p - signal * self.log_q(q, z)).mean()

    @torch.no_grad()
    def bound(self, x: Tensor) -> float:
        q = self.encoder(x)
        return float((self.log_likelihood(x, self.drawn(q, 64)).mean(0) - self.kl(q)).double().mean())


def measured(way: str, seed: int) -> dict[str, float]:
    train, test = pixels()
    torch.manual_seed(seed)
    model = Coded(binary=way in BINARY)
    steps = steps_within(SECONDS, model, train, lambda model, x: model.loss(x, way))
    torch.manual_seed(seed)
    trained(model, train, lambda x: model.loss(x, way), steps, seed)
    return {"bound": model.bound(test), "steps": steps}


def trial(seed: int) -> Found:
    return {way: measured(way, seed) for way in NORMAL + BINARY}


def judged(found: list[Found]) -> list[Finding]:
    bound = {way: each(found, way, "bound") for way in NORMAL + BINARY}
    pairs = [*((NORMAL[0], other) for other in NORMAL[1:]), *((relaxed, BINARY[2]) for relaxed in BINARY[:2])]
    return [
        of_mean(f"bound in nats, {better} less {worse}", bound[better] - bound[worse], "above", 0.0, len(pairs))
        for better, worse in pairs
    ]


def plot(axes, found: list[Found]) -> None:
    for i, way in enumerate(NORMAL + BINARY):
        y = each(found, way, "bound")
        axes.scatter(i + np.linspace(-0.12, 0.12, len(y)), y, s=16, color="C0" if way in NORMAL else "C1")
    ticks = ["reparam.", "score", "score,\nbaseline", "Gumbel", "straight-\nthrough", "score,\nbaseline"]
    axes.set_xticks(range(len(ticks)), ticks, size=8)
    axes.set(ylabel="bound, nats", xlabel="Gaussian latents (first three), binary latents (last three)")
