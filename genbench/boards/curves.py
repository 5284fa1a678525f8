"""A sampling argument from one value to the next: what it gives in quality, and what it takes in diversity.

Rows that a sweep named, `lstm temperature=0.7` beside `lstm temperature=1`, are the points of one curve. Its table has
the board's own cells in the order of the argument; its plot sets quality against diversity, and the distance to the
data against the argument, each value with its 95 % interval. Nothing is measured here.

References:
    Assessing generative models via precision and recall (Sajjadi et al., 2018), for the trade-off.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genbench.boards.columns import Board, Column
from genbench.boards.markdown import Lead
from genbench.boards.pareto import spread
from genbench.boards.tables import Notes, cell
from genbench.boards.terminal import NARROWEST, narrow
from genbench.text import one_line, short, slug

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAIR = ("precision", "recall")  # where both are measured; else the leading columns of quality and diversity
WIDE = 20.0  # ratio of the largest to the least value, from which on an axis is logarithmic
BLUE = "#0072B2"  # of Okabe and Ito (2008)


@dataclass(frozen=True)
class Curve:
    """The points of one model.

    Arguments:
        name: of the model, with the other swept arguments at their values.
        argument: what is swept.
        values, models: of the argument in order, and the rows that they make.
    """

    name: str
    argument: str
    values: tuple[Any, ...]
    models: tuple[str, ...]

    @property
    def title(self) -> str:
        return f"{one_line(self.name)}: {one_line(self.argument)}"

    @property
    def file(self) -> str:
        return f"{slug(f'{self.name} {self.argument}')}.svg"


def curves(b: Board) -> list[Curve]:
    """The curves among the rows of a board: rows whose names differ in the value of one argument alone."""
    found: dict[tuple[str, str], list[tuple[Any, str]]] = {}
    for model in b.models:
        words = model.split(" ")
        for key, value in b.info[model].get("args", {}).items():
            if (token := f"{key}={value}") in words[1:]:
                place = len(words) - 1 - words[::-1].index(token)
                rest = " ".join([*words[:place], *words[place + 1 :]])
                found.setdefault((rest, key), []).append((value, model))
    return [
        Curve(name, key, *zip(*sorted(points, key=in_order), strict=True))
        for (name, key), points in found.items()
        if len(points) > 1
    ]


def in_order(point: tuple[Any, str]) -> tuple[bool, float, str]:
    """Numbers by size; what is none stands first."""
    value, model = point
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return (is_number, float(value) if is_number else 0.0, model)


def table(b: Board, curve: Curve, width: int) -> str:
    """The table of a curve for a terminal: a row for every value of the argument, in order, a column for a metric."""
    notes = Notes()
    columns = [c for c in b.columns if any(m in c.records for m in curve.models)]
    headers = [one_line(curve.argument), *(one_line(column.title) for column in columns)]
    rows = [
        [one_line(value), *(cell(b.record(model, column), notes) for column in columns)]
        for value, model in zip(curve.values, curve.models, strict=True)
    ]
    said = [f"[{i}] {text}" for i, text in enumerate(notes.texts, 1)]
    return "\n\n".join([f"# {curve.title}", *narrow(headers, rows, max(width, NARROWEST)), *said]) + "\n"


def of_metric(columns: Iterable[Column], metric: str, extractor: str | None = None) -> Column | None:
    """The first column of a metric that has values, in the features of an extractor if one is named."""
    fits = (c for c in columns if c.metric == metric and c.measured and extractor in (None, c.extractor))
    return next(fits, None)


def axes_of(b: Board) -> tuple[Column | None, Column | None, Column | None]:
    """Quality, diversity, and the distance to the data that is shown against the argument."""
    lead = Lead.of(b)
    quality = of_metric(b.columns, PAIR[0])
    diversity = of_metric(b.columns, PAIR[1], quality.extractor) if quality else None
    if quality is None or diversity is None:
        quality, diversity = lead.fidelity, lead.diversity
    return quality, diversity, lead.fidelity or lead.diversity or lead.likelihood


def plot(b: Board, curve: Curve) -> bytes | None:
    """SVG of a curve; None where no metric has two values on it."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    quality, diversity, distance = axes_of(b)
    with rc_context({"svg.hashsalt": "genbench", "svg.fonttype": "none", "font.family": "sans-serif"}):
        pairs = [(x, y) for x, y in ((diversity, quality), (None, distance)) if y and (x or y is distance)]
        pairs = [(x, y) for x, y in pairs if len(shown(curve, x, y)) > 1]
        if not pairs:
            return None
        figure = Figure(figsize=(4.2 * len(pairs), 3.6), layout="constrained")
        figure.suptitle(short(curve.title), fontsize=9, parse_math=False)
        for axes, (x, y) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
            draw(axes, curve, x, y)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": "genbench"})
    return out.getvalue()


def shown(curve: Curve, x: Column | None, y: Column) -> list[tuple[Any, str]]:
    """The points that have a value on both axes: the argument's value and the row."""

    def has(column: Column, model: str) -> bool:
        return (record := column.records.get(model)) is not None and record.value is not None

    points = zip(curve.values, curve.models, strict=True)
    return [(v, m) for v, m in points if has(y, m) and (x is None or has(x, m))]


def draw(axes: Axes, curve: Curve, x: Column | None, y: Column) -> None:
    """Values of a metric against those of another, or against the argument, joined in the order of the argument."""
    points = shown(curve, x, y)
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v, _ in points)
    places = [float(v) if numbers else float(i) for i, (v, _) in enumerate(points)]
    if x is not None:
        places = [x.records[m].value or 0.0 for _, m in points]
    heights = [y.records[m].value or 0.0 for _, m in points]
    axes.plot(places, heights, color=BLUE, linewidth=0.9, zorder=1)
    for place, height, (value, m) in zip(places, heights, points, strict=True):
        across = spread(x, m) if x else None
        look: dict[str, Any] = {"marker": "o", "color": BLUE, "markersize": 5, "elinewidth": 0.8, "capsize": 2}
        axes.errorbar(place, height, xerr=across, yerr=spread(y, m), **look)
        if x is not None:
            axes.annotate(
                short(f"{value}", 12), (place, height), (5, 5), textcoords="offset points", fontsize=7, parse_math=False
            )
    if x is None and numbers and min(places) > 0 and max(places) / min(places) >= WIDE:
        axes.set_xscale("log")
    if x is None:
        axes.set_xticks(places, [short(f"{v}", 12) for v, _ in points], minor=False)
        axes.minorticks_off()
    axes.set(xlabel=label(x) if x else one_line(curve.argument), ylabel=label(y))
    for side in (axes.xaxis, axes.yaxis):
        side.label.update({"fontsize": 8, "parse_math": False})
    axes.tick_params(labelsize=7)
    axes.set_axisbelow(True)
    axes.grid(color="#e4e4e4", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def label(column: Column) -> str:
    """What an axis shows: metric, unit, and which way is better."""
    better = {"lower": ", lower is better", "higher": ", higher is better"}.get(column.direction, "")
    return f"{column.name}\n{column.unit}{better}"
