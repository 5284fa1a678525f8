"""Translation between two sets of four clusters in the plane, with the cycle loss of CycleGAN and without it.

The clusters of X lie at the corners of a square, those of Y at the corners of one that is turned by 45 degrees; which
corner should become which nobody says. Two generators and two critics with two hidden layers of 64 units play the
least-squares game for 1,200 steps, the cycle loss with weight 10 or 0. Of 1,000 translations are measured the share
that lies within 0.3 of a cluster of Y, and the mutual information of the cluster that a point came from and the one
that it comes nearest to, in bits, of 2.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from genbench.studies.claims import Finding
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "Without its cycle loss a CycleGAN still reaches the other domain, but does not keep what it translates."
SAID_BY = "Zhu et al. (2017), section 5.1.2"
DECIDED_BY = (
    "information that translations keep of the cluster that they came from, and how many reach the other domain"
)
CARRIES = "to four clusters in the plane; of pictures see the board of translation."
PICTURE = "Of the translations: bits kept of the cluster, of 2, and share that reaches the other domain; each a seed."
SEEDS, VERSION = 6, 1
WEIGHTS, STEPS, BATCH, SD, NEAR, SHOWN = (10.0, 0.0), 1200, 64, 0.1, 0.3, 1000


def corners(turn: float) -> Tensor:
    """`[4, 2]`, at distance 1.5 from the middle."""
    angle = math.pi / 2 * torch.arange(4) + turn
    return 1.5 * torch.stack([angle.cos(), angle.sin()], 1)


HERE, THERE = corners(0.0), corners(math.pi / 4)


def information(came: Tensor, went: Tensor) -> float:
    """Mutual information of two clusters for each point `[n]`, in bits, by their joint shares."""
    joint = np.zeros((4, 4))
    np.add.at(joint, (came.numpy(), went.numpy()), 1 / len(came))
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log2(joint[seen] / apart[seen])).sum())


def net(outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, outputs))


def played(weight: float, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    G, F, DX, DY = net(2), net(2), net(1), net(1)
    of_generators = torch.optim.Adam([*G.parameters(), *F.parameters()], lr=1e-3, betas=(0.5, 0.999))
    of_critics = torch.optim.Adam([*DX.parameters(), *DY.parameters()], lr=1e-3, betas=(0.5, 0.999))

    def drawn(centres: Tensor) -> Tensor:
        return centres[torch.randint(4, (BATCH,))] + SD * torch.randn(BATCH, 2)

    for _ in range(STEPS):
        x, y = drawn(HERE), drawn(THERE)
        there, here = G(x), F(y)
        fooled = (DY(there) - 1).square().mean() + (DX(here) - 1).square().mean()
        back = (F(there) - x).abs().mean() + (G(here) - y).abs().mean()
        of_generators.zero_grad()
        (fooled + weight * back).backward()
        of_generators.step()
        told = sum(
            (D(real) - 1).square().mean() + D(fake.detach()).square().mean()
            for D, real, fake in ((DY, y, there), (DX, x, here))
        )
        of_critics.zero_grad()
        (told / 2).backward()
        of_critics.step()
    with torch.no_grad():
        came = torch.arange(SHOWN) % 4
        distance, went = torch.cdist(G(HERE[came] + SD * torch.randn(SHOWN, 2)), THERE).min(1)
    return {"bits": information(came, went), "reached": float((distance < NEAR).float().mean())}


def trial(seed: int) -> Found:
    return {f"{weight:g}": played(weight, seed) for weight in WEIGHTS}


def judged(found: list[Found]) -> list[Finding]:
    kept = each(found, "10", "bits") - each(found, "0", "bits")
    return [
        of_mean("bits kept of the cluster, with cycle loss less without", kept, "above", 0.0, 2),
        of_mean("share that reaches the other domain without it", each(found, "0", "reached"), "above", 0.5, 2, 1.0),
    ]


def plot(axes, found: list[Found]) -> None:
    for weight in WEIGHTS:
        label = "with cycle loss" if weight else "without"
        axes.scatter(each(found, f"{weight:g}", "reached"), each(found, f"{weight:g}", "bits"), s=24, label=label)
    axes.set(xlabel="share within 0.3 of a cluster of the other domain", ylabel="bits kept of the cluster")
    axes.set(xlim=(-0.05, 1.05), ylim=(-0.1, 2.1))
    axes.legend(fontsize=8)
