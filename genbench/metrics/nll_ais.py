"""Negative log-likelihood of a decoder by annealed importance sampling: an upper bound, with its gap.

A decoder without noise of its own (a GAN's generator) is given Gaussian noise, whose sigma is fitted on
validation data and stands in `details`: the value is a statement about generator *and* sigma. `ais_gap`
is how far the bounds from above and from below lie apart on data simulated from the model (BDMC): in
expectation at least the error of the bound on such data. No value of AIS is worth more than its gap.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from genbench.metrics import Measure, mean
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood.decoder import Annealing

VERSION = 1
NEEDS = ("annealing", "space")
OUTPUTS = {
    "nll_ais": {
        "unit": "bits/dim",
        "direction": "lower",
        "title": "NLL by annealed importance sampling",
        "group": "likelihood",
        "place": 20,
    },
    "ais_gap": {
        "unit": "nats",
        "direction": "lower",
        "title": "BDMC gap on simulated data",
        "group": "likelihood",
        "place": 30,
    },
}
NOISE = "with Gaussian noise of sigma {:.3g} about the generator's output, fitted on validation data"
REFERENCE = "Wu, Burda, Salakhutdinov, Grosse 2017"


def compute(annealing: Annealing, space: Space) -> dict[str, Measure]:
    """-mean of the bound on log p(x) / (D ln 2), and the mean gap in nats."""
    nats = -annealing.values
    noise = math.sqrt(float((annealing.mc_stderr**2).sum())) / len(nats)
    details: dict[str, Any] = {"note": NOISE.format(annealing.details["sigma"])} if "sigma" in annealing.details else {}
    details |= {**annealing.details, "nats": float(nats.mean()), "mc_stderr": space.bits_per_dim(noise), "n": len(nats)}
    bound = mean(space.bits_per_dim(1.0) * nats, kind="upper_bound", details=details, warnings=annealing.warnings)
    gap = mean(annealing.upper - annealing.lower, details={"n_simulated": len(annealing.lower)})
    return {"nll_ais": bound, "ais_gap": gap}
