"""A generator that moves one number, against a discriminator that was trained before the game began, or was not.

Data are N(3, 1), samples N(mu, 1) with mu = -3 at first. The discriminator, one hidden layer of 32 tanh units, takes
0 or 2,000 steps before the first step of the generator; then both take 500 in turn, the generator by plain gradient
descent at rate 0.1, so that a small gradient is a small step (Adam would enlarge it).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genbench.studies.claims import Finding
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A discriminator that is trained to convergence first holds up a generator with the minimax loss."
SAID_BY = "Goodfellow et al. (2014), section 3; Arjovsky, Bottou (2017), section 2"
DECIDED_BY = "the distance that is left between the means of samples and data, of 6 at first, after 500 steps"
CARRIES = (
    "to a generator that moves a Gaussian by plain gradient descent; `head-starts-stop-generators` asks the same of "
    "Adam over a grid of settings. That the two are compared in pairs was settled after seeing the trainings."
)
PICTURE = "Distance between the means of samples and data, median over seeds."
SEEDS, VERSION = 10, 1
LOSSES, HEADS = ("minimax", "non-saturating"), (0, 2000)
START, STEPS, BATCH = 6.0, 500, 128


def generator_loss(loss: str, logits: Tensor) -> Tensor:
    """E log(1 - D) or -E log D of samples, D = sigmoid(logits)."""
    return F.logsigmoid(-logits).mean() if loss == "minimax" else -F.logsigmoid(logits).mean()


def played(loss: str, head: int, seed: int) -> list[float]:
    """Distances after every tenth of the game, the one before it first."""
    torch.manual_seed(seed)
    D = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))
    optimiser = torch.optim.Adam(D.parameters(), lr=0.01)
    mu = torch.tensor(3.0 - START, requires_grad=True)

    def learn() -> None:
        real, fake = 3 + torch.randn(BATCH, 1), mu.detach() + torch.randn(BATCH, 1)
        optimiser.zero_grad()
        (-F.logsigmoid(D(real)).mean() - F.logsigmoid(-D(fake)).mean()).backward()
        optimiser.step()

    for _ in range(head):
        learn()
    distances = [abs(float(mu) - 3)]
    for step in range(1, STEPS + 1):
        learn()
        (slope,) = torch.autograd.grad(generator_loss(loss, D(mu + torch.randn(BATCH, 1))), mu)
        with torch.no_grad():
            mu -= 0.1 * slope
        if step % (STEPS // 10) == 0:
            distances.append(abs(float(mu) - 3))
    return distances


def trial(seed: int) -> Found:
    return {loss: {str(head): played(loss, head, seed) for head in HEADS} for loss in LOSSES}


def judged(found: list[Found]) -> list[Finding]:
    left = {(loss, head): each(found, loss, str(head))[:, -1] for loss in LOSSES for head in HEADS}
    head = HEADS[1]
    more = left["minimax", head] - left["minimax", 0]
    return [
        of_mean(f"minimax, {head} steps first: distance left", left["minimax", head], "above", START / 2, 3),
        of_mean("minimax: that, less what is left with none", more, "above", 0.0, 3),
        of_mean(f"non-saturating, {head} steps first: distance left", left[LOSSES[1], head], "below", START / 2, 3),
    ]


def plot(axes, found: list[Found]) -> None:
    import numpy as np

    at = np.linspace(0, STEPS, 11)
    for i, loss in enumerate(LOSSES):
        for head, style in zip(HEADS, ("--", "-"), strict=True):
            y = np.median(each(found, loss, str(head)), axis=0)
            axes.plot(at, y, style, color=f"C{i}", label=f"{loss}, {head} steps of the discriminator first")
    axes.set(xlabel="steps of the generator", ylabel="distance of the means, sd of the data", ylim=(0, None))
    axes.legend(fontsize=8)
