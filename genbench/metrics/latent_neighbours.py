"""Neighbours in latent space: how often the codes nearest to a test example's are of its class.

The K = 5 training examples whose codes are nearest to that of a test example, by Euclidean distance between codes as
the model gives them, vote for its class; of classes with as many votes that of the nearer example wins. The value is
the share of test examples that are put in their class. Nothing is learnt, so the geometry of the codes is measured and
not what a weight for each coordinate could make of it: a probe forgives codes whose scales are unlike, this does not.
In a row of real data the neighbours are those of raw values.

`details` has the share of the K neighbours that are of the class (precision at K), and what raw values give. Wilson's
interval covers fresh test examples, given the model and the training data.

References:
    Unsupervised feature learning via non-parametric instance discrimination (Wu, Xiong, Yu, Lin, 2018), section 3.4:
    neighbours as an evaluation, there by cosine and weighted.
"""

from __future__ import annotations

import numpy as np

from genbench.domains import check
from genbench.errors import Unavailable
from genbench.metrics import Measure, share
from genbench.metrics._inputs import enough, labels_of, matrices
from genbench.numerics.points import Points

VERSION = 1
NEEDS = ("train_encodings", "train_labels", "test_encodings", "test_labels", "train", "test")
OUTPUTS = {
    "knn": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "accuracy of the nearest codes",
        "misses": "hangs on the scales of the coordinates; blind to what no distance shows",
        "group": "representation",
        "place": 446,
    },
}
REFERENCE = "Wu, Xiong, Yu, Lin, 2018"
DOMAINS = {"k": "a whole number in [1, inf)"}


def compute(
    train_encodings: np.ndarray,
    train_labels: np.ndarray,
    test_encodings: np.ndarray,
    test_labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    k: int = 5,
) -> dict[str, Measure]:
    """Arguments: `k`, neighbours that vote."""
    check(DOMAINS, {"k": k}, "latent_neighbours")
    codes, of_test = matrices(1, train_encodings=train_encodings, test_encodings=test_encodings)
    enough(len(codes), "train_encodings", k)
    known, asked = labels_of(codes, train_labels, "train_labels"), labels_of(of_test, test_labels, "test_labels")
    if len(np.unique(known)) < 2:
        raise Unavailable("the training examples are of one class: there is nothing to tell apart")
    near = nearest(of_test, codes, k)
    right = voted(known[near]) == asked
    raw = voted(known[nearest(test.reshape(len(test), -1), train.reshape(len(train), -1), k)]) == asked
    details = {
        "n_train": len(codes),
        "n_test": len(of_test),
        "precision_at_k": float((known[near] == asked[:, None]).mean()),
        "raw": float(raw.mean()),
    }
    return {"knn": share(int(right.sum()), len(right), details=details)}


def nearest(x: np.ndarray, others: np.ndarray, k: int) -> np.ndarray:
    """The places of the k nearest rows of `others` to each row of x, nearest first: `[n, k]`."""
    return Points(x.astype(np.float32)).nearest(Points(others.astype(np.float32)), k)[1]


def voted(classes: np.ndarray) -> np.ndarray:
    """Of the classes of neighbours `[n, k]`, nearest first, the most frequent; the nearest of those that are `[n]`."""
    votes = (classes[:, :, None] == classes[:, None, :]).sum(2)
    return classes[np.arange(len(classes)), votes.argmax(1)]
