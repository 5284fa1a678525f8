"""Two columns of a board against each other: which models nobody beats in both?

Families differ by shape and by colour, so that grey print and every eye can tell them apart. Every point has its name,
if need be at the end of a line, but where names would cover each other: those that nobody beats come first.
"""

from __future__ import annotations

import io
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from genbench.boards.columns import Board, Column
from genbench.boards.markdown import Lead
from genbench.files import write_atomically
from genbench.text import short, slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
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
THOUSAND = 1000.0  # an axis of logarithms that spans more has numbers at powers of ten alone
WIDE = 10.0  # times the smallest value: a larger one, and values that are all above 0 stand on a scale of logarithms
LABEL = {"x": 95, "y": 52}  # characters of a line that names an axis, as many as lie beside it
MANY = 20  # models: from there on the plot is larger
COVERED = 0.02  # of a name: more, and neither it nor what lies below can be read
RINGS = (7.0, 13.0, 20.0, 28.0, 38.0)  # points from a model to its name; from the second on a line joins them
DIRECTIONS = (0, 180, 45, -45, 135, -135, 90, -90, 20, -20, 160, -160, 70, -70, 110, -110)  # degrees


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
        size = (8.0, 4.4) if len(models) <= MANY else (9.6, 6.2)
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        shown = {m: (values[0][m], values[1][m]) for m in models}
        for column, side, k in ((x, "x", 0), (y, "y", 1)):
            shown = framed(axes, column, side, {m: point[k] for m, point in shown.items()}, shown)
        families = dict.fromkeys(b.info[m]["family"] for m in shown)
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
        axes.margins(0.08)
        where: dict[str, Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1), "ncols": 6}
        axes.legend(fontsize=8, frameon=False, columnspacing=1.0, handletextpad=0.2, **where)
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # names move nothing
        label(axes, best | shown, set(best), intervals(axes, x, y, shown), renderer)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "genbench"})
    return out.getvalue()


