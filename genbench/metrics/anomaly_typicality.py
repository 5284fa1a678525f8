"""Anomaly detection by typicality: is the likelihood of an image far from what it is on data, on either side?

    score(x) = | -log p(x) - H |,    H = the mean of -log p over the validation examples

Draws of a density lie in its typical set, where -log p is near the entropy, and hardly ever near its mode: an image
that is far too probable is as strange as one that is improbable (Nalisnick et al. 2019, definition 2.1, of a batch of
one). It mends the failure of likelihood on images that are more probable than data, and costs the detection of all
whose likelihood happens to be as usual.

NOTE: the paper takes H over training data. Models are surer of those than they are of fresh data; validation examples
are as fresh as test examples are.

References:
    Detecting out-of-distribution inputs to deep generative models using typicality (Nalisnick, Matsukawa, Teh,
    Lakshminarayanan, 2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.errors import Unavailable
from genbench.metrics import Measure
from genbench.metrics._anomaly import area

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

VERSION = 1
NEEDS = ("log_likelihood", "validation_log_likelihood", "outside_log_likelihood")
OUTPUTS = {
    "auroc_typicality": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "anomalies found by typicality",
        "misses": "takes whatever has the usual likelihood for data; weak on single images, made for batches",
        "group": "uses",
        "place": 650,
    },
}
REFERENCE = "Nalisnick et al., 2019"


def compute(
    log_likelihood: LogLikelihood, validation_log_likelihood: LogLikelihood, outside_log_likelihood: LogLikelihood
) -> dict[str, Measure]:
    usual = float(validation_log_likelihood.values.mean())
    if not np.isfinite(usual):
        raise Unavailable("a validation example has no finite likelihood: what is usual is not known")
    inside, beyond = (abs(found.values - usual) for found in (log_likelihood, outside_log_likelihood))
    details = {"method": log_likelihood.method, "usual_nats": -usual}
    return {"auroc_typicality": area(inside, beyond, **details)}
