"""Discriminators that are trained before the game begins, over a grid of settings: how many generators still succeed?

The game, its nine settings of the rates and what counts as a success are those of `penalties_need_less_tuning.py`: a
ring of eight Gaussians, Adam, 1,500 steps of both players in turn. Before them the discriminator takes no
step, or 2,000 against the generator as it was made, whose samples lie in the middle of the ring. How often it is right
about fresh data and samples then is kept with the modes that are reached.
"""

from __future__ import annotations

import numpy as np
import torch

from genbench.studies.claims import Finding
from genbench.studies.claims._trials import Found, each, of_mean
from genbench.studies.claims.collapse_without_overfitting import MODES
from genbench.studies.claims.penalties_need_less_tuning import STEPS, Game

SENTENCE = (
    "A discriminator that is trained to convergence first stops the generator, with the minimax loss more often than "
    "with the non-saturating."
)
SAID_BY = "Goodfellow et al. (2014), section 3; Arjovsky, Bottou (2017), section 2, who warn of both losses"
DECIDED_BY = (
    "the share of nine settings of the rates whose training reaches all eight modes of a ring, after 2,000 steps of "
    "the discriminator and after none: it stops the generator if fewer than half of the successes are left"
)
CARRIES = (
    "to a ring of points, small networks, these nine pairs of rates and Adam, which divides by the size of gradients, "
    "so that a small one is no small step: `trained-discriminators-hold-up` has plain gradient descent. After their "
    "2,000 steps all discriminators are right about every one of 128 data and samples; more seeds would narrow what is "
    "open."
)
PICTURE = "Share of nine settings whose training reaches all modes, against the steps of the discriminator before it."
SEEDS, VERSION = 4, 1
LOSSES, HEADS = ("minimax", "non-saturating"), (0, 2000)


@torch.no_grad()
def right(game: Game) -> list[float]:
    """The share of data and samples that the discriminator of each setting tells."""
    real, fake = game.drawn()
    return ((game.D(real) > 0).float().mean((1, 2)) / 2 + (game.D(fake) < 0).float().mean((1, 2)) / 2).tolist()


def played(loss: str, head: int, seed: int) -> dict[str, list]:
    game = Game(loss, seed)
    for _ in range(head):
        game.learn()
    told = right(game)
    game.play(STEPS)
    return {"right": told, "modes": game.modes()}


def trial(seed: int) -> Found:
    return {loss: {str(head): played(loss, head, seed) for head in HEADS} for loss in LOSSES}


def share(found: list[Found], loss: str, head: int) -> np.ndarray:
    """Of settings that succeed, by seed."""
    return (each(found, loss, str(head), "modes") == MODES).mean(1)


def judged(found: list[Found]) -> list[Finding]:
    before, after = ({loss: share(found, loss, head) for loss in LOSSES} for head in HEADS)
    lost = {loss: before[loss] - after[loss] for loss in LOSSES}
    told = {loss: f"{loss} ({before[loss].mean():.2f} of settings, then {after[loss].mean():.2f})" for loss in LOSSES}
    half = after["minimax"] - before["minimax"] / 2
    return [
        of_mean(f"{told['minimax']}: share that is lost", lost["minimax"], "above", 0.0, 3),
        of_mean("minimax: share that is left, less half of what was", half, "below", 0.0, 3),
        of_mean(f"share that minimax loses, less that of {told[LOSSES[1]]}", lost["minimax"] - lost[LOSSES[1]],
                "above", 0.0, 3),
    ]  # fmt: skip


def plot(axes, found: list[Found]) -> None:
    for i, loss in enumerate(LOSSES):
        shares = [share(found, loss, head) for head in HEADS]
        axes.plot(range(len(HEADS)), [y.mean() for y in shares], color=f"C{i}", label=loss)
        for k, y in enumerate(shares):
            axes.scatter(k + 0.06 * (i - 0.5) + np.linspace(-0.02, 0.02, len(y)), y, s=16, color=f"C{i}")
    axes.set_xticks(range(len(HEADS)), [f"{head:,}" for head in HEADS])
    axes.set(xlabel="steps of the discriminator before the generator's first",
             ylabel="share of settings with all modes", ylim=(-0.04, 1.04))  # fmt: skip
    axes.legend(fontsize=8)
