"""Accuracy of a linear probe against the number of labels, from a published board.

python tests/metrics/labels.py leaderboards/representation docs/label-efficiency.png ddpm pixelcnn ...
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.figure import Figure

from genbench.boards.seeds import shown_rows
from genbench.figures import png
from genbench.run.records import open_run


def curves(folder: Path) -> dict[str, dict]:
    """{model: {labels: {"codes", "raw", "pca", "above_raw"}}} of the digits."""
    return {
        record.model["name"]: record.details["by_labels"]
        for record in shown_rows([open_run(folder)])
        if record.metric["name"] == "probe-100" and record.dataset["name"] == "digits" and record.status == "ok"
    }


def draw(found: dict[str, dict], names: list[str]) -> Figure:
    """Curves of the named models, and of raw values and their principal components."""
    figure = Figure(figsize=(5.6, 3.4), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    anyone = next(iter(found.values()))
    labels = sorted((n for n in anyone if n != "all"), key=int)  # keys of JSON are texts
    lines = {name: [found[name][n]["codes"] for n in labels] for name in names}
    lines |= {f"{what} (reference)": [anyone[n][what] for n in labels] for what in ("raw", "pca")}
    for k, (name, points) in enumerate(lines.items()):
        values = [p["value"] for p in points]
        below, above = ([abs(p["ci95"][end] - p["value"]) for p in points] for end in (0, 1))
        style = (
            {"color": "0.3", "linestyle": "--" if "raw" in name else ":"} if "reference" in name else {"color": f"C{k}"}
        )
        x = [float(n) * 1.02**k for n in labels]  # side by side, so that intervals are seen
        axes.errorbar(x, values, yerr=[below, above], label=name, marker="o", markersize=3, linewidth=1, **style)
    axes.set_xscale("log")
    axes.set_xticks([float(n) for n in labels], labels)
    axes.minorticks_off()
    axes.set(xlabel="labels", ylabel="accuracy on test images")
    axes.legend(fontsize=7)
    return figure


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(png(draw(curves(Path(sys.argv[1])), sys.argv[3:])))
