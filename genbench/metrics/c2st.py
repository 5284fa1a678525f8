"""Classifier two-sample test: how well a classifier that is trained to tell samples from test data does so.

As many samples as test examples, n of each, are dealt into K = 5 folds; a classifier learns from four of them which
rows are samples, and is asked of the fifth. Two classifiers, each of them fixed, so that nothing is chosen:

    network   tanh, one hidden layer of 32, 100 full-batch steps of Adam at 0.02, squares of the weights times 0.003
    linear    the logistic regression of `probe.py`

Features are standardised by the mean and deviation of the rows that a classifier learns from. The value is the share of
held-out rows that are put on their side, 1/2 where the two cannot be told apart, and the area under the ROC curve: the
mean over folds, since scores of different classifiers have no common scale. Of two Gaussians with one covariance, a
Mahalanobis distance delta apart, no classifier is right more often than Phi(delta/2), nor has a larger area than
Phi(delta / sqrt 2). A classifier that does no better than chance proves nothing: another one, or more rows, may.

Equal rows are in one fold, whichever set they are of: a sample that is a copy of a test example, or of another sample,
never meets its twin. A collapsed model has few different rows, and fewer than two for each fold are refused.

Any two of the classifiers share three quarters of the rows that they learn from, so that held-out rows of different
folds do not vary as if they were independent. By Nadeau and Bengio their mean varies 1 + K / (K - 1) = 2.25 times as
much, and the interval is Wilson's of 2n / 2.25 trials (for the area, with DeLong's variance in each fold, times 2.25).
Where the sets are alike that is about right, 1.5 to 2 by simulation; where they are well apart it is up to twice too
much, and the interval too wide (docs/coverage.md). It covers the draw of both sets. `p_value` is that of 1/2, from one
side.

Test data, not training data, are what samples are told from: the model and the extractor have seen neither, so that a
perfect model has a value of 1/2. A model that repeats its training data may have that too.

References:
    Revisiting classifier two-sample tests (Lopez-Paz, Oquab, 2017), section 3.
    Inference for the generalization error (Nadeau, Bengio, 2003), section 3.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import ndtr

from genbench.errors import Unavailable
from genbench.metrics import Measure, share_of_trials
from genbench.metrics._inputs import are_examples, point_sets
from genbench.metrics.probe import Probe
from genbench.numerics.auroc import auroc
from genbench.numerics.points import Points

VERSION = 1
FOLDS = 5
MIN_SAMPLES = 20
NEEDS = ("sample_features", "test_features")
OUTPUTS = {
    "c2st": {
        "unit": "share",
        "direction": "lower",
        "range": (0, 1),
        "title": "samples and test data told apart by a network",
        "misses": "blind to copies, repeated images, uneven classes, and what a small network cannot learn",
        "group": "fidelity",
        "place": 182,
    },
    "c2st_auroc": {
        "unit": "share",
        "direction": "lower",
        "range": (0, 1),
        "title": "area under the ROC curve of that network",
        "misses": "blind to copies, repeated images, uneven classes, and what a small network cannot learn",
        "group": "fidelity",
        "place": 184,
    },
    "c2st_linear": {
        "unit": "share",
        "direction": "lower",
        "range": (0, 1),
        "title": "samples and test data told apart by a linear classifier",
        "misses": "blind to copies, repeated images and whatever leaves the means of features as they are",
        "group": "fidelity",
        "place": 186,
    },
    "c2st_linear_auroc": {
        "unit": "share",
        "direction": "lower",
        "range": (0, 1),
        "title": "area under the ROC curve of that classifier",
        "misses": "blind to copies, repeated images and whatever leaves the means of features as they are",
        "group": "fidelity",
        "place": 188,
    },
}
REFERENCE = "Lopez-Paz, Oquab, 2017"

DESIGN = 1 + FOLDS / (FOLDS - 1)
HIDDEN, STEPS, RATE, DECAY, SEED = 32, 100, 0.02, 3e-3, 0


def compute(sample_features: np.ndarray | Points, test_features: np.ndarray | Points) -> dict[str, Measure]:
    x, y = point_sets(MIN_SAMPLES, sample_features=sample_features, test_features=test_features)
    if are_examples(x, y):
        raise Unavailable("the samples are test examples: each would be told from itself")
    n = min(len(x), len(y))
    x, y = (points.part(points.sampled(n, SEED)) for points in (x, y))
    folds = dealt(x.keys, y.keys)
    rows = np.concatenate([x.x, y.x]).astype(np.float64)
    rows = rows[:, rows.min(0) < rows.max(0)]
    if rows.shape[1] == 0:
        raise Unavailable("every feature is the same for all samples and test examples: there is nothing to learn from")
    drawn = np.repeat([True, False], n)
    details: dict[str, Any] = {"n_each": n, "dimension": rows.shape[1], "folds": FOLDS, "design_effect": DESIGN}
    if len(sample_features) != len(test_features):
        details["note"] = f"{n:,} of {len(sample_features):,} samples against {n:,} of {len(test_features):,} test data"
    found = {}
    for name, scores in (("c2st", by_network(rows, drawn, folds)), ("c2st_linear", by_line(rows, drawn, folds))):
        found[name] = accuracy(scores, drawn, details)
        found[f"{name}_auroc"] = area(scores, drawn, folds, details)
    return found


def dealt(x: Sequence[Hashable], y: Sequence[Hashable]) -> np.ndarray:
    """The fold of every row, those of x before those of y `[n + m]`: equal rows in one, and evenly many of x and of y.

    Groups of equal rows, the largest first, go one by one where there are the fewest rows of their kind.

    Raises:
        Unavailable: fewer different rows than two for each fold.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, key in enumerate([*x, *y]):
        groups.setdefault(key, []).append(place)
    for what, keys in (("samples", x), ("test examples", y)):
        if len(set(keys)) < 2 * FOLDS:
            why = f"{len(set(keys))} different {what}: too few for {FOLDS} folds that share none"
            raise Unavailable(why)
    folds = np.empty(len(x) + len(y), dtype=np.int64)
    counts = np.zeros((FOLDS, 2), dtype=np.int64)
    for places in sorted(groups.values(), key=len, reverse=True):  # stable: else as they came, which contents decide
        of_x = sum(place < len(x) for place in places)
        size = np.array([of_x, len(places) - of_x])
        fold = int((counts @ size).argmin())
        folds[places] = fold
        counts[fold] += size
    return folds


