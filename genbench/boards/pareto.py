"""Two columns of a board against each other: which models nobody beats in both?

Families differ by shape and by colour, so that grey print and every eye can tell them apart. Every point has its name
but where names would cover each other: those that nobody beats come first.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from genbench.boards.columns import Board, Column
from genbench.boards.markdown import Lead
from genbench.files import write_atomically
from genbench.text import short, slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import RendererAgg
    from matplotlib.transforms import Bbox

# Okabe and Ito, "Color universal design" (2008), without yellow, which is faint on white.
STYLES = {
    "reference": ("*", "#000000"),
    "floor": ("x", "#7f7f7f"),
    "mixture": ("P", "#E69F00"),
    "autoregressive": ("o", "#0072B2"),
    "latent-variable": ("s", "#009E73"),
    "flow": ("^", "#CC79A7"),
    "gan": ("D", "#D55E00"),
    "diffusion": ("v", "#56B4E9"),
    "autoencoder": ("X", "#8C6D31"),
}
OTHERS = ("h", "#444444")
FAR = 3.0  # interquartile ranges beyond the quartiles: a value from there on would squeeze all others together
LOG = {"1/s", "ms"}  # units of speed, which spans powers of ten
MANY = 20  # models: from there on the plot is larger
COVERED = 0.05  # of a name: more, and neither it nor what lies below can be read
OFFSETS = [(6, 0), (-6, 0), (0, 7), (0, -7), (6, 6), (6, -6), (-6, 6), (-6, -6), (6, 14), (6, -14), (-6, 14), (-6, -14)]


def pareto(b: Board, x: Column, y: Column) -> bytes | None:
    """SVG of the models that have a value in both columns, with their 95 % intervals; None for fewer than two."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    values = [{m: r.value for m, r in c.records.items() if r.value is not None} for c in (x, y)]
    models = [m for m in b.models if m in values[0] and m in values[1]]
    if len(models) < 2:
        return None
    with rc_context({"svg.hashsalt": "genbench", "svg.fonttype": "none", "font.family": "sans-serif"}):
        size = (6.4, 4.2) if len(models) <= MANY else (8.0, 5.6)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        shown = {m: (values[0][m], values[1][m]) for m in models}
        for column, side, k in ((x, "x", 0), (y, "y", 1)):
            shown = framed(axes, column, side, {m: point[k] for m, point in shown.items()}, shown)
        families = dict.fromkeys(b.info[m]["family"] for m in models)
        for family in families:
            marker, colour = STYLES.get(family, OTHERS)
            some = [m for m in shown if b.info[m]["family"] == family]
            for m in some:
                axes.errorbar(
                    *shown[m], xerr=spread(x, m), yerr=spread(y, m), marker=marker, color=colour,
                    markersize=7, markeredgewidth=1.2, elinewidth=0.8, alpha=0.9, linestyle="none",
                )  # fmt: skip
            axes.plot([], [], marker=marker, color=colour, linestyle="none", label=family)
        best = front(x, y, {m: p for m, p in shown.items() if b.info[m]["family"] not in ("reference", "floor")})
        axes.plot(*zip(*sorted(best.values()), strict=True), color="#999999", linewidth=0.9, linestyle=":", zorder=0)
        axes.set_axisbelow(True)
        axes.grid(color="#e4e4e4", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # names move nothing
        label(axes, best | shown, set(best), renderer)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "genbench"})
    return out.getvalue()


def framed(
    axes: Axes, column: Column, side: str, values: dict[str, float], shown: dict[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Names an axis and says which way is better; what lies far outside is named there and not shown."""
    better = {"lower": "lower is better", "higher": "higher is better"}.get(column.direction, "")
    log = column.unit in LOG and min(values.values()) > 0
    axes.set(**{f"{side}scale": "log" if log else "linear"})
    far = {} if log else outliers(values)
    title = column.title.replace("↓", "").replace("↑", "").strip()
    words = f"{title}, {better}" if better else title
    if far:
        words += "\n(outside: " + ", ".join(f"{short(m, 24)} {v:.4g}" for m, v in far.items()) + ")"
    axes.set(**{f"{side}label": words})
    getattr(axes, f"{side}axis").label.update({"fontsize": 8, "parse_math": False})
    axes.tick_params(labelsize=7)
    return {m: point for m, point in shown.items() if m not in far}


def outliers(values: dict[str, float]) -> dict[str, float]:
    low, high = np.quantile(list(values.values()), [0.25, 0.75])
    reach = FAR * (high - low)
    return {m: v for m, v in values.items() if reach > 0 and not low - reach <= v <= high + reach}


def spread(column: Column, model: str) -> list[list[float]] | None:
    """How far the interval reaches below and above the value, as `errorbar` takes it."""
    record = column.records[model]
    if record.ci95 is None or None in record.ci95 or record.value is None:
        return None
    return [[max(0.0, record.value - record.ci95[0])], [max(0.0, record.ci95[1] - record.value)]]


def front(x: Column, y: Column, points: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    """The models that no other one beats in both."""
    signs = [-1.0 if c.direction == "higher" else 1.0 for c in (x, y)]
    cost = np.array(list(points.values())) * signs
    beaten = [((cost <= c).all(1) & (cost < c).any(1)).any() for c in cost]
    return {m: p for (m, p), lost in zip(points.items(), beaten, strict=True) if not lost}


def label(axes: Axes, shown: dict[str, tuple[float, float]], always: set[str], renderer: RendererAgg) -> None:
    """Names at the points, each where it covers the least of what is there already.

    One that covers too much everywhere is left out, unless it is among `always`.
    """
    pixels = axes.transData.transform(list(shown.values()))
    taken: list[Bbox] = []
    frame = axes.get_window_extent()
    for model, point in shown.items():
        best, least = None, np.inf
        for dx, dy in OFFSETS:
            text = axes.annotate(
                short(model, 28), point, (dx, dy), textcoords="offset points", fontsize=6.5, parse_math=False,
                ha="left" if dx > 0 else "right" if dx < 0 else "center",
                va="bottom" if dy > 0 else "top" if dy < 0 else "center",
            )  # fmt: skip
            box = text.get_window_extent(renderer)
            covered = sum(overlap(box, other) for other in taken)
            covered += 60.0 * sum(bool(box.padded(4).contains(*p)) for p in pixels)
            covered += box.width * box.height - overlap(box, frame)
            if covered < least:
                if best is not None:
                    best.remove()
                best, least = text, covered
            else:
                text.remove()
        assert best is not None
        box = best.get_window_extent(renderer)
        if model in always or least <= COVERED * box.width * box.height:
            taken.append(box)
        else:
            best.remove()


def overlap(a: Bbox, b: Bbox) -> float:
    width = min(a.x1, b.x1) - max(a.x0, b.x0)
    height = min(a.y1, b.y1) - max(a.y0, b.y0)
    return width * height if width > 0 and height > 0 else 0.0


def draw_all(found: list[Board], folder: Path) -> None:
    """Writes the plots of every board that has the columns for them into a folder of pictures."""
    for b in found:
        lead = Lead.of(b)
        pairs = {
            "-likelihood-fidelity": (lead.likelihood, lead.fidelity),
            "-fidelity-speed": (lead.speed, lead.fidelity),
        }
        for end, (x, y) in pairs.items():
            path = folder / f"{slug(b.dataset)}{end}.svg"
            drawn = pareto(b, x, y) if x and y else None
            if drawn is not None:
                folder.mkdir(parents=True, exist_ok=True)
                write_atomically(path, drawn)
            else:
                path.unlink(missing_ok=True)
