"""Models that are told the class against models of the same size that are not, class by class.

A model without classes has no samples of a class by itself, so the samples of both are sorted by the classifier of the
digits, and the first 50 of every class are compared with the training digits of that class: the mean of ten Fréchet
distances. A VAE with one-hot classes beside its inputs takes 1,000 steps, as one without does; a gated PixelCNN with
the class as a bias of its gates 300, as one without does. The told class itself is asked beside it, 50 samples of
each: a sample of another class is sorted out by the first, and counts as bad in the second.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from genbench import catalog
from genbench.metrics import per_class
from genbench.numerics.points import Points
from genbench.studies.claims import Finding
from genbench.studies.claims._training import classified, digits, recognised, seen, trained, whole
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "Telling a model the class improves its samples of every class, not only how often it draws each."
SAID_BY = "van den Oord et al. (2016b), section 3.2; Mirza, Osindero (2014); Sohn, Lee, Yan (2015)"
DECIDED_BY = (
    "the mean over classes of the Fréchet distance of 50 samples of each, sorted by one classifier for both, told the "
    "class less not told"
)
CARRIES = "to ten balanced classes of 8x8 digits, and small networks of one width and equal steps."
PICTURE = "Fréchet distance, mean over classes (lower is better): a point for each seed."
SEEDS, VERSION = 4, 1
OF_EACH, BLOCK, MOST = 50, 500, 10_000
VAE = {"latent": 16, "hidden": 64, "dropout": 0.1, "decoder": "logistics"}
PIXELCNN = {"width": 16, "depth": 3, "dropout": 0.2, "one_hot": True}
MODELS: dict[str, tuple[tuple[str, str], dict[str, Any], int]] = {  # name without classes and with them, options, steps
    "VAE": (("vae", "conditional-vae"), VAE, 1000),
    "gated PixelCNN": (("gated-pixelcnn", "conditional-gated-pixelcnn"), PIXELCNN, 300),
}
Draw = Callable[[int], torch.Tensor]


def distance(of_samples: np.ndarray, classes: np.ndarray) -> float:
    """Mean over classes of the Fréchet distance of their samples from the training digits."""
    labels = digits().labels_of("train")
    found = per_class.compute(Points(of_samples), classes, recognised(), labels, intervals=False)
    return float(found["fd_per_class"].value)


def sorted_by_class(draw: Draw) -> tuple[np.ndarray, np.ndarray]:
    """Features of the first samples that the classifier takes for each class, and the class.

    Raises:
        RuntimeError: a class is so rare among the samples that there are not enough.
    """
    kept: dict[int, list[np.ndarray]] = {int(c): [] for c in np.unique(digits().labels_of("train"))}
    for _ in range(MOST // BLOCK):
        found, logits = classified(draw(BLOCK).numpy())
        for row, c in zip(found, logits.argmax(1), strict=True):
            if len(kept[int(c)]) < OF_EACH:
                kept[int(c)].append(row)
        if all(len(rows) == OF_EACH for rows in kept.values()):
            return np.concatenate([np.stack(rows) for rows in kept.values()]), np.repeat(list(kept), OF_EACH)
    counts = {c: len(rows) for c, rows in kept.items()}
    raise RuntimeError(f"{MOST} samples hold fewer than {OF_EACH} of a class: {counts}")


def measured(name: str, options: dict[str, Any], steps: int, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    model: Any = catalog.build(name, digits().space, options)
    x, labels = whole(digits().train), torch.from_numpy(digits().labels_of("train")).long()
    noise, told = torch.Generator().manual_seed(seed), name.startswith("conditional")

    def loss(rows: torch.Tensor) -> torch.Tensor:
        return model.loss(x[rows], noise, *([labels[rows]] if told else [])) / 64

    trained(model, torch.arange(len(x)), loss, steps, seed)
    with torch.no_grad():
        found = {"sorted": distance(*sorted_by_class(lambda n: model.sample(n, noise)))}
        if told:
            asked = torch.arange(10).repeat_interleave(OF_EACH)
            found["asked"] = distance(seen(model.sample(len(asked), noise, asked).numpy()), asked.numpy())
    return found


def trial(seed: int) -> Found:
    return {
        model: dict(zip(("not told", "told"), (measured(one, options, steps, seed) for one in pair), strict=True))
        for model, (pair, options, steps) in MODELS.items()
    }


def judged(found: list[Found]) -> list[Finding]:
    fd = {model: [each(found, model, way, "sorted") for way in ("told", "not told")] for model in MODELS}
    return [
        of_mean(f"{model}: FD per class, told ({a.mean():.3g}) less not told ({b.mean():.3g})", a - b, "below", 0.0, 2)
        for model, (a, b) in fd.items()
    ]


def plot(axes, found: list[Found]) -> None:
    ways = (("not told", "sorted"), ("told", "sorted"), ("told", "asked"))
    for j, (way, by) in enumerate(ways):
        for i, model in enumerate(MODELS):
            y = each(found, model, way, by)
            label = f"{way}, {'sorted by a classifier' if by == 'sorted' else 'of the class that is asked'}"
            axes.scatter(i + 0.24 * (j - 1) + np.linspace(-0.05, 0.05, len(y)), y, s=16, color=f"C{j}",
                         label=None if i else label)  # fmt: skip
    axes.set_xticks(range(len(MODELS)), list(MODELS))
    axes.set(ylabel="FD per class (squared feature distance)", ylim=(0, None))
    axes.legend(fontsize=8)
