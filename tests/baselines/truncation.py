"""BigGAN's truncation curve: fidelity against diversity as z is drawn from an ever narrower normal.

python tests/baselines/truncation.py docs/truncation.png
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from genbench import catalog, datasets
from genbench.metrics import precision_recall
from genbench.models.checkpoint import load
from genbench.models.sampling import draw
from genbench.numerics.points import Points

THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, math.inf)
N = 1000  # samples of each, against as many training images, by their pixels


def curve() -> list[tuple[float, float, float]]:
    """(t, precision, recall) for every threshold, of the checkpoint that ships."""
    model: Any = load(catalog.BASELINES / "checkpoints" / "digits" / "biggan.safetensors")
    train = Points(datasets.load("digits").train.reshape(-1, 64).astype(np.float32))
    found = []
    for t in THRESHOLDS:
        model.truncation = t
        samples = draw(model, N, 0, N).reshape(N, -1).astype(np.float32)
        values = precision_recall.compute(Points(samples), train)
        found.append((t, values["precision"].value, values["recall"].value))
    return found


def draw_curve(path: str) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), dpi=100, layout="constrained")
    axes = figure.subplots()
    found = curve()
    axes.plot([r for _, _, r in found], [p for _, p, _ in found], "o-", color="#1f3f68")
    for t, p, r in found:
        axes.annotate("no truncation" if math.isinf(t) else f"t = {t:g}", (r, p), (5, 4), textcoords="offset points")
        print(f"t {t:g}: precision {p:.3f}, recall {r:.3f}")
    axes.set(xlabel="recall", ylabel="precision")
    axes.margins(x=0.15)
    figure.savefig(path)


if __name__ == "__main__":
    draw_curve(str(Path(sys.argv[1])))
