"""Label efficiency: a linear probe of the codes beside one of the raw values, with few labels and with all.

Of every class n/C training examples are drawn, for n = 10, 20, 50, 100 and 200 labels in all, DRAWS times each; the
probe of `probe.py` learns from their codes, and is right on a share of the test examples. The same draws are used for
every model, and once more on raw values and on their principal components. So the differences are paired, by draw and
by test example:

    probe_100        accuracy with 100 labels, mean over draws
    probe_gain_100   that, less the accuracy of raw values with the same labels
    probe_gain       the same difference with all training labels

`details` have all of it for every n. A representation can gain with few labels and lose with all of them, where it
threw away what many labels would have found a use for.

With r draws and m test examples, the standard error is sqrt(s_test^2 / m + s_draw^2 / r), s_test the deviation over
test examples of the mean over draws, s_draw that over draws of the mean over test examples: it covers fresh test
examples and fresh draws of labels. Both parts hold the interaction of the two, so it errs upwards. With all labels
there is one draw, and the interval of Agresti and Min (2005) for a difference of paired shares covers fresh test
examples.

References:
    Data-efficient image recognition with contrastive predictive coding (Hénaff et al., 2020): accuracy against labels.
    Simple improved confidence intervals for comparing matched proportions (Agresti, Min, 2005), section 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from genbench.domains import check
from genbench.errors import Unavailable
from genbench.metrics import Measure, normal
from genbench.metrics._inputs import labels_of, matrices
from genbench.metrics._paired import paired
from genbench.metrics.probe import Probe

VERSION = 1
NEEDS = ("train_encodings", "train_labels", "test_encodings", "test_labels", "train", "test")
OUTPUTS = {
    "probe_100": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "accuracy of a linear probe with 100 labels",
        "misses": "blind to classes that no linear map shows; draws of other labels would give other values",
        "group": "representation",
        "place": 402,
    },
    "probe_gain": {
        "unit": "share",
        "direction": "higher",
        "range": (-1, 1),
        "title": "accuracy of the probe above that of raw values",
        "misses": "blind to what a probe of raw values shows as well",
        "group": "representation",
        "place": 406,
    },
    "probe_gain_100": {
        "unit": "share",
        "direction": "higher",
        "range": (-1, 1),
        "title": "the same with 100 labels",
        "misses": "blind to what a probe of raw values shows as well",
        "group": "representation",
        "place": 404,
    },
}
REFERENCE = "Hénaff et al., 2020"
DOMAINS = {"draws": "a whole number in [2, inf)", "components": "a whole number in [1, inf)"}

LABELS = (10, 20, 50, 100, 200)
FEW = 100  # of which the outputs tell
SEED = 0


def compute(
    train_encodings: np.ndarray,
    train_labels: np.ndarray,
    test_encodings: np.ndarray,
    test_labels: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    draws: int = 20,
    components: int = 16,
) -> dict[str, Measure]:
    """Arguments: `draws` of labels for each number of them; `components` of the PCA that stands beside."""
    check(DOMAINS, {"draws": draws, "components": components}, "label_efficiency")
    codes, raw = Sets(train_encodings, test_encodings), Sets(flat(train), flat(test))
    matrices(1, train_encodings=codes[0], test_encodings=codes[1])
    known = labels_of(codes[0], train_labels, "train_labels")
    asked = labels_of(codes[1], test_labels, "test_labels")
    if (len(raw[0]), len(raw[1])) != (len(known), len(asked)):
        raise ValueError(f"{len(raw[0])} and {len(raw[1])} examples, but {len(known)} and {len(asked)} codes of them")
    sets = {"codes": codes, "raw": raw, "pca": projected(raw, components)}
    by_labels: dict[str, Any] = {}
    few: dict[str, np.ndarray] = {}
    for n in LABELS:
        chosen = drawn(known, n, draws)
        if chosen is None:
            continue
        right = {name: np.array([rights(x, known, asked, rows) for rows in chosen]) for name, x in sets.items()}
        if n == FEW:
            few = right
        by_labels[str(n)] = {
            **{name: described(crossed(r, 0.0)) for name, r in right.items()},
            "above_raw": described(crossed(right["codes"] - right["raw"], -1.0)),
        }
    if not few:
        raise Unavailable(f"{FEW} labels, as many of each class, cannot be drawn from these training examples")
    whole = {name: rights(x, known, asked, np.arange(len(known))) for name, x in sets.items()}
    by_labels["all"] = {name: float(r.mean()) for name, r in whole.items()}
    details = {"n_train": len(known), "n_test": len(asked), "dimension": codes[0].shape[1], "by_labels": by_labels}
    return {
        "probe_100": crossed(few["codes"], 0.0, details=details),
        "probe_gain": gain(whole["codes"], whole["raw"], raw=float(whole["raw"].mean())),
        "probe_gain_100": crossed(few["codes"] - few["raw"], -1.0, details={"raw": float(few["raw"].mean())}),
    }


class Sets(NamedTuple):
    """What training and test examples are told by: `[n, d]` each."""

    train: np.ndarray
    test: np.ndarray


def flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1).astype(np.float64)


def projected(x: Sets, components: int) -> Sets:
    """Coordinates of both on the leading principal components of the training values, as many as there are at most."""
    mean = x.train.mean(0)
    axes = np.linalg.svd(x.train - mean, full_matrices=False)[2][:components]
    return Sets((x.train - mean) @ axes.T, (x.test - mean) @ axes.T)


def drawn(labels: np.ndarray, n: int, draws: int) -> list[np.ndarray] | None:
    """Rows of n labels, as many of each class, so many times; None where a class has too few, or n is no multiple."""
    classes, counts = np.unique(labels, return_counts=True)
    each, left = divmod(n, len(classes))
    if len(classes) < 2 or left or each < 1 or each > counts.min():
        return None
    rng = np.random.default_rng((SEED, n))
    rows = [np.flatnonzero(labels == c) for c in classes]
    return [np.concatenate([rng.permutation(of_class)[:each] for of_class in rows]) for _ in range(draws)]


def rights(x: Sets, known: np.ndarray, asked: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Whether the probe of these training rows is right on each test example, 1.0 or 0.0 `[n_test]`."""
    return (Probe(x.train[rows], known[rows])(x.test) == asked).astype(np.float64)


def crossed(values: np.ndarray, least: float, **rest: Any) -> Measure:
    """The mean of values `[draws, tests]`, with an interval for fresh draws and fresh tests."""
    r, m = values.shape
    variance = values.mean(0).var(ddof=1) / m + values.mean(1).var(ddof=1) / r
    method = "normal, over test examples and draws of labels"
    return normal(float(values.mean()), math.sqrt(variance), method=method, least=least, most=1.0, **rest)


def gain(one: np.ndarray, other: np.ndarray, **details: float) -> Measure:
    """The difference of two shares of the same examples, of 0 and 1 `[n]` each."""
    counts = {"only_this": int((one > other).sum()), "only_other": int((one < other).sum()), "n": len(one)}
    return paired(one - other, 1.0, **details, **counts)


def described(measure: Measure) -> Mapping[str, Any]:
    return {"value": measure.value, "ci95": measure.ci95}
