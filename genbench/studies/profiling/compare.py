"""Two profiles against each other: which kernels became slower, by how much, and whether that can be chance.

Of the raw times x of the base and y of the new profile,

    ratio    median y / median x
    shift    the median of all y_j / x_i: the Hodges-Lehmann estimate of the factor between them
    p        of the Mann-Whitney test that neither tends to be larger

A verdict needs both p and shift: with thousands of runs a drift of 0.1 % is significant, with three nothing is. The
runs of one profile share a process and a moment, so p says that the two measurements differ, not why: a busy machine
slows a kernel as well as a worse program does.

References:
    On a test of whether one of two random variables is stochastically larger than the other (Mann, Whitney, 1947).
    Estimates of location based on rank tests (Hodges, Lehmann, 1963), of the logarithms.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu
from tabulate import tabulate

from genbench.boards.compare import GATE
from genbench.errors import GenbenchError, unknown
from genbench.studies.profiling.kernel import OWN, belongs, shown
from genbench.studies.profiling.report import duration
from genbench.studies.profiling.results import Profile, Row, read

ALPHA = 0.01
EFFECT = 1.05  # a factor that is worth a verdict


@dataclass(frozen=True)
class Change:
    """new against base, of one way of one kernel at one size.

    Arguments:
        runs: of base and of new.
        verdict: slower, faster or no difference; "too few runs" where no times whatever could have p < ALPHA.
    """

    kernel: str
    implementation: str
    size: dict[str, int]
    base_s: float
    new_s: float
    ratio: float
    shift: float
    p: float
    runs: tuple[int, int]
    verdict: str


def compare(base: Path, new: Path) -> list[Change]:
    """The changes of what both profiles measured.

    Raises:
        GenbenchError: a file holds no profile.
    """
    return changes(read(base), read(new))


def changes(base: Profile, new: Profile) -> list[Change]:
    before = {row.key: row for row in base.rows}
    return [change(before[row.key], row) for row in new.rows if row.key in before]


def change(base: Row, new: Row) -> Change:
    x, y = np.array(base.times_s), np.array(new.times_s)
    shift = float(np.median(y[:, None] / x))
    p = float(mannwhitneyu(x, y, alternative="two-sided").pvalue)
    return Change(
        kernel=new.kernel,
        implementation=new.implementation,
        size=new.size,
        base_s=base.median,
        new_s=new.median,
        ratio=new.median / base.median,
        shift=shift,
        p=p,
        runs=(len(x), len(y)),
        verdict=judge(shift, p, len(x), len(y)),
    )


def judge(shift: float, p: float, n: int, m: int) -> str:
    if 2 / math.comb(n + m, n) >= ALPHA:  # p where all times of one exceed all of the other
        return "too few runs"
    if p >= ALPHA or 1 / EFFECT <= shift <= EFFECT:
        return "no difference"
    return "slower" if shift > 1 else "faster"


def table(found: list[Change]) -> str:
    """Aligned markdown."""
    headers = ["kernel", "implementation", "shape", "base", "new", "ratio of medians", "shift", "p", "runs", "verdict"]
    rows = [
        [c.kernel, c.implementation, shown(c.size), duration(c.base_s), duration(c.new_s), f"{c.ratio:.3f}",
         f"{100 * (c.shift - 1):+.1f} %", f"{c.p:.2g}", f"{c.runs[0]}, {c.runs[1]}", c.verdict]
        for c in found
    ]  # fmt: skip
    align = ("left", "left", "left", *["right"] * 6, "left")
    return tabulate(rows, headers, tablefmt="pipe", colalign=align, disable_numparse=True) + "\n"


def as_dicts(found: list[Change]) -> list[dict[str, Any]]:
    return [asdict(c) for c in found]


def tripped(found: list[Change], gate: str) -> list[Change]:
    """Those that `gate` forbids: `nearest:+10%` is a shift of genbench's own by more than 10 % with p < ALPHA.

    Raises:
        GenbenchError: a gate that cannot be read, or a kernel that was not compared.
    """
    parts = GATE.fullmatch(gate)
    if not parts or parts["sign"] != "+" or not parts["percent"]:
        raise GenbenchError(f"gate '{gate}' cannot be read", "Of profiles write KERNEL:+AMOUNT%, as in nearest:+10%.")
    own = [c for c in found if c.implementation == OWN]
    concerned = [c for c in own if belongs(c.kernel, parts["metric"])]
    if not concerned:
        raise unknown("kernel of a gate", parts["metric"], {c.kernel for c in own})
    limit = 1 + float(parts["amount"]) / 100
    return [c for c in concerned if c.shift > limit and c.p < ALPHA]
