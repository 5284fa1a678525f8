"""How often do 95 % intervals hold the truth? Simulation over data whose truth is known.

    python -m genbench.studies.calibration [--only NAME] [--replicates N]

prints the tables of docs/coverage.md. A case draws fresh data many times, measures them as a record would be,
and counts how often the true value is inside each interval. The share has its own standard error,
sqrt(0.95 * 0.05 / replicates). `likelihoods`, `distances`, `neighbours`, `shares`,
`ranks` and `uses` hold the cases.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from genbench.metrics import Measure

MEANS, DISTANCES = (93, 97), (90, 98)  # per cent: what is asked of means and shares, and of distances and scores
# fmt: off
OF_DISTANCES = {
    "fd", "fd_infinity", "fd_per_class", "rfd", "mifid", "kd", "cmmd", "mind", "sliced_wasserstein",
    "translation_fd", "translation_fd_back",
    "fld", "fld_gap", "jsd", "classes_kl", "modes_kl", "data_copying", "vendi", "is",
}
# fmt: on
FIXED = 1  # seed of what a case holds fixed, away from the seeds of the replicates


class Truth(NamedTuple):
    """What an interval should hold, and how that is known."""

    value: float
    known: str = "closed form"


@dataclass(frozen=True)
class Case:
    """Some outputs on one kind of data.

    Arguments:
        outputs: those to be counted, of all that `draw` gives.
        what: the data, and what is held fixed.
        n: how many rows are drawn.
        draw: a fresh data set's measures by output, from a random generator.
        truth: what the intervals should hold, by output; where it says nothing, the mean over the replicates is
            taken for the expectation. Its error is 1/sqrt(replicates) of a standard error.
        replicates: by default.
    """

    outputs: tuple[str, ...]
    what: str
    n: str
    draw: Callable[[np.random.Generator], dict[str, Measure]]
    truth: Callable[[], dict[str, Truth]] = dict
    replicates: int = 1000


@dataclass(frozen=True)
class Row:
    """The coverage of one output's intervals: of `intervals`, so many hold the truth; `without` had none."""

    output: str
    case: Case
    truth: Truth
    hits: int
    intervals: int
    without: int

    @property
    def coverage(self) -> float:
        """In per cent."""
        return 100 * self.hits / self.intervals

    @property
    def error(self) -> float:
        """Half of a 95 % interval of the coverage, were it 95 %."""
        return 100 * 1.96 * math.sqrt(0.95 * 0.05 / self.intervals)

    @property
    def band(self) -> tuple[int, int]:
        """In per cent, where the coverage should be."""
        return DISTANCES if self.output in OF_DISTANCES else MEANS

    @property
    def outside(self) -> str:
        low, high = self.band
        return "below" if self.coverage < low else "above" if self.coverage > high else ""


def simulate(
    case: Case, replicates: int | None = None, seed: int = 0, progress: Callable[[], object] = lambda: None
) -> list[Row]:
    """The coverage of each of the case's outputs.

    Arguments:
        replicates: in place of the case's own number.
        progress: called after every replicate.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[Measure]] = {output: [] for output in case.outputs}
    for _ in range(replicates or case.replicates):
        measures = case.draw(rng)
        for output, found in drawn.items():
            found.append(measures[output])
        progress()
    truths = case.truth()
    return [_count(output, case, measures, truths.get(output)) for output, measures in drawn.items()]


def _count(output: str, case: Case, measures: list[Measure], truth: Truth | None) -> Row:
    truth = truth or Truth(float(np.mean([m.value for m in measures])), "mean of replicates")
    intervals = [m.ci95 for m in measures if m.ci95 is not None]
    if not intervals:
        raise ValueError(f"{output}, {case.what}: {measures[0].ci_method}")
    hits = sum(low <= truth.value <= high for low, high in intervals)
    return Row(output, case, truth, hits, len(intervals), len(measures) - len(intervals))
