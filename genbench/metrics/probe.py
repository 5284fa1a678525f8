"""Linear probe: how well a linear classifier tells the classes apart from the codes of a model that saw no labels.

Codes of the training examples, each coordinate standardised by their mean and standard deviation, train multinomial
logistic regression,

    minimise  |W|^2 / 2 + C sum_i -log p(y_i | z_i),    p(y | z) = softmax(W z + b)_y,    C = 1

and the value is the share of test examples that it puts in their class. Nothing is chosen: C, the scale and the solver
(L-BFGS of scikit-learn, to a gradient of 1e-4) are the same for all models, and the validation data are not looked at.
So a low value can mean that classes are there and not linear, or lie in directions of little variance that the penalty
holds back; only differences under the same protocol mean anything. A coordinate that is constant on the training codes
is centred only. The row of real data probes raw values: what a representation has to beat.

Wilson's interval covers fresh test examples, given the model and the training data.

References:
    Understanding intermediate layers using linear classifier probes (Alain, Bengio, 2016).
    Representation learning with contrastive predictive coding (van den Oord, Li, Vinyals, 2018): as an evaluation.
"""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from genbench.errors import ModelError, Unavailable
from genbench.metrics import Measure, share
from genbench.metrics._inputs import labels_of, matrices

VERSION = 1
NEEDS = ("train_encodings", "train_labels", "test_encodings", "test_labels")
OUTPUTS = {
    "probe": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "accuracy of a linear probe",
        "misses": "blind to classes that no linear map shows, and to everything about samples",
        "group": "representation",
        "place": 432,
    },
}
REFERENCE = "Alain, Bengio, 2016"

C, TOLERANCE, ITERATIONS = 1.0, 1e-4, 10_000


def compute(
    train_encodings: np.ndarray, train_labels: np.ndarray, test_encodings: np.ndarray, test_labels: np.ndarray
) -> dict[str, Measure]:
    train, test = matrices(1, train_encodings=train_encodings, test_encodings=test_encodings)
    known = labels_of(train, train_labels, "train_labels")
    asked = labels_of(test, test_labels, "test_labels")
    if len(np.unique(known)) < 2:
        raise Unavailable("the training examples are of one class: there is nothing to tell apart")
    right = Probe(train, known)(test) == asked
    by_class = {str(c): float(right[asked == c].mean()) for c in np.unique(asked)}
    details = {"n_train": len(train), "n_test": len(test), "dimension": train.shape[1], "classes": by_class}
    return {"probe": share(int(right.sum()), len(right), details=details)}


class Probe:
    """The classifier that training codes `[n, d]` and their classes `[n]` give: a function of codes.

    Arguments:
        weights: of each example in the sum over them `[n]`, 1 by default. They move no mean and no deviation.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray, weights: np.ndarray | None = None) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            self.mean = x.mean(0, dtype=np.float64)
            self.sd = np.where(x.min(0) == x.max(0), 1.0, x.std(0, dtype=np.float64))
        lost = ~np.isfinite(self.mean) | ~np.isfinite(self.sd) | (self.sd < np.finfo(np.float64).tiny)
        if lost.any():  # all codes would be 0 or infinite, and the accuracy that of guessing
            raise ModelError(f"codes: the spread of {int(lost.sum())} coordinates is beyond what float64 holds")
        self.regression = LogisticRegression(C=C, tol=TOLERANCE, max_iter=ITERATIONS)
        self.regression.fit(self.scaled(x), labels, weights)

    def scaled(self, x: np.ndarray) -> np.ndarray:
        return (x - self.mean) / self.sd

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Classes `[n]` of codes `[n, d]`."""
        return self.regression.predict(self.scaled(x))
