"""Anomaly detection by likelihood: is what the model finds improbable what is not of its data?

    score(x) = -log p(x),    AUROC = P(score of other data > score of a test example)

1 is a detector without error, 0.5 a coin, and 0 one that takes every other image for data: the score of a model can be
excellent on its own test data and be that. Likelihood is a density, and says nothing of how much room there is: of the
simple images there are few, and each of them can have much of it. Images that are smoother or emptier than the data
are found more probable than the data are (Nalisnick et al. 2019), though no sample ever looks like them. `outside` of
the protocol says what the other data are. A bound on the likelihood is a score like any other.

References:
    Novelty detection and neural network validation (Bishop, 1994): the density as a detector.
    Do deep generative models know what they don't know? (Nalisnick, Matsukawa, Teh, Gorur, Lakshminarayanan, 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from genbench.metrics import Measure
from genbench.metrics._anomaly import area

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

VERSION = 1
NEEDS = ("log_likelihood", "outside_log_likelihood")
OUTPUTS = {
    "auroc_likelihood": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "anomalies found by likelihood",
        "misses": "takes simple images for data, whatever is on them; one kind of other data says nothing of another",
        "group": "uses",
        "place": 620,
    },
}
REFERENCE = "Bishop, 1994"


def compute(log_likelihood: LogLikelihood, outside_log_likelihood: LogLikelihood) -> dict[str, Measure]:
    method = {"method": log_likelihood.method}
    return {"auroc_likelihood": area(-log_likelihood.values, -outside_log_likelihood.values, **method)}
