"""A training run as a curve: the metrics of its checkpoints against the steps of training after which each was saved.

The checkpoints are models of their own, measured by one protocol with the same seed: what differs along the curve is
the training, and their samples share their noise. Choosing the best of them on test data would make it too good: choose
on validation data, as `genbench train` does.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from genbench.boards.columns import ARROWS, Column, columns_of
from genbench.boards.tables import Notes, cell
from genbench.boards.terminal import NARROWEST, filled, narrow
from genbench.errors import GenbenchError
from genbench.run.records import Record
from genbench.text import one_line

if TYPE_CHECKING:
    from genbench.models.adapters import Source


def steps_of(sources: list[Source]) -> dict[str, int]:
    """{name of a checkpoint: steps of training}, rising: what cards say, else the last number that differs in names.

    Raises:
        GenbenchError: no such number, or two checkpoints of one step.
    """
    said = [one.extra.training.get("steps") if one.adapter == "checkpoint" else None for one in sources]
    if not all(isinstance(steps, int) for steps in said) or len(set(said)) < len(said):
        numbers = [re.findall(r"\d+", one.name) for one in sources]
        places = range(len(numbers[0])) if len(set(map(len, numbers))) == 1 else ()
        differ = [k for k in places if len({row[k] for row in numbers}) > 1]
        said = [int(row[differ[-1]]) for row in numbers] if differ else [0] * len(sources)
    if len(set(said)) < len(said):
        raise GenbenchError(
            f"the checkpoints {', '.join(one.name for one in sources[:3])}, ... do not say their steps of training",
            "Put the step into their names, as in step=1000.safetensors, each another.",
        )
    found = {one.name: int(steps or 0) for one, steps in zip(sources, said, strict=True)}
    return dict(sorted(found.items(), key=lambda pair: pair[1]))


def columns(records: list[Record], steps: dict[str, int]) -> list[Column]:
    """The metrics of the checkpoints; those that none of them has a value of say why."""
    return list(columns_of([record for record in records if record.model["name"] in steps]).values())


def table(name: str, found: list[Column], steps: dict[str, int], width: int) -> str:
    """A line for each checkpoint, a column for each metric in as many tables as fit, and the notes below."""
    notes = Notes()
    rows = [[f"{n:,}", *[cell(c.records.get(one), notes) for c in found]] for one, n in steps.items()]
    tables = narrow(["step", *[one_line(c.title) for c in found]], rows, max(width, NARROWEST))
    said = [filled(f"[{i}] {text}", width) for i, text in enumerate(notes.texts, 1)]
    return "\n\n".join([f"# {one_line(name)}", *tables, *said]) + "\n"


def plot(name: str, found: list[Column], steps: dict[str, int]) -> bytes | None:
    """SVG: a curve for each metric, with 95 % intervals, above one axis of steps; None where none has a value."""
    found = [c for c in found if any(r.value is not None for r in c.records.values())]
    if not found:
        return None
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "genbench", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(6.4, 0.8 + 1.9 * len(found)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(len(found), 1, sharex=True, squeeze=False)[:, 0]
        for ax, column in zip(axes, found, strict=True):
            points = [(steps[n], r) for n in steps if (r := column.records.get(n)) and r.value is not None]
            x, y = [at for at, _ in points], [r.value for _, r in points]
            low = [r.ci95[0] if r.ci95 and None not in r.ci95 else r.value for _, r in points]
            high = [r.ci95[1] if r.ci95 and None not in r.ci95 else r.value for _, r in points]
            ax.fill_between(x, low, high, color="#0072B2", alpha=0.2, linewidth=0)
            ax.plot(x, y, marker="o", color="#0072B2", linewidth=1.2)
            ax.set_ylabel(f"{column.name} {ARROWS[column.direction]}", fontsize="small")
            ax.grid(alpha=0.3)
        axes[0].set_title(one_line(name), fontsize="medium", parse_math=False)
        axes[-1].set_xlabel("step of training")
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()
