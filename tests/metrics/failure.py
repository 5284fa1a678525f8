"""What a model of digits makes of images that are none: likelihoods, and likelihoods less the complexity of an image.

python tests/metrics/failure.py docs/known-failure.png
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from genbench import datasets
from genbench.cli import shipped
from genbench.datasets._outside import outside
from genbench.figures import png
from genbench.likelihood import log_likelihood
from genbench.models.checkpoint import load
from genbench.numerics.complexity import code_lengths

SHOWN = {"test digits": "", "blank": "blank", "MNIST": "mnist", "blurred": "blurred", "noise": "noise"}


def draw(name: str = "gated-pixelcnn") -> Figure:
    data = datasets.load("digits")
    model = load(next(path for path in shipped("digits") if path.endswith(f"/{name}.safetensors")))
    levels = data.space.levels
    assert levels is not None
    figure = Figure(figsize=(7.2, 2.8), dpi=110, layout="constrained")
    axes = figure.subplots(1, 2)
    for k, (label, kind) in enumerate(SHOWN.items()):
        x = outside(data, kind, data.test) if kind else data.test
        nats = -log_likelihood(model, x, 1, 0, 100).values
        for ax, score in zip(axes, (nats, nats - code_lengths(x, levels)), strict=True):
            bits = np.asarray([data.space.bits_per_dim(1.0)]) * score
            ax.hist(bits, bins=40 if np.ptp(bits) else [bits[0] - 0.05, bits[0] + 0.05], density=True, alpha=0.6,
                    color=f"C{k}", label=label)  # fmt: skip
    axes[0].set(xlabel="-log p(x), bits/dim: larger is stranger", ylabel="density", yscale="log", title="likelihood")
    axes[1].set(xlabel="-log p(x) - L(x), bits/dim", yscale="log", title="less the length of the image")
    axes[0].legend(fontsize=7)
    return figure


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(png(draw()))
