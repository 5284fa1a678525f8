"""Debiasing: does a classifier serve the rare class better once training examples are drawn by the model's weights?

A model that says how rare an example is among its latents gives every training example a chance W(x) to be drawn
(`chances`). Logistic regression of raw values, with the penalty of the probe, is trained twice: on the training
examples as they are, and with each weighing n W(x), which is training on what would be drawn. The weights know no
label.

    rare_accuracy     accuracy on test examples of the rare class, trained with the weights
    resampling_gain   that, less what the classifier without them has, on the same examples

`details` have the accuracy of every class with and without, and that over all: what the rare class gains the others may
lose. Intervals cover fresh test examples of the class; there are few of them.

References:
    Uncovering and mitigating algorithmic bias through learned latent structure (Amini, Soleimany, Schwarting, Bhatia,
    Rus, 2019).
"""

from __future__ import annotations

import numpy as np

from genbench.errors import ModelError, Unavailable
from genbench.metrics import Measure, share
from genbench.metrics._inputs import labels_of
from genbench.metrics._rare import rare_class
from genbench.metrics.label_efficiency import flat, gain
from genbench.metrics.probe import Probe

VERSION = 1
NEEDS = ("resampling_chances", "train", "train_labels", "test", "test_labels")
OUTPUTS = {
    "rare_accuracy": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "accuracy on the rare class, trained on resampled data",
        "misses": "of a linear classifier; blind to what the other classes pay for it",
        "group": "uses",
        "place": 700,
    },
    "resampling_gain": {
        "unit": "share",
        "direction": "higher",
        "range": (-1, 1),
        "title": "what resampling adds to the accuracy on the rare class",
        "misses": "of a linear classifier; blind to what the other classes pay for it",
        "group": "uses",
        "place": 710,
    },
}
REFERENCE = "Amini et al., 2019"


def compute(
    resampling_chances: np.ndarray,
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
) -> dict[str, Measure]:
    rare, of_training = rare_class(train_labels)
    W = resampling_chances.astype(np.float64)
    if W.shape != (len(train),) or not (np.isfinite(W).all() and (W >= 0).all() and W.sum() > 0):
        raise ModelError(f"chances: expected {len(train)} finite numbers of at least 0, not all of them 0")
    known, asked = labels_of(train, train_labels, "train_labels"), labels_of(test, test_labels, "test_labels")
    if not (asked == rare).any():
        raise Unavailable(f"no test example is of class {rare}, the rare one")
    weights = W * len(W) / W.sum()
    x, y = flat(train), flat(test)
    right = {
        "without": (Probe(x, known)(y) == asked).astype(np.float64),
        "with": (Probe(x, known, weights)(y) == asked).astype(np.float64),
    }
    of_class = asked == rare
    with_it, without = right["with"][of_class], right["without"][of_class]
    details = {
        "class": rare,
        "of_training": of_training,
        "of_drawn": float(weights[known == rare].sum() / len(W)),
        "n": int(of_class.sum()),
        "classes": {
            str(c): {how: float(found[asked == c].mean()) for how, found in right.items()} for c in np.unique(asked)
        },
        "all": {how: float(found.mean()) for how, found in right.items()},
    }
    return {
        "rare_accuracy": share(int(with_it.sum()), len(with_it), details=details),
        "resampling_gain": gain(with_it, without, without=float(without.mean())),
    }
