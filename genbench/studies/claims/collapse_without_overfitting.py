"""A GAN on a ring of eight Gaussians whose training examples never come twice, and one with 256 of them.

Generator and discriminator have two hidden layers of 64 rectified units and take 2,500 steps in turn, 128 examples
each, by the non-saturating loss. A mode is reached if 1 % of 2,000 samples lie within 0.2 of it; the ring has radius 1
and its modes a deviation of 0.05.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.studies.claims import Finding
from genbench.studies.claims._trials import Found, each, of_share

SENTENCE = "Mode collapse is no overfitting: it happens with unlimited data."
SAID_BY = "Goodfellow (2016), section 5.1.1; Metz et al. (2017)"
DECIDED_BY = (
    "whether more than one training in a hundred on examples that never come twice reaches some modes of a ring and "
    "not all eight"
)
CARRIES = (
    "to this small game and one loss; how often others collapse is not asked. What counts as collapse, and the bar, "
    "were settled after the first twelve trainings."
)
PICTURE = "Trainings by the number of modes that they reach."
SEEDS, VERSION = 24, 1
MODES, SD, NEAR, STEPS, BATCH, FEW, SAMPLES = 8, 0.05, 0.2, 2500, 128, 256, 2000


def centres() -> Tensor:
    """`[8, 2]`."""
    angle = 2 * math.pi * torch.arange(MODES) / MODES
    return torch.stack([angle.cos(), angle.sin()], 1)


def ring(n: int, generator: torch.Generator) -> Tensor:
    return centres()[torch.randint(MODES, (n,), generator=generator)] + SD * torch.randn(n, 2, generator=generator)


def reached(samples: Tensor) -> int:
    """Modes with 1 % of the samples near them."""
    distance, nearest = torch.cdist(samples, centres()).min(1)
    counts = torch.bincount(nearest[distance < NEAR], minlength=MODES)
    return int((counts >= 0.01 * len(samples)).sum())


def net(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs))


def played(seed: int, data: Tensor | None) -> int:
    """The modes that a generator reaches, trained on fresh examples or on `data`."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    G, D = net(2, 2), net(2, 1)
    players = [torch.optim.Adam(one.parameters(), lr=1e-3, betas=(0.5, 0.999)) for one in (G, D)]
    for _ in range(STEPS):
        real = ring(BATCH, generator) if data is None else data[torch.randint(len(data), (BATCH,), generator=generator)]
        fake = G(torch.randn(BATCH, 2, generator=generator))
        players[1].zero_grad()
        (-F.logsigmoid(D(real)).mean() - F.logsigmoid(-D(fake.detach())).mean()).backward()
        players[1].step()
        players[0].zero_grad()
        (-F.logsigmoid(D(fake)).mean()).backward()
        players[0].step()
    with torch.no_grad():
        return reached(G(torch.randn(SAMPLES, 2, generator=generator)))


def trial(seed: int) -> Found:
    return {"fresh": played(seed, None), "few": played(seed, ring(FEW, torch.Generator().manual_seed(1000 + seed)))}


def judged(found: list[Found]) -> list[Finding]:
    fresh = each(found, "fresh")
    collapsed = (fresh >= 1) & (fresh < MODES)  # one that reaches no mode has failed in another way
    return [of_share("trainings on fresh examples that reach some modes and not all", collapsed, "above", 0.01)]


def plot(axes, found: list[Found]) -> None:
    for i, (name, label) in enumerate((("fresh", "fresh examples"), ("few", f"{FEW} examples"))):
        counts = [int((each(found, name) == k).sum()) for k in range(MODES + 1)]
        axes.bar([k + 0.4 * i - 0.2 for k in range(MODES + 1)], counts, 0.4, label=label)
    axes.set(xlabel=f"modes reached, of {MODES}", ylabel="trainings", xticks=range(MODES + 1))
    axes.legend(fontsize=8)
