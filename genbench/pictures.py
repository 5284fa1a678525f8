"""Pictures of samples: a grid of images with their nearest neighbours, a scatter of points, a page of text."""

from __future__ import annotations

import io

import numpy as np

from genbench.datasets import Dataset
from genbench.numerics.neighbours import nearest
from genbench.records import Run, slug
from genbench.space import Space

GRID = (6, 10)  # rows, columns
SHOWN = 10  # samples beside their neighbours
TEXTS = 3


def draw_all(run: Run, name: str, dataset: Dataset, samples: np.ndarray) -> None:
    """Writes what there is to see of the samples `[n, *shape]` into the run's folder of pictures."""
    path = run.pictures / slug(name)
    if dataset.space.is_image:
        run.write(path.with_name(path.name + ".png"), grid(samples[: GRID[0] * GRID[1]], dataset.space, GRID[1]))
        shown = samples[:SHOWN]
        near = neighbours(shown, dataset.train)
        rows = np.concatenate([shown, near])
        run.write(path.with_name(path.name + "-neighbours.png"), grid(rows, dataset.space, len(shown)))
    elif dataset.space.dim == 2:
        run.write(path.with_name(path.name + ".png"), scatter(samples, dataset, name))
    elif dataset.vocabulary is not None:
        lines = ["".join(dataset.vocabulary[i] for i in text) for text in samples[:TEXTS]]
        run.write(path.with_name(path.name + ".txt"), "\n\n---\n\n".join(lines).encode())


def neighbours(samples: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The nearest training example of every sample, in raw values."""
    flat = (samples.reshape(len(samples), -1).astype(np.float64), train.reshape(len(train), -1).astype(np.float64))
    _, index = nearest(*flat, k=1)
    return train[index[:, 0]]


def grid(images: np.ndarray, space: Space, columns: int) -> bytes:
    """PNG of images `[n, C, H, W]` in rows of `columns`, a thin line between them, enlarged to about 40 pixels each."""
    from PIL import Image

    c, h, w = space.shape
    low, high = (0, space.levels - 1) if space.levels else (float(images.min()), float(images.max()))
    scaled = (images.astype(np.float64) - low) / max(high - low, 1e-12) * 255
    rows = -(-len(images) // columns)
    canvas = np.full((c, rows * (h + 1) + 1, columns * (w + 1) + 1), 128.0)
    for i, image in enumerate(scaled):
        y, x = i // columns * (h + 1) + 1, i % columns * (w + 1) + 1
        canvas[:, y : y + h, x : x + w] = image
    pixels = canvas.round().astype(np.uint8)
    picture = Image.fromarray(pixels[0] if c == 1 else np.moveaxis(pixels[:3], 0, -1))
    scale = max(1, round(40 / h))
    out = io.BytesIO()
    picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST).save(out, "PNG")
    return out.getvalue()


def scatter(points: np.ndarray, dataset: Dataset, title: str) -> bytes:
    """PNG of points `[n, 2]`, on the axes of the data."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2, 3.2), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(points[:, 0], points[:, 1], s=2, alpha=0.4, linewidths=0, color="#1f5fa8")
    if dataset.modes is not None:
        centres = dataset.modes[0]
        axes.scatter(centres[:, 0], centres[:, 1], s=18, marker="+", linewidths=0.8, color="#c0392b", label="mode")
        axes.legend(loc="upper right", fontsize=7, framealpha=0.9)
    reach = 1.25 * np.abs(dataset.test).max()
    outside = int((np.abs(points) > reach).any(1).sum())
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
    axes.set_title(f"{title}, n = {len(points):,}" + (f" ({outside} outside)" if outside else ""), fontsize=8)
    axes.tick_params(labelsize=7)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()
