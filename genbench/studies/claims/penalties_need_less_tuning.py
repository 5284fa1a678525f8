"""Six ways of training a GAN on a ring of eight Gaussians, each with nine settings: how many reach all modes?

Generator and discriminator have two hidden layers of 64 rectified units and take 1,500 steps of Adam in turn, 128
examples each, with rates of 3e-4, 1e-3 and 3e-3 for either: a grid of nine, whose networks are trained side by side as
one batch of matrices. The discriminator tells data from samples, and the generator minimises E log(1 - D) (minimax)
or -E log D (non-saturating); or it is a critic, whose weights are clipped to 0.01, as in the paper, or to 0.1, whose
slope between data and samples is held at 1 by a penalty of weight 1, or whose layers have a spectral norm of 1. A
training is a success if 1 % of 2,000 samples lie near every mode.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.studies.claims import Finding
from genbench.studies.claims._trials import Found, each, of_mean
from genbench.studies.claims.collapse_without_overfitting import MODES, reached, ring

SENTENCE = (
    "The non-saturating loss needs less tuning than minimax, a gradient penalty or a spectral norm less than clipping."
)
SAID_BY = "Goodfellow et al. (2014), section 3; Gulrajani et al. (2017); Miyato et al. (2018)"
DECIDED_BY = "the share of nine settings of the rates whose training reaches all eight modes of a ring"
CARRIES = (
    "to a ring of points, small networks, 1,500 steps and these nine pairs of rates; more seeds would narrow what is "
    "open. With one good setting of each way, `penalties-beat-clipping` compares what they reach."
)
PICTURE = "Share of nine settings whose training reaches all modes: a point for each seed."
SEEDS, VERSION = 5, 1
WAYS = ("minimax", "non-saturating", "clipped to 0.01", "clipped to 0.1", "gradient penalty", "spectral norm")
RATES, WIDTH, BATCH, STEPS, SAMPLES = (3e-4, 1e-3, 3e-3), 64, 128, 1500, 2000
GRID = [(g, d) for g in RATES for d in RATES]


class Networks:
    """A network of two hidden layers for each of the settings, `[n, batch, 2]` -> `[n, batch, outputs]`.

    Arguments:
        rates: of Adam, one for each.
        normed: every weight is divided by its spectral norm.
    """

    def __init__(self, outputs: int, rates: list[float], normed: bool = False) -> None:
        sizes = [(2, WIDTH), (WIDTH, WIDTH), (WIDTH, outputs)]
        n, self.normed, self.rates = len(rates), normed, torch.tensor(rates)[:, None, None]
        self.weights = [(2 * torch.rand(n, a, b) - 1) / a**0.5 for a, b in sizes]
        self.weights += [(2 * torch.rand(n, 1, b) - 1) / a**0.5 for a, b in sizes]
        self.moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in self.weights]
        self.steps = 0
        for w in self.weights:
            w.requires_grad_()

    def __call__(self, x: Tensor) -> Tensor:
        for i in range(3):
            w, b = self.weights[i], self.weights[3 + i]
            if self.normed:
                w = w / torch.linalg.matrix_norm(w, ord=2, keepdim=True)
            x = torch.baddbmm(b, x, w)
            x = x.relu() if i < 2 else x
        return x

    def step(self, loss: Tensor, clip: float = 0.0) -> None:
        """One of Adam, betas 0.5 and 0.9, down the sum of the losses `[n]` of all settings."""
        self.steps += 1
        gradients = torch.autograd.grad(loss.sum(), self.weights)
        with torch.no_grad():
            for w, g, (m, v) in zip(self.weights, gradients, self.moments, strict=True):
                m.lerp_(g, 0.5)
                v.lerp_(g * g, 0.1)
                scale = (v / (1 - 0.9**self.steps)).sqrt_().add_(1e-8)
                w.sub_(self.rates * m / (1 - 0.5**self.steps) / scale)
                if clip:
                    w.clamp_(-clip, clip)


def penalty(critic: Networks, real: Tensor, fake: Tensor, generator: torch.Generator) -> Tensor:
    """(|slope| - 1)^2 between data and samples, a mean for each setting `[n]`."""
    between = torch.lerp(real, fake, torch.rand(*real.shape[:2], 1, generator=generator)).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (slope.norm(dim=2) - 1).square().mean(1)


class Game:
    """Generators and discriminators, or critics, of all settings, which take steps in turn.

    Arguments:
        way: one of `WAYS`.
    """

    def __init__(self, way: str, seed: int) -> None:
        torch.manual_seed(seed)
        self.way, self.generator = way, torch.Generator().manual_seed(seed)
        self.G = Networks(2, [g for g, _ in GRID])
        self.D = Networks(1, [d for _, d in GRID], normed=way == "spectral norm")
        self.probability, self.clip = way in WAYS[:2], float(way.split()[-1]) if way.startswith("clipped") else 0.0

    def drawn(self) -> tuple[Tensor, Tensor]:
        """Data and samples, a batch of each for every setting `[n, batch, 2]`."""
        real = ring(len(GRID) * BATCH, self.generator).view(len(GRID), BATCH, 2)
        return real, self.G(self.noise(BATCH))

    def noise(self, rows: int) -> Tensor:
        return torch.randn(len(GRID), rows, 2, generator=self.generator)

    def learn(self) -> Tensor:
        """A step of the discriminators; the samples that they were shown."""
        real, fake = self.drawn()
        of_real, of_fake = self.D(real), self.D(fake.detach())
        if self.probability:
            loss = -F.logsigmoid(of_real).mean((1, 2)) - F.logsigmoid(-of_fake).mean((1, 2))
        else:
            loss = of_fake.mean((1, 2)) - of_real.mean((1, 2))
        if self.way == "gradient penalty":
            loss = loss + penalty(self.D, real, fake.detach(), self.generator)
        self.D.step(loss, self.clip)
        return fake

    def play(self, steps: int) -> None:
        """So many steps of both in turn."""
        for _ in range(steps):
            judged = self.D(self.learn())
            if self.way == "minimax":
                judged = -F.logsigmoid(-judged)
            elif self.way == "non-saturating":
                judged = F.logsigmoid(judged)
            self.G.step(-judged.mean((1, 2)))

    @torch.no_grad()
    def modes(self) -> list[int]:
        """Those that the generator of each setting reaches."""
        return [reached(samples) for samples in self.G(self.noise(SAMPLES))]


def played(way: str, seed: int) -> list[int]:
    game = Game(way, seed)
    game.play(STEPS)
    return game.modes()


def trial(seed: int) -> Found:
    return {way: played(way, seed) for way in WAYS}


def judged(found: list[Found]) -> list[Finding]:
    share = {way: (each(found, way) == MODES).mean(1) for way in WAYS}
    pairs = [("non-saturating", "minimax"), *((a, b) for a in WAYS[4:] for b in WAYS[2:4])]
    return [
        of_mean(
            f"share of settings, {better} ({share[better].mean():.2f}) less {worse} ({share[worse].mean():.2f})",
            share[better] - share[worse],
            "above",
            0.0,
            len(pairs),
        )
        for better, worse in pairs
    ]


def plot(axes, found: list[Found]) -> None:
    import numpy as np

    for i, way in enumerate(WAYS):
        y = (each(found, way) == MODES).mean(1)
        axes.scatter(i + np.linspace(-0.15, 0.15, len(y)), y, s=16)
    axes.set_xticks(range(len(WAYS)), [way.replace(" ", "\n", 1) for way in WAYS], size=8)
    axes.set(ylabel="share of settings with all modes", ylim=(-0.04, 1.04))
