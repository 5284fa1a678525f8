"""docs/latents.md and its plot, from records alone: the document keeps its words, and its tables are made anew."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from tabulate import tabulate

from genbench.boards.seeds import shown_rows
from genbench.boards.tables import compact
from genbench.figures import png
from genbench.numerics.intervals import Z95
from genbench.run.records import Record, open_run
from genbench.studies.latents.gradients import Variance

BOARD = Path("leaderboards") / "latents"
RECORDS, PAGE, PLOT = (Path("docs") / name for name in ("latents.jsonl", "latents.md", "latents.png"))


def read(path: Path) -> list[Variance]:
    """The records of the study of gradients, a line of JSON each."""
    return [Variance(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def ratio(of: Variance, to: Variance) -> tuple[float, float, float]:
    """The ratio of two variances, and the ends of its 95 % interval."""
    value, factor = of.value / to.value, math.exp(Z95 * math.hypot(of.relative, to.relative))
    return value, value / factor, value * factor


def ratios(found: list[Variance], latents: str, of: str, to: str) -> dict[int, tuple[float, float, float]]:
    """Of two estimators at every step."""
    at = {(v.step, v.estimator): v for v in found if v.latents == latents}
    steps = sorted({step for step, _ in at})
    return {step: ratio(at[step, of], at[step, to]) for step in steps}


# What is compared: latents, one estimator, and that by which its variance is divided.
COMPARED = (
    ("Gaussian", "score", "reparameterised"),
    ("Gaussian", "score with baseline", "reparameterised"),
    ("Bernoulli", "score", "score with baseline"),
)


def gradient_table(found: list[Variance]) -> str:
    columns = [ratios(found, *compared) for compared in COMPARED]
    rows = []
    for step in columns[0]:
        bounds = {v.latents: v.bound for v in found if v.step == step}
        values = ["{:.3g} [{:.3g}, {:.3g}]".format(*column[step]) for column in columns]
        rows.append([str(step), f"{bounds['Gaussian']:.1f}", *values[:2], f"{bounds['Bernoulli']:.1f}", values[2]])
    headers = ["step", "bound, Gaussian", "score / reparameterised", "score with baseline / reparameterised"]
    headers += ["bound, Bernoulli", "score / score with baseline"]
    return pipes(rows, headers, 0)


def pipes(rows: list[list[str]], headers: list[str], left: int) -> str:
    align = ["left"] * left + ["right"] * (len(headers) - left)
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True)


def board(root: Path) -> dict[tuple[str, str], Record]:
    """The records of the published board, by model and metric."""
    return {(r.model["name"], r.metric["name"]): r for r in shown_rows([open_run(root / BOARD)])}


def amortisation_table(found: dict[tuple[str, str], Record]) -> str:
    """Models by their gap; of each the bound that its encoder gives and that which the search gives, in nats."""
    gaps = {model: r for (model, metric), r in found.items() if metric == "amortisation-gap" and r.status == "ok"}
    rows = []
    for model, record in sorted(gaps.items(), key=lambda item: item[1].value or 0.0):
        details: dict[str, Any] = record.details
        rows.append([model, f"{details['encoder_nats']:.2f}", f"{details['search_nats']:.2f}", compact(record)])
    return pipes(rows, ["model", "bound of the encoder, nats", "bound after the search, nats", "gap, nats"], 1)


def collapse_table(found: dict[tuple[str, str], Record]) -> str:
    """KL of each latent, the largest first, of the models side by side, their sum, and how many units are active."""
    kl = {model: r for (model, metric), r in sorted(found.items()) if metric == "latent-kl" and r.status == "ok"}
    units = {model: sorted(record.details["kl_by_unit"], reverse=True) for model, record in kl.items()}
    rows = [
        ["nll, bits/dim", *(compact(found[model, "nll"]) for model in kl)],
        ["sum of KL, nats", *(compact(record) for record in kl.values())],
        ["active units", *(compact(found[model, "active-units"]) for model in kl)],
    ]
    for i in range(max(map(len, units.values()))):
        rows.append([f"KL of latent {i + 1}", *(f"{u[i]:.3f}" if i < len(u) else "" for u in units.values())])
    return pipes(rows, ["", *kl], 1)


def filled(text: str, tables: dict[str, str]) -> str:
    """The text with each table between its marks, `<!-- name -->` and `<!-- end -->`.

    Raises:
        ValueError: a table has no place, or two.
    """
    for name, table in tables.items():
        before, mark, rest = text.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition("<!-- end -->")
        if not end or mark in after:
            raise ValueError(f"the table of {name} has not one place")
        text = f"{before}{mark}\n{table}\n\n{end}{after}"
    return text


def page(root: Path) -> str:
    """docs/latents.md as it has to be."""
    found = board(root)
    tables = {
        "gradients": gradient_table(read(root / RECORDS)),
        "amortisation": amortisation_table(found),
        "collapse": collapse_table(found),
    }
    return filled((root / PAGE).read_text(encoding="utf-8"), tables)


def plot(found: list[Variance]) -> bytes:
    """PNG of the ratios over training, with their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.6), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    for i, (latents, of, to) in enumerate(COMPARED):
        column = ratios(found, latents, of, to)
        steps, (value, low, high) = list(column), zip(*column.values(), strict=True)
        ends = [[v - a for v, a in zip(value, low, strict=True)], [b - v for v, b in zip(value, high, strict=True)]]
        words = f"{latents}: {of} / {to}"
        axes.errorbar(steps, value, yerr=ends, color=f"C{i}", marker="os^"[i], markersize=4, capsize=2, label=words)
    axes.axhline(1, color="#888888", linewidth=0.8)
    axes.set_xscale("symlog", linthresh=30)
    axes.set_yscale("log")
    axes.set(xlim=(-5, 1.2 * steps[-1]), xlabel="step of training", ylabel="ratio of variances")
    axes.set_xticks(steps, map(str, steps))
    axes.legend(fontsize=8)
    return png(figure)
