"""Negative log-likelihood of a diffusion model by its probability-flow ODE: an estimate, no bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.metrics import Measure, mean
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood.probability_flow import FlowLikelihood

VERSION = 1
NEEDS = ("flow_log_likelihood", "space")
OUTPUTS = {
    "nll_ode": {
        "unit": "bits/dim",
        "direction": "lower",
        "title": "NLL by the probability-flow ODE",
        "group": "likelihood",
        "place": 40,
    },
}
REFERENCE = "Song et al. 2021"


def compute(flow_log_likelihood: FlowLikelihood, space: Space) -> dict[str, Measure]:
    """-mean log p(x) / (D ln 2); `details` has the solver's tolerance and its number of evaluations."""
    nats = -flow_log_likelihood.values
    details = {**flow_log_likelihood.details, "nats": float(nats.mean()), "n": len(nats)}
    return {"nll_ode": mean(space.bits_per_dim(1.0) * nats, details=details)}
