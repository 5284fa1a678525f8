"""Anomaly detection by likelihood and complexity: is an image less probable than it is simple?

    score(x) = -log p(x) - L(x),    L(x) the length of x under a universal code (`numerics/complexity.py`)

in nats both (Serrà et al. 2020, equation 1). What makes a simple image probable makes it short as well, and cancels:
the score is that of a likelihood ratio against a model that knows no data. It asks whether the model knows the image
better than its simplicity alone explains.

References:
    Input complexity and out-of-distribution detection with likelihood-based generative models (Serrà, Álvarez, Gómez,
    Slizovskaia, Núñez, Luque, 2020), there with PNG, JPEG2000 and FLIF.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._anomaly import area, whole_levels
from genbench.numerics.auroc import auroc
from genbench.numerics.complexity import code_lengths
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

VERSION = 1
NEEDS = ("log_likelihood", "outside_log_likelihood", "test", "outside", "space")
OUTPUTS = {
    "auroc_complexity": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "anomalies found by likelihood less complexity",
        "misses": "noise is long, which is held to its credit; one kind of other data says nothing of another",
        "group": "uses",
        "place": 630,
    },
}
REFERENCE = "Serrà et al., 2020"


def compute(
    log_likelihood: LogLikelihood,
    outside_log_likelihood: LogLikelihood,
    test: np.ndarray,
    outside: np.ndarray,
    space: Space,
) -> dict[str, Measure]:
    levels = whole_levels(space, "complexity")
    lengths, others = code_lengths(test, levels), code_lengths(outside, levels)
    inside, beyond = -log_likelihood.values - lengths, -outside_log_likelihood.values - others
    alone, _ = auroc(lengths, others)  # what the length would find without any model
    return {"auroc_complexity": area(inside, beyond, method=log_likelihood.method, length_alone=alone)}
