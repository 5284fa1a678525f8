"""Loss on the rare class: how much less probable a model finds test examples of the class that training had least of.

`rare_nll` is the negative log-likelihood of test examples of the rare class, in bits per dimension, of the kind that
the model's log-likelihood has; `rare_gap` that, less the mean over all other test examples. Classes are not equally
hard: a gap is to be compared with that of a model of the same data, or of data in which the class is not rare. The
interval of the gap is Welch's, of two independent means.

References:
    Uncovering and mitigating algorithmic bias through learned latent structure (Amini et al., 2019).
    The generalization of Student's problem when several different population variances are involved (Welch, 1947).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from genbench.errors import Unavailable
from genbench.metrics import Measure
from genbench.metrics._inputs import labels_of
from genbench.metrics._likelihood import bits_per_dim
from genbench.metrics._rare import rare_class
from genbench.numerics import student
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

VERSION = 1
NEEDS = ("log_likelihood", "train_labels", "test_labels", "space")
OUTPUTS = {
    "rare_nll": {
        "unit": "bits/dim",
        "direction": "lower",
        "range": (None, None),
        "title": "negative log-likelihood of the rare class",
        "misses": "a class can be hard without being rare",
        "group": "uses",
        "place": 680,
    },
    "rare_gap": {
        "unit": "bits/dim",
        "direction": "lower",
        "range": (None, None),
        "title": "the same above that of the other classes",
        "misses": "a model that is as poor on all classes has none; of bounds, a gap is no bound",
        "group": "uses",
        "place": 690,
    },
}
REFERENCE = "Amini et al., 2019"


def compute(
    log_likelihood: LogLikelihood, train_labels: np.ndarray, test_labels: np.ndarray, space: Space
) -> dict[str, Measure]:
    rare, of_training = rare_class(train_labels)
    of_class = labels_of(log_likelihood, test_labels, "test_labels") == rare
    if min(of_class.sum(), (~of_class).sum()) < 2:
        raise Unavailable(f"the test examples have fewer than two of class {rare}, or of the others")
    details = {"class": rare, "of_training": of_training}
    chosen = type(log_likelihood)(
        log_likelihood.values[of_class], log_likelihood.kind, log_likelihood.method, warnings=log_likelihood.warnings
    )
    bits = np.array([space.bits_per_dim(1.0)]) * -log_likelihood.values
    return {
        "rare_nll": bits_per_dim(chosen, space, details=details),
        "rare_gap": replace(difference(bits[of_class], bits[~of_class]), details=details),
    }


def difference(x: np.ndarray, y: np.ndarray) -> Measure:
    """The difference of the means of two independent sets `[m]`, `[n]`, with Welch's interval."""
    with np.errstate(invalid="ignore"):
        value = float(x.mean() - y.mean())
    bad = int((~np.isfinite(np.concatenate([x, y]))).sum())
    if bad:
        return Measure(value, "estimate", None, None, f"none: {bad} values are not finite", n_nonfinite=bad)
    parts = [z.var(ddof=1) / len(z) for z in (x, y)]
    variance = float(sum(parts))
    if variance == 0:
        return Measure(value, "estimate", 0.0, (value, value), "Welch's, of two means")
    df = student.satterthwaite(*((part, len(z) - 1) for part, z in zip(parts, (x, y), strict=True)))
    stderr = math.sqrt(variance)
    half = student.quantile(0.975, df) * stderr
    return Measure(value, "estimate", stderr, (value - half, value + half), "Welch's, of two means")
