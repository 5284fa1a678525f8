"""Two models, or two runs, against each other: the difference of every metric with its 95 % interval.

Log-likelihoods of the same test examples are compared by pairs: an example that is hard for one model
is hard for the other, and the difficulty that they share cancels. Every other metric is compared as two
independent estimates, new - base +- 1.96 sqrt(SE_new^2 + SE_base^2). Only values that could stand in one
column of a leaderboard are compared.
"""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tabulate import tabulate

from genbench.boards.columns import column_key
from genbench.errors import GenbenchError, unknown
from genbench.metrics import mean
from genbench.run.records import Record, Run, in_rows, open_run
from genbench.space import Space

Z = 1.959963984540054


@dataclass(frozen=True)
class Difference:
    """new - base of one metric of one model.

    Arguments:
        base, new: the two values, in `unit`.
        ci95: the interval of the difference, None where one of the two values has no standard error.
        method: how the interval was made; where there is none, why.
        verdict: what `judge` says.
    """

    model: str
    metric: str
    unit: str
    base: float
    new: float
    difference: float
    ci95: tuple[float, float] | None
    method: str
    verdict: str


def side(text: str) -> tuple[Run, dict[str, list[Record]]]:
    """`RUN` or `RUN:MODEL` -> the run and its records by model.

    Raises:
        GenbenchError: no such run, or no such model in it.
    """
    path, _, model = text.partition(":")
    run = open_run(Path(path))
    by_model: dict[str, list[Record]] = {}
    for record in in_rows([run]):
        by_model.setdefault(record.model["name"], []).append(record)
    if not model:
        return run, by_model
    if model not in by_model:
        raise unknown(f"model in {path}", model, by_model)
    return run, {model: by_model[model]}


def compare(base: str, new: str) -> list[Difference]:
    """The differences in every metric that both sides measured alike, of models of the same name.

    Arguments:
        base, new: `RUN` or `RUN:MODEL`. Where both name a model, these two are compared, whatever their names.

    Raises:
        GenbenchError: no such run or model.
    """
    (run_a, models_a), (run_b, models_b) = side(base), side(new)
    pairs = [(a, a) for a in models_a if a in models_b]
    if ":" in base and ":" in new:
        pairs = [(next(iter(models_a)), next(iter(models_b)))]
    found = []
    for a, b in pairs:
        columns = {column_key(r): r for r in models_a[a] if r.status == "ok" and r.value is not None}
        name = a if a == b else f"{a} -> {b}"
        for record in models_b[b]:
            other = columns.get(column_key(record))
            if other is not None and record.status == "ok" and record.value is not None:
                found.append(difference(name, run_a, other, run_b, record))
    return found


def difference(name: str, run_a: Run, a: Record, run_b: Run, b: Record) -> Difference:
    """The difference in one metric: paired where both runs keep the log-likelihoods, else of independent estimates."""
    assert a.value is not None
    assert b.value is not None
    gap, ci, method = b.value - a.value, None, "none: one of the two has no standard error"
    log_p = [r.get_arrays(x.arrays.get("log_likelihood", "")) for r, x in ((run_a, a), (run_b, b))]
    if a.metric["name"] == "nll" and log_p[0] is not None and log_p[1] is not None:
        space = Space.from_dict(a.dataset["space"])
        paired = mean(space.bits_per_dim(1.0) * (log_p[0]["values"] - log_p[1]["values"]))
        ci, method = paired.ci95, "paired over examples"
    elif a.stderr is not None and b.stderr is not None:
        half = Z * math.hypot(a.stderr, b.stderr)
        ci, method = (gap - half, gap + half), "normal, independent"
    verdict = judge(gap, ci, a.metric["direction"])
    return Difference(name, a.metric["name"], a.metric["unit"], a.value, b.value, gap, ci, method, verdict)


def judge(gap: float, ci: tuple[float, float] | None, direction: str) -> str:
    """better or worse; "no difference" where the interval holds 0; "unknown" where there is a gap but no interval.

    A metric without a better side (direction "none") has "no difference", whatever its interval.
    """
    if ci is None:
        return "unknown" if gap else "no difference"
    if ci[0] <= 0 <= ci[1] or direction == "none":
        return "no difference"
    return "better" if (gap < 0) == (direction == "lower") else "worse"


def table(differences: list[Difference]) -> str:
    """Aligned markdown: a row for each difference."""
    rows = [[d.model, d.metric, f"{d.base:.4g}", f"{d.new:.4g}", interval(d), d.method, d.verdict] for d in differences]
    headers = ["model", "metric", "base", "new", "difference (95 %)", "method", "verdict"]
    align = ("left", "left", "right", "right", "right", "left", "left")
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True) + "\n"


def interval(d: Difference) -> str:
    """`+0.1 [+0.05, +0.15]`: the difference, and its interval where it has one."""
    bounds = "" if d.ci95 is None else f" [{d.ci95[0]:+.4g}, {d.ci95[1]:+.4g}]"
    return f"{d.difference:+.4g}{bounds}"


def as_dicts(differences: list[Difference]) -> list[dict[str, Any]]:
    """JSON types only."""
    return [asdict(d) for d in differences]


GATE = re.compile(r"(?P<metric>[^:]+):(?P<sign>[+-])(?P<amount>\d+(\.\d+)?)(?P<percent>%?)")


def tripped(differences: list[Difference], gate: str) -> list[Difference]:
    """The differences that a gate forbids: `fd:+2%` forbids a rise of more than 2 %, `fd:-2` a fall of more than 2.

    Percent are of the size of the base value. A change trips the gate if its interval lies wholly on that side of 0,
    or if it has no interval.

    Raises:
        GenbenchError: a gate that cannot be read, or a metric that was not compared.
    """
    found = GATE.fullmatch(gate)
    if not found:
        raise GenbenchError(
            f"gate '{gate}' cannot be read", "Write METRIC:+AMOUNT or METRIC:-AMOUNT, with % or without."
        )
    sign = 1 if found["sign"] == "+" else -1
    concerned = [d for d in differences if found["metric"] in (d.metric, d.metric.partition("[")[0])]
    if not concerned:
        raise unknown("metric of a gate", found["metric"], {d.metric for d in differences})

    def trips(d: Difference) -> bool:
        limit = float(found["amount"]) * (abs(d.base) / 100 if found["percent"] else 1)
        sure = d.ci95 is None or min(sign * bound for bound in d.ci95) > 0
        return sign * d.difference > limit and sure

    return [d for d in concerned if trips(d)]
