"""A class-conditional density as a classifier, and its likelihood given the label.

p(y|x) by Bayes' rule with p(y) uniform; `accuracy` is the share of test examples whose most probable
class is their label. `nll_given_label` is -log p(x|y) at the label, a number about another question
than `nll`, which sums over the classes: the two never share a column.
"""

from __future__ import annotations

import numpy as np

from genbench.likelihood.bayes import accuracy, given_label
from genbench.metrics import Measure
from genbench.metrics._likelihood import bits_per_dim
from genbench.space import Space

VERSION = 2
NEEDS = ("class_log_likelihoods", "test_labels", "space")
OUTPUTS = {
    "accuracy": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "accuracy of the generative classifier",
        "misses": "says nothing of samples: a poor density can tell classes apart",
        "group": "likelihood",
        "place": 60,
    },
    "nll_given_label": {
        "unit": "bits/dim",
        "direction": "lower",
        "range": (None, None),
        "title": "negative log-likelihood given the label",
        "misses": "has the label for free: no value for a model without labels compares with it",
        "group": "likelihood",
        "place": 50,
    },
}
REFERENCE = "Ng, Jordan 2001"


def compute(class_log_likelihoods: np.ndarray, test_labels: np.ndarray, space: Space) -> dict[str, Measure]:
    """From log p(x|y) of every example under every class, `[N, C]`, and the labels `[N]`."""
    return {
        "accuracy": accuracy(class_log_likelihoods, test_labels),
        "nll_given_label": bits_per_dim(given_label(class_log_likelihoods, test_labels), space),
    }