def by_line(x: np.ndarray, drawn: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Of every row the log odds that it is a sample, by a logistic regression that has not seen it `[n]`."""
    scores = np.empty(len(x))
    for fold in range(FOLDS):
        held = folds == fold
        probe = Probe(x[~held], drawn[~held].astype(np.int64), balanced(drawn[~held]))
        scores[held] = probe.regression.decision_function(probe.scaled(x[held]))
    return scores


def balanced(drawn: np.ndarray) -> np.ndarray:
    """Weights with which both kinds count alike, 1 on average `[n]`."""
    share = drawn.mean()
    return np.where(drawn, 0.5 / share, 0.5 / (1 - share))


def by_network(x: np.ndarray, drawn: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """The same by a network for each fold, all of them trained side by side."""
    learns = np.stack([folds != fold for fold in range(FOLDS)])  # [K, n]
    means = np.stack([x[rows].mean(0) for rows in learns])
    sds = np.stack([np.where(x[rows].min(0) < x[rows].max(0), x[rows].std(0), 1.0) for rows in learns])
    weights = np.zeros(learns.shape)
    for fold, rows in enumerate(learns):
        weights[fold, rows] = balanced(drawn[rows]) / rows.sum()
    X = torch.from_numpy((x - means[:, None]) / sds[:, None])  # [K, n, d]
    target = torch.from_numpy(drawn.astype(np.float64)).expand(FOLDS, -1)
    generator, d = torch.Generator().manual_seed(SEED), x.shape[1]
    # the hidden units see unit inputs at first; all folds begin alike
    first = torch.randn(d, HIDDEN, generator=generator, dtype=torch.float64) / math.sqrt(d)
    last = torch.randn(HIDDEN, 1, generator=generator, dtype=torch.float64) / math.sqrt(HIDDEN)
    zeros = [torch.zeros(FOLDS, 1, width, dtype=torch.float64) for width in (HIDDEN, 1)]
    W = [w.repeat(FOLDS, 1, 1).requires_grad_() for w in (first, last)]
    b = [zero.requires_grad_() for zero in zeros]

    def logits() -> torch.Tensor:
        return torch.baddbmm(b[1], torch.baddbmm(b[0], X, W[0]).tanh(), W[1])[..., 0]

    with torch.enable_grad():
        optimiser = torch.optim.Adam([*W, *b], lr=RATE)
        for _ in range(STEPS):
            each = torch.nn.functional.binary_cross_entropy_with_logits(logits(), target, reduction="none")
            loss = (torch.from_numpy(weights) * each).sum() + DECAY * sum(w.square().sum() for w in W)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        return logits().numpy()[folds, np.arange(len(x))]


def accuracy(scores: np.ndarray, drawn: np.ndarray, details: dict[str, Any]) -> Measure:
    """The share of rows on their side of 0, and how likely that much is where both sets are one."""
    right = np.where(drawn, scores, -scores)
    p = float(((right > 0) + 0.5 * (right == 0)).mean())
    trials = len(scores) / DESIGN
    said = {**details, "p_value": float(ndtr((0.5 - p) * 2 * math.sqrt(trials)))}
    return share_of_trials(p, trials, "Wilson over held-out rows, times what folds share", details=said)


def area(scores: np.ndarray, drawn: np.ndarray, folds: np.ndarray, details: dict[str, Any]) -> Measure:
    """The mean over folds of the area under the ROC curve, each fold with the weight of its pairs."""
    parts, pairs = [], []
    for fold in range(FOLDS):
        held = folds == fold
        inside, outside = scores[held & ~drawn], scores[held & drawn]
        if len(inside) > 1 and len(outside) > 1:
            parts.append(auroc(inside, outside))
            pairs.append(len(inside) * len(outside))
    if not parts:
        raise Unavailable("no fold has two samples and two test examples")
    weights = np.array(pairs) / sum(pairs)
    values, variances = np.array(parts).T
    value = min(1.0, float(weights @ values))  # weights sum to 1 but for rounding
    variance = DESIGN * float(weights**2 @ variances)
    trials = len(scores) / 2 / DESIGN
    if variance > 0 and 0 < value < 1:
        trials = value * (1 - value) / variance
    said = {**details, "trials": trials}
    method = "Wilson's with the variance of DeLong in folds, times what folds share"
    return share_of_trials(value, trials, method, details=said)
