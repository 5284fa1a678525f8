"""Pictures of samples: a grid of images with their nearest neighbours, points beside densities, a page of text."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from genbench.datasets import Dataset
from genbench.figures import png
from genbench.numerics.intervals import Z95
from genbench.numerics.points import Points
from genbench.run.records import Run
from genbench.space import Space
from genbench.text import CODES, INTERPOLATION, NEIGHBOURS, TRANSLATIONS, TRAVERSAL, short, slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from genbench.studies.audit import Finding

GRID = (6, 10)  # rows, columns
SHOWN = 10  # samples beside their neighbours
WALKS, STEPS, COORDINATES = 5, 10, 8  # interpolations, pictures on a walk, coordinates of a code
TEXTS = 3
PART = 1 << 25  # values of training examples that are held as numbers at once
CELLS = 256  # on either side of the square on which a density is drawn
REACH = 1000.0  # standard deviations: the end of an audit's scale, where any change from a constant stands


LogDensity = Callable[[np.ndarray], np.ndarray]  # [n, 2] -> [n], in nats


def draw_all(run: Run, name: str, dataset: Dataset, samples: np.ndarray, log_density: LogDensity | None = None) -> None:
    """Writes what there is to see of the samples `[n, *shape]` into the run's folder of pictures.

    Arguments:
        log_density: of the model, where that is known; it is drawn of points in the plane.
    """
    path = run.pictures / slug(name)
    if dataset.space.is_image:
        run.write(path.with_name(path.name + ".png"), grid(samples[: GRID[0] * GRID[1]], dataset.space, GRID[1]))
        shown = samples[:SHOWN]
        near = neighbours(shown, dataset.train)
        rows = np.concatenate([shown, near])
        run.write(path.with_name(path.name + NEIGHBOURS + ".png"), grid(rows, dataset.space, len(shown)))
    elif dataset.space.dim == 2:
        run.write(path.with_name(path.name + ".png"), scatter(samples, dataset, name, log_density))
    elif dataset.vocabulary is not None:
        lines = ["".join(dataset.vocabulary[i] for i in text) for text in samples[:TEXTS]]
        run.write(path.with_name(path.name + ".txt"), "\n\n---\n\n".join(lines).encode())


def draw_translations(run: Run, name: str, dataset: Dataset, x: np.ndarray, translated: np.ndarray) -> None:
    """Writes test examples above what a model translated them to, where they are images."""
    if dataset.space.is_image:
        rows = [part for i in range(0, 2 * SHOWN, SHOWN) for part in (x[i : i + SHOWN], translated[i : i + SHOWN])]
        path = run.pictures / f"{slug(name)}{TRANSLATIONS}.png"
        run.write(path, grid(np.concatenate(rows), dataset.space, SHOWN))


def draw_codes(run: Run, name: str, dataset: Dataset, model: Any, codes: dict[str, np.ndarray], device: Any) -> None:
    """Writes what there is to see of a code: neighbours by it, and walks through it where it can be decoded.

    Arguments:
        codes: of the examples of "train" and of the first ones of "test" `[n, d]`.
    """
    from genbench.models.walks import interpolations, traversals, walkable

    if not dataset.space.is_image:
        return
    path, test = run.pictures / slug(name), dataset.test[: max(SHOWN, 2 * WALKS)]
    near, everything = (Points(codes[split].astype(np.float32)) for split in ("test", "train"))
    rows = np.concatenate([test[:SHOWN], dataset.train[near.nearest(everything)[1][:SHOWN, 0]]])
    run.write(path.with_name(f"{path.name}{CODES}.png"), grid(rows, dataset.space, SHOWN))
    if not walkable(model):
        return
    walks = {
        INTERPOLATION: interpolations(model, test[:WALKS], test[WALKS : 2 * WALKS], STEPS, device),
        TRAVERSAL: traversals(model, test[:1], codes["train"], COORDINATES, STEPS, device),
    }
    for end, x in walks.items():
        run.write(path.with_name(f"{path.name}{end}.png"), grid(x.reshape(-1, *x.shape[2:]), dataset.space, STEPS))


def neighbours(samples: np.ndarray, train: np.ndarray) -> np.ndarray:
    """The nearest training example of every sample, in raw values; of many training examples a part at a time."""
    near = Points(samples.reshape(len(samples), -1).astype(np.float32))
    best, index = np.full(len(samples), np.inf), np.zeros(len(samples), np.int64)
    step = max(1, PART // train[0].size)
    for start in range(0, len(train), step):
        part = train[start : start + step]
        distance, place = near.nearest(Points(part.reshape(len(part), -1).astype(np.float32)))
        closer = distance[:, 0] < best  # of equals the first
        best[closer], index[closer] = distance[closer, 0], start + place[closer, 0]
    return train[index]


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
    larger = picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
    larger.save(out, "PNG", optimize=True)
    return out.getvalue()


def completions(
    images: np.ndarray, drawn: np.ndarray, likeliest: np.ndarray | None, given: np.ndarray, space: Space
) -> bytes:
    """PNG with a column for each image: the image, what is given of it, what the model makes of that.

    Arguments:
        images: `[n, C, H, W]`.
        drawn: completions `[draws, n, C, H, W]`.
        likeliest: `[n, C, H, W]`, a last row, where there is one.
        given: `[C, H, W]`, 1 where a value is given; what is hidden is grey.
    """
    low, high = (0, space.levels - 1) if space.levels else (float(images.min()), float(images.max()))
    hidden = np.where(given == 1, images.astype(np.float64), (low + high) / 2)
    rows = [images, hidden, *drawn, *([] if likeliest is None else [likeliest])]
    return grid(np.concatenate(rows), space, len(images))


def places(log_p: np.ndarray, title: str) -> bytes:
    """PNG of the perplexity of characters by their place in a window, from log p `[windows, T]` in nats."""
    from matplotlib.figure import Figure

    mean, n = log_p.mean(0), len(log_p)
    half = Z95 * log_p.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.zeros_like(mean)
    at = np.arange(1, len(mean) + 1)
    figure = Figure(figsize=(4.8, 2.4), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    axes.fill_between(at, np.exp(-mean - half), np.exp(-mean + half), color="#1f5fa8", alpha=0.25, linewidth=0)
    axes.plot(at, np.exp(-mean), color="#1f5fa8", linewidth=1)
    axes.axhline(np.exp(-log_p.mean()), color="#555555", linewidth=0.8, linestyle="--")
    axes.set(
        xlim=(1, max(2, len(mean))), ylim=(0, None), xlabel="place in the window (characters)", ylabel="perplexity"
    )
    axes.set_title(f"{short(title, 40)}: one stream, {n:,} windows, 95 %", fontsize=8, parse_math=False)
    axes.tick_params(labelsize=7)
    return png(figure)


def scatter(points: np.ndarray, dataset: Dataset, title: str, log_density: LogDensity | None = None) -> bytes:
    """PNG of points `[n, 2]`, on the axes of the data; beside them the model's density, and the true one, if known.

    Both densities have one scale of colours, up to the most that either reaches in the data's square.
    """
    from matplotlib.figure import Figure

    known = {"density of the model": log_density, "density of the data": dataset.log_density}
    reach = float(1.25 * np.abs(dataset.test).max())
    maps = {words: on_square(found, reach) for words, found in known.items() if found is not None}
    figure = Figure(figsize=(3.2 * (1 + len(maps)), 3.2), dpi=100, layout="compressed")
    axes, *others = figure.subplots(1, 1 + len(maps), squeeze=False)[0]
    axes.scatter(points[:, 0], points[:, 1], s=2, alpha=0.4, linewidths=0, color="#1f5fa8")
    if dataset.modes is not None:
        centres = dataset.modes[0]
        axes.scatter(centres[:, 0], centres[:, 1], s=18, marker="+", linewidths=0.8, color="#c0392b", label="mode")
        axes.legend(loc="upper right", fontsize=7, framealpha=0.9)
    outside = int((np.abs(points) > reach).any(1).sum())
    words = f"{short(title, 30)}, n = {len(points):,}" + (f" ({outside} outside)" if outside else "")
    axes.set_title(words, fontsize=8, parse_math=False)  # a dollar in a name is a dollar
    most = max((float(p.max()) for p in maps.values()), default=0.0)
    for ax, (words, p) in zip(others, maps.items(), strict=True):
        # The root of p: what leaks between modes has a colour too.
        ax.imshow(p**0.5, origin="lower", extent=(-reach, reach, -reach, reach), vmin=0, vmax=most**0.5, cmap="magma")
        ax.set_title(f"{words}, up to {p.max():.3g}", fontsize=8)
    for ax in (axes, *others):
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="$x_1$", ylabel="$x_2$")
        ax.tick_params(labelsize=7)
    return png(figure, colours=64)


def on_square(log_density: LogDensity, reach: float) -> np.ndarray:
    """The density at the centres of the cells of [-reach, reach]^2 `[CELLS, CELLS]`, the first axis upwards."""
    line = reach * ((2 * np.arange(CELLS) + 1) / CELLS - 1)
    nodes = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2).astype(np.float32)
    return np.exp(log_density(nodes)).reshape(CELLS, CELLS)


def audit(found: list[Finding]) -> bytes:
    """PNG of an audit: a column for every fault, a row for the metrics that compare samples with the same things.

    The height is the change from the mean of real draws, in their standard deviations; upwards is worse.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from genbench.studies.faults import FAULTS

    columns = {
        fault: strengths
        for fault in FAULTS
        if (strengths := sorted({s for f in found if f.fault == fault for s in (*f.values, *f.silent)}))
    }
    rows: dict[tuple[str, str], list[str]] = {}
    for f in found:
        names = rows.setdefault((f.family, f.direction), [])
        names += [f.metric] * (f.metric not in names)
    figure = Figure(figsize=(1.5 * len(columns) + 2.4, 1.6 * len(rows) + 0.7), dpi=90, layout="constrained")
    axes = figure.subplots(len(rows), len(columns), sharex="col", sharey=True, squeeze=False)
    for (family, direction), names, across in zip(rows, rows.values(), axes, strict=True):
        for (fault, strengths), ax in zip(columns.items(), across, strict=True):
            ax.axhspan(-2, 2, color="#dddddd", zorder=0, linewidth=0)
            for f in found:
                if (f.family, f.direction, f.fault) == (family, direction, fault):
                    curve(ax, f, strengths, style(names.index(f.metric)))
        across[0].set_ylabel("no better side" if direction == "none" else f"{direction} is better", fontsize=7)
        lines = [Line2D([], [], label=name, **style(k)) for k, name in enumerate(names)]
        across[-1].legend(
            handles=lines, title=family, title_fontsize=7, fontsize=6, alignment="left",
            loc="upper left", bbox_to_anchor=(1, 1.05), frameon=False,
        )  # fmt: skip
    for ax in axes.flat:
        ax.set_yscale("symlog", linthresh=3)
        ax.set(ylim=(-1.5 * REACH, 1.5 * REACH), yticks=[-100, -10, 0, 10, 100])
        ax.tick_params(labelsize=6)
    for fault, top, bottom in zip(columns, axes[0], axes[-1], strict=True):
        top.set_title(fault, fontsize=8)
        top.set_xticks(range(1 + len(columns[fault])), ["0", *(f"{s:g}" for s in columns[fault])])
        bottom.set_xlabel(FAULTS[fault].unit.replace(" from", "\nfrom"), fontsize=6)
    figure.supylabel("worse than real data by, in standard deviations of its draws (grey: 2)", fontsize=7)
    return png(figure)


def style(k: int) -> dict[str, Any]:
    """Colour and marker of the k-th line of a row."""
    return {"color": f"C{k % 10}", "marker": "os^vDP"[k % 6], "markersize": 3, "linewidth": 1}


def curve(ax: Axes, f: Finding, strengths: list[float], line: dict[str, Any]) -> None:
    """The mean at every strength that has values, with the range of its draws; 0 stands first."""
    real, sign = np.asarray(f.real), -1 if f.direction == "higher" else 1
    y = np.zeros((3, 1 + len(f.values)))  # mean, lowest and highest
    for i, draws in enumerate(f.values.values(), 1):
        with np.errstate(divide="ignore", invalid="ignore"):  # a constant has no spread: 0 / 0 is no change
            change = np.nan_to_num(sign * (np.asarray(draws) - real.mean()) / real.std(ddof=1), nan=0.0)
        change = change.clip(-REACH, REACH)
        low, high = change.min(), change.max()
        y[:, i] = np.clip(change.mean(), low, high), low, high  # a mean of equal numbers may differ in rounding
    x = [0, *(1 + strengths.index(s) for s in f.values)]
    ax.errorbar(x, y[0], yerr=[y[0] - y[1], y[2] - y[0]], elinewidth=0.5, **line)
