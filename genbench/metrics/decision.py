"""Decision: what it costs to act on the classes that a class-conditional density gives, beside a classifier.

A cost matrix says what action a costs where the class is y. The action is that of least expected cost,

    a(x) = argmin_a sum_y c(a, y) p(y | x),    p(y | x) by Bayes' rule from p(x | y) and the shares of training classes

and the value the mean of c(a(x), y) over the test examples. Three matrices, by the parameter `costs`:

    ask        a class, which costs 1 where it is not y; or asking somebody, which always costs ASK (Chow 1970)
    error      a class, which costs 1 where it is not y: the share of errors
    distance   a class, which costs |a - y|: of digits read from an amount, what is wrong by how much

Under "ask" a posterior has to be right about itself: a model that is too sure never asks, and pays for it. What it
expects to pay stands in the details, beside what it pays.

`decision_saving` is what logistic regression of raw values, standardised, with C = 1 as for the probe, pays more,
example by example: it learns p(y | x) itself, and no p(x). Few examples favour the generative way, many the
discriminative (Ng, Jordan 2001). Where only a bound of log p(x | y) is known the bound stands in its place.

Intervals cover fresh test examples, given model and training data. That of the saving is made for few decisions that
differ (`_paired.py`).

References:
    On optimum recognition error and reject tradeoff (Chow, 1970).
    On discriminative vs. generative classifiers (Ng, Jordan, 2001).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_softmax

from genbench.domains import check
from genbench.errors import ModelError
from genbench.metrics import Measure, mean
from genbench.metrics._inputs import labels_of, matrix
from genbench.metrics._paired import paired
from genbench.metrics.probe import Probe

VERSION = 1
NEEDS = ("class_scores", "train", "train_labels", "test", "test_labels")
OUTPUTS = {
    "decision_cost": {
        "unit": "cost",
        "direction": "lower",
        "range": (0, None),
        "title": "cost of decisions by Bayes' rule",
        "misses": "of this matrix alone; says nothing of samples, nor of p(x) where classes are clear",
        "group": "uses",
        "place": 600,
    },
    "decision_saving": {
        "unit": "cost",
        "direction": "higher",
        "range": (None, None),
        "title": "what logistic regression of raw values pays more",
        "misses": "of this matrix and this classifier alone",
        "group": "uses",
        "place": 610,
    },
}
REFERENCE = "Chow, 1970; Ng, Jordan, 2001"
DOMAINS = {"costs": '"ask" or "error" or "distance"', "ask": "a number in (0, 1)"}


def compute(
    class_scores: np.ndarray,
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    costs: str = "ask",
    ask: float = 0.1,
) -> dict[str, Measure]:
    """From log p(x | y), or a bound on it, of every test example under every class `[n, C]`.

    Arguments:
        costs: the matrix, see above.
        ask: what asking costs.
    """
    check(DOMAINS, {"costs": costs, "ask": ask}, "decision")
    classes = matrix_of_scores(class_scores, len(test)).shape[1]
    known = labels_of(train, train_labels, "train_labels", classes)
    asked = labels_of(test, test_labels, "test_labels", classes)
    shares = np.bincount(known, minlength=classes) / len(known)
    with np.errstate(divide="ignore"):
        log_posterior = log_softmax(class_scores + np.log(shares), axis=1)
    if np.isnan(log_posterior).any():
        raise ModelError(f"{int(np.isnan(log_posterior).any(1).sum())} examples are of no class that training had")
    flat = [x.reshape(len(x), -1).astype(np.float64) for x in (train, test)]
    fitted = Probe(flat[0], known)
    other = np.zeros((len(test), classes))
    other[:, fitted.regression.classes_] = fitted.regression.predict_proba(fitted.scaled(flat[1]))
    table = matrix_of_costs(costs, classes, ask)
    paid, details = decided(np.exp(log_posterior), asked, table)
    against, theirs = decided(other, asked, table)
    details |= {"n": len(asked), "logistic_regression": {**theirs, "cost": float(against.mean())}}
    return {
        "decision_cost": mean(paid, least=0.0, details=details),
        "decision_saving": paired(against - paid, float(np.ptp(table)), n=len(asked)),
    }


def matrix_of_scores(scores: np.ndarray, n: int) -> np.ndarray:
    if scores.ndim != 2 or len(scores) != n or scores.shape[1] < 2:
        raise ValueError(f"class_scores: expected [{n}, classes], at least two, got {list(scores.shape)}")
    return scores


def matrix_of_costs(costs: str, classes: int, ask: float) -> np.ndarray:
    """c(a, y) `[actions, classes]`; the last action of "ask" is to ask."""
    y = np.arange(classes)
    if costs == "distance":
        return np.abs(y[:, None] - y).astype(np.float64)
    errors = 1.0 - np.eye(classes)
    return errors if costs == "error" else np.vstack([errors, np.full(classes, ask)])


def decided(p: np.ndarray, labels: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """What each decision costs `[n]` by posteriors `[n, C]`; what was expected of them, and how they went."""
    matrix(p, "posteriors", at_least=1)
    expected = p @ table.T  # [n, actions]
    action = expected.argmin(1)
    details: dict[str, Any] = {
        "expected": float(expected.min(1).mean()),
        "accuracy": float((p.argmax(1) == labels).mean()),
    }
    if len(table) > p.shape[1]:
        details["asked"] = float((action == len(table) - 1).mean())
    return table[action, labels], details