def framed(
    axes: Axes, column: Column, side: str, values: dict[str, float], shown: dict[str, tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """Names an axis and says which way is better; what lies far outside is named there and not shown."""
    better = {"lower": "lower is better", "higher": "higher is better"}.get(column.direction, "")
    log = logarithmic(column)
    axes.set(**{f"{side}scale": "log" if log else "linear"})
    far = {} if log else outliers(values)
    title = column.title.replace("↓", "").replace("↑", "").strip()
    words = ", ".join(filter(None, [column.card.get("title", ""), title, better]))
    lines = [words]
    if far:
        lines.append("(outside: " + ", ".join(f"{short(m, 24)} {v:.4g}" for m, v in far.items()) + ")")
    axes.set(**{f"{side}label": "\n".join(part for line in lines for part in wrap(line, LABEL[side]))})
    getattr(axes, f"{side}axis").label.update({"fontsize": 9, "parse_math": False})
    axes.tick_params(labelsize=8)
    if log:
        plain_numbers(getattr(axes, f"{side}axis"), max(values.values()) / min(values.values()))
    return {m: point for m, point in shown.items() if m not in far}


def plain_numbers(axis: Axis, span: float) -> None:
    """Writes 20 and 1,000 at an axis of logarithms, not powers of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if span < THOUSAND else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:,.0f}" if v >= 1 else f"{v:g}"))
    axis.set_minor_formatter(NullFormatter())


def logarithmic(column: Column) -> bool:
    """Whether an axis of logarithms shows it: speed, and what is certainly above 0 and spans more than `WIDE`."""
    records = [r for r in column.records.values() if r.value is not None]
    values = [r.value for r in records if r.value is not None]
    if not values or min(values) <= 0:
        return False
    if column.unit in LOG:
        return True
    ends = [end for r in records for end in (r.ci95 or ()) if end is not None]
    return max(values) > WIDE * min(values) and min(ends, default=1.0) > 0


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


def intervals(axes: Axes, x: Column, y: Column, shown: dict[str, tuple[float, float]]) -> list[Bbox]:
    """Where the intervals lie in the picture, each a box without width."""
    from matplotlib.transforms import Bbox

    found = []
    for model, (a, b) in shown.items():
        for column, at in ((x, lambda v, b=b: (v, b)), (y, lambda v, a=a: (a, v))):
            record = column.records[model]
            if record.ci95 is not None and None not in record.ci95:
                ends = axes.transData.transform([at(end) for end in record.ci95])
                found.append(Bbox(np.nan_to_num(ends, nan=0.0, posinf=1e6, neginf=-1e6)))
    return found


def label(
    axes: Axes, shown: dict[str, tuple[float, float]], always: set[str], lines: list[Bbox], renderer: RendererAgg
) -> None:
    """Names at the points, each where it covers the least of what is there already, as near to its point as it can be.

    One that would cover another name everywhere is left out, unless it is among `always`.
    """
    from matplotlib.transforms import Bbox

    pixels = axes.transData.transform(list(shown.values()))
    taken: list[Bbox] = []
    frame, dots = axes.get_window_extent(renderer), renderer.points_to_pixels(1.0)
    places = [place(ring, degrees) for ring in RINGS for degrees in DIRECTIONS]
    dx, dy, right, up, ring = (np.array(of) for of in zip(*places, strict=True))
    for (model, point), (px, py) in zip(shown.items(), pixels, strict=True):
        style: dict[str, Any] = {"fontsize": 7.5, "parse_math": False, "textcoords": "offset points", "zorder": 4}
        sized = axes.annotate(short(model, 28), point, (0, 0), **style)
        size = sized.get_window_extent(renderer)
        sized.remove()
        left, low = px + dx * dots - size.width * right, py + dy * dots - size.height * up
        boxes = Boxes(left, low, left + size.width, low + size.height)
        covered = sum(overlap(boxes, other) for other in taken) + size.width * size.height - overlap(boxes, frame)
        points = boxes.hold(pixels, 3 * dots).sum(1)
        cost = 20 * covered + 400 * points + 2 * sum(crossed(boxes, line) for line in lines) + 6 * ring * dots
        best = int(np.argmin(cost))
        hidden = covered[best] > COVERED * size.width * size.height
        if not cost[best] < np.inf or (hidden and model not in always):
            continue
        thin = {"arrowstyle": "-", "color": "#777777", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 3}
        axes.annotate(
            short(model, 28), point, (dx[best], dy[best]),
            ha=ACROSS[right[best]], va=UPWARDS[up[best]], arrowprops=thin if ring[best] > RINGS[0] else None,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.3}, **style,
        )  # fmt: skip
        box = Bbox.from_extents(*(side[best] for side in boxes))
        taken.append(box.padded(dots))  # a browser's letters may be a little wider


ACROSS, UPWARDS = {0.0: "left", 0.5: "center", 1.0: "right"}, {0.0: "bottom", 0.5: "center", 1.0: "top"}


def place(ring: float, degrees: float) -> tuple[float, float, float, float, float]:
    """Where a name may stand: its offset from the point, which shares of it lie left of there and below, the ring."""
    dx, dy = (ring * float(f(np.radians(degrees))) for f in (np.cos, np.sin))
    right, up = (0.0 if d > ring / 3 else 1.0 if d < -ring / 3 else 0.5 for d in (dx, dy))
    return dx, dy, right, up, ring


class Boxes(NamedTuple):
    """Boxes in many places, by their sides `[n]`: a box has the same."""

    x0: np.ndarray
    y0: np.ndarray
    x1: np.ndarray
    y1: np.ndarray

    def hold(self, points: np.ndarray, margin: float) -> np.ndarray:
        """Which of the points `[m, 2]` lie in which box with a margin around it, `[n, m]`."""
        x, y = points.T
        across = (self.x0[:, None] - margin <= x) & (x <= self.x1[:, None] + margin)
        return across & (self.y0[:, None] - margin <= y) & (y <= self.y1[:, None] + margin)


def shared(a: Boxes | Bbox, b: Bbox) -> tuple[Any, Any]:
    """Width and height of what two boxes share, below 0 where they are apart."""
    return np.minimum(a.x1, b.x1) - np.maximum(a.x0, b.x0), np.minimum(a.y1, b.y1) - np.maximum(a.y0, b.y0)


def crossed(boxes: Boxes, line: Bbox) -> np.ndarray:
    """How many pixels of a line, along one of the axes, lie in a box."""
    width, height = shared(boxes, line)
    return np.where((width >= 0) & (height >= 0), np.maximum(width, height), 0.0)


def overlap(a: Boxes | Bbox, b: Bbox) -> Any:
    width, height = shared(a, b)
    return np.where((width > 0) & (height > 0), width * height, 0.0)


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
