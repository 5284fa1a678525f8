"""Negative log-likelihood of a decoder by annealed importance sampling: an upper bound, with its gap.

A decoder without noise of its own (a GAN's generator) is given Gaussian noise, whose sigma is fitted on
validation data and stands in `details`: the value is a statement about generator *and* sigma. `ais_gap`
is how far the bounds from above and from below lie apart on data simulated from the model (BDMC): in
expectation at least the error of the bound on such data. No value of AIS is worth more than its gap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.metrics import Measure, mean
from genbench.metrics._likelihood import bits_per_dim
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood
    from genbench.likelihood.bdmc import Bidirectional

VERSION = 2
NEEDS = ("ais", "bdmc", "space", "test_sequence")
OUTPUTS = {
    "nll_ais": {
        "unit": "bits/dim",
        "direction": "lower",
        "range": (None, None),
        "title": "NLL by annealed importance sampling",
        "misses": "says little of how samples look; short chains leave it far above the true value, as the gap of BDMC "
        "shows",
        "group": "likelihood",
        "place": 20,
    },
    "ais_gap": {
        "unit": "nats",
        "direction": "lower",
        "range": (None, None),
        "title": "BDMC gap on simulated data",
        "misses": "measured on the model's own samples: on test data the gap can be wider",
        "group": "likelihood",
        "place": 30,
    },
}
NOISE = "with Gaussian noise of sigma {:.3g} about the generator's output, fitted on validation data"
REFERENCE = "Wu, Burda, Salakhutdinov, Grosse 2017"


def compute(
    ais: LogLikelihood, bdmc: Bidirectional, space: Space, test_sequence: np.ndarray | None
) -> dict[str, Measure]:
    """-mean of the bound on log p(x) / (D ln 2), and the mean gap in nats."""
    note = {"note": NOISE.format(ais.details["sigma"])} if "sigma" in ais.details else {}
    gap = mean(bdmc.upper - bdmc.lower, details={"n_simulated": len(bdmc.lower)})
    return {"nll_ais": bits_per_dim(ais, space, test_sequence, note), "ais_gap": gap}
