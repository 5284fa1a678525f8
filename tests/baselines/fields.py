"""What each convolutional or recurrent model of images sees of the past, by the gradient of a conditional.

python tests/baselines/fields.py docs/fields.png
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genbench.baselines.autoregressive import diagonal_bilstm, gated_pixelcnn, pixelcnn, row_lstm
from genbench.figures import png
from genbench.models.sampling import seeded
from genbench.space import Space

MODELS: dict[str, tuple[Any, dict[str, int]]] = {
    "PixelCNN": (pixelcnn, {"width": 12, "depth": 12, "first": 3}),
    "Gated PixelCNN": (gated_pixelcnn, {"width": 12, "depth": 12}),
    "Row LSTM": (row_lstm, {"width": 6, "depth": 1, "first": 3}),
    "Diagonal BiLSTM": (diagonal_bilstm, {"width": 6, "depth": 1, "first": 3}),
}
SIZE, AT = (7, 13), (5, 5)  # of the images, and the pixel whose conditional is asked for


def field(name: str, size: tuple[int, int], at: tuple[int, int]) -> Tensor:
    """Which pixels the logits of pixel `at` have a gradient of: `[H, W]` bool. Weights and images are random."""
    module, options = MODELS[name]
    space = Space((1, *size), levels=2)
    torch.manual_seed(0)
    net = module.build(space, **options).double().eval()
    x = torch.rand(32, *space.shape, generator=seeded("x"), dtype=torch.float64).requires_grad_(True)
    net.embed = lambda x: x
    i, j = at
    net.logits(x)[:, :, 0, i, j].square().sum().backward()
    assert x.grad is not None
    return x.grad.abs().sum((0, 1)) > 0


def past(size: tuple[int, int], at: tuple[int, int]) -> Tensor:
    """Which pixels come before `at` in raster order: `[H, W]` bool."""
    place = torch.arange(size[0] * size[1]).view(size)
    return place < place[at]


def draw(path: str) -> None:
    """A picture: the pixel itself, what its conditional sees, what it misses of the past, and what comes later."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    figure = Figure(figsize=(9, 4.4), dpi=100, layout="constrained")
    kinds = {"later": "#eeeeee", "missed": "#d9822b", "seen": "#7fa8d1", "the pixel": "#1f3f68"}
    for axes, name in zip(figure.subplots(2, 2).flat, MODELS, strict=True):
        kind = past(SIZE, AT).int() + (past(SIZE, AT) & field(name, SIZE, AT)).int()
        kind[AT] = 3
        axes.pcolormesh(kind.numpy(), cmap=ListedColormap(list(kinds.values())), vmin=0, vmax=3, edgecolors="white")
        axes.set(title=name, aspect="equal", xticks=[], yticks=[])
        axes.invert_yaxis()
    figure.legend(handles=[Patch(color=c, label=k) for k, c in kinds.items()], loc="outside lower center", ncols=4)
    Path(path).write_bytes(png(figure))


if __name__ == "__main__":
    draw(str(Path(sys.argv[1])))
