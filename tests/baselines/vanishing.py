"""How much of a gradient reaches a generator while the critic is trained on: minimax against non-saturating loss.

python tests/baselines/vanishing.py docs/vanishing-gradient.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch

from genbench.baselines.adversarial import minimax_gan, nonsaturating_gan
from genbench.figures import png
from genbench.models.sampling import seeded
from genbench.space import Space

MODELS: dict[str, Any] = {"minimax": minimax_gan, "non-saturating": nonsaturating_gan}
SHIFT, N = 3.0, 256  # how far the data are from what is generated, and how many there are of each


def gradient(model: Any) -> float:
    """The norm of the gradient of the generator's loss, over all its weights."""
    model.zero_grad()
    model.generator_loss(model.generate(N, seeded("z"))).backward()
    return float(torch.cat([p.grad.flatten() for p in model.generator.parameters()]).norm())


def measured(name: str, steps: int) -> list[float]:
    """That norm before the first and after each of `steps` steps of the critic against a fixed, untrained generator."""
    torch.manual_seed(0)
    model = MODELS[name].build(Space((2,)), latent=3, width=8, critic_width=8)
    x = torch.randn(N, 2, generator=seeded("data")) / 10 + torch.tensor([SHIFT, 0.0])
    optimiser = torch.optim.Adam(model.critic.parameters(), lr=1e-2)
    found = [gradient(model)]
    for _ in range(steps):
        optimiser.zero_grad()
        model.critic_step(x, seeded(0)).backward()
        optimiser.step()
        found.append(gradient(model))
    return found


def draw(path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.4), dpi=100, layout="constrained")
    axes = figure.subplots()
    for name, colour in zip(MODELS, ("#d9822b", "#1f3f68"), strict=True):
        axes.semilogy(measured(name, 300), color=colour, label=name)
    axes.set(xlabel="steps of the critic, the generator at rest", ylabel="norm of the generator's gradient")
    axes.legend()
    Path(path).write_bytes(png(figure))


if __name__ == "__main__":
    draw(str(Path(sys.argv[1])))
