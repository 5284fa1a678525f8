"""Negative log-likelihood of a diffusion model by its probability-flow ODE: an estimate, no bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._likelihood import bits_per_dim
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

VERSION = 1
NEEDS = ("probability_flow", "space", "test_sequence")
OUTPUTS = {
    "nll_ode": {
        "unit": "bits/dim",
        "direction": "lower",
        "range": (None, None),
        "title": "NLL by the probability-flow ODE",
        "misses": "no bound: errors of the solver and of the trace can make it too good; says little of how samples "
        "look",
        "group": "likelihood",
        "place": 40,
    },
}
REFERENCE = "Song et al. 2021"


def compute(probability_flow: LogLikelihood, space: Space, test_sequence: np.ndarray | None) -> dict[str, Measure]:
    """-mean log p(x) / (D ln 2); `details` has the solver's tolerance and its number of evaluations."""
    return {"nll_ode": bits_per_dim(probability_flow, space, test_sequence)}
