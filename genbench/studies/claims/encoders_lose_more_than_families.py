"""Of what a VAE's bound loses with a diagonal posterior, is the larger part the encoder's or the family's?

The gaps, the model and their measurement are those of `flows_narrow_both_gaps.py`, without a flow.
"""

from __future__ import annotations

import numpy as np

from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits, whole
from genbench.studies.claims._trials import Found, each, of_mean
from genbench.studies.claims.flows_narrow_both_gaps import EXAMPLES, fitted, gaps

SENTENCE = "A VAE's bound loses more to its encoder than to the Gaussian family of its posterior."
SAID_BY = "Cremer, Li, Duvenaud (2018), abstract"
DECIDED_BY = (
    "amortisation gap less approximation gap, in nats: of training digits and of test digits; log p(x) exact by a "
    "grid over two latents"
)
CARRIES = "to two latents, 1,097 training digits and 2,000 steps: more digits or regularisation help the encoder alone."
PICTURE = "What the bound loses to the family and to the encoder, in nats: a point for each seed."
SEEDS, VERSION = 5, 1


def trial(seed: int) -> Found:
    model = fitted("diagonal", seed)
    parts = {"training": digits().train, "test": digits().test}
    return {name: gaps(model, whole(x[:EXAMPLES]), seed) for name, x in parts.items()}


def judged(found: list[Found]) -> list[Finding]:
    return [
        of_mean(f"{part} digits: amortisation gap less approximation gap, nats",
                each(found, part, "amortisation") - each(found, part, "approximation"), "above", 0.0, 2)
        for part in ("training", "test")
    ]  # fmt: skip


def plot(axes, found: list[Found]) -> None:
    for i, part in enumerate(("training", "test")):
        for j, gap in enumerate(("approximation", "amortisation")):
            y = each(found, part, gap)
            x = i + 0.24 * (j - 0.5) + np.linspace(-0.06, 0.06, len(y))
            axes.scatter(x, y, s=16, color=f"C{j}", label=None if i else f"{gap} gap")
    axes.set_xticks((0, 1), ["training digits", "test digits"])
    axes.set(ylabel="nats an image", ylim=(0, None))
    axes.legend(fontsize=8)
