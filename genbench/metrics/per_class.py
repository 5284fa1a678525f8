"""Per class: Fréchet distance, precision, recall and coverage of each class's samples, averaged over the classes.

A class-conditional model is asked for every class equally often, and what it gives is compared with the
training data of that class alone, by the metrics of the same names. A model that draws fine images of the wrong
class, or one image for each class, looks well in the whole set and badly here. The counts are those of a class, so a
value compares with no other than a per-class one at equal counts; precision, recall and coverage take no more
training examples of a class than it has samples. Real test data stand beside it with their own labels.

The mean weighs the classes equally. Their samples are independent, so its interval is put together from theirs
(Zou, Donner 2008): mean -+ sqrt(sum_c (value_c - end_c)^2) / C.

References:
    Classification accuracy score for conditional generative models (Ravuri, Vinyals, 2019), for the aim.
    Construction of confidence limits about effect measures (Zou, Donner, 2008), equation 4.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from genbench.errors import GenbenchError
from genbench.metrics import NOT_ASKED, Measure, alone, density_coverage, fd, holding, precision_recall
from genbench.metrics._inputs import enough, labels_of, point_sets
from genbench.numerics.points import Points

VERSION = 3
NEEDS = ("class_features", "class_labels", "train_features", "train_labels")
OUTPUTS = {
    "fd_per_class": {
        "unit": "squared feature distance",
        "direction": "lower",
        "range": (0, None),
        "title": "Fréchet distance, mean over classes",
        "misses": "blind to how often each class is drawn, and to copies of training data",
        "group": "fidelity",
        "place": 360,
    },
    "precision_per_class": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "precision, mean over classes",
        "misses": "blind to repeated images; rewards copies of training data",
        "group": "fidelity",
        "place": 370,
    },
    "recall_per_class": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "recall, mean over classes",
        "misses": "blind to how often what is reached is drawn, and to copies of training data",
        "group": "diversity",
        "place": 380,
    },
    "coverage_per_class": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "coverage, mean over classes",
        "misses": "counts a ball with one sample in it as reached; blind to how often each class is drawn",
        "group": "diversity",
        "place": 390,
    },
}
REFERENCE = "Heusel et al., 2017; Kynkäänniemi et al., 2019; Naeem et al., 2020, by class"

METRICS = {"fd": fd, "precision": precision_recall, "recall": precision_recall, "coverage": density_coverage}
LEAST = max(module.MIN_SAMPLES for module in METRICS.values())


def compute(
    class_features: np.ndarray | Points,
    class_labels: np.ndarray,
    train_features: np.ndarray | Points,
    train_labels: np.ndarray,
    intervals: bool = True,
) -> dict[str, Measure]:
    x, y = point_sets(1, class_features=class_features, train_features=train_features)
    asked, known = labels_of(x, class_labels, "class_labels"), labels_of(y, train_labels, "train_labels")
    if extra := sorted(set(asked.tolist()) - set(known.tolist())):
        raise GenbenchError(f"samples of classes {extra[:5]}, which the training data lack", "Check their labels.")
    training = y.remember(("classes", known.tobytes()), lambda: {c: _rows(y, known, c) for c in np.unique(known)})
    by_class: dict[int, dict[str, Measure]] = {}
    for c, of_class in training.items():
        enough(int((asked == c).sum()), f"class {c} of the samples", LEAST)
        enough(len(of_class), f"class {c} of the training data", LEAST)
        own = _rows(x, asked, c)
        by_class[c] = {}
        for module in dict.fromkeys(METRICS.values()):
            by_class[c] |= module.compute(own, of_class, intervals=intervals)
    measures = {name: {c: of_class[name] for c, of_class in by_class.items()} for name in METRICS}
    return {f"{name}_per_class": average(measures[name], math.inf if name == "fd" else 1.0) for name in METRICS}


def average(by_class: dict[int, Measure], most: float = math.inf) -> Measure:
    """The mean of independent measures, each from 0 to `most`, with the interval that theirs amount to."""
    count, measures = len(by_class), list(by_class.values())
    value = sum(m.value for m in measures) / count
    details: dict[str, Any] = {"classes": {str(c): m.value for c, m in by_class.items()}}
    if all("n_reference" in m.details for m in measures):
        details["n_reference"] = {str(c): m.details["n_reference"] for c, m in by_class.items()}
    if all(m.ci_method == NOT_ASKED for m in measures):
        return alone(value, details=details)
    for c, m in by_class.items():
        if m.ci95 is None or m.stderr is None:
            return Measure(value, "estimate", None, None, f"none: class {c} has {m.ci_method}", details=details)
    stderr = math.sqrt(sum(m.stderr**2 for m in measures if m.stderr)) / count
    low, high = (math.hypot(*(m.value - m.ci95[end] for m in measures if m.ci95)) / count for end in (0, 1))
    method = f"from the intervals of the classes (Zou, Donner 2008), each: {measures[0].ci_method}"
    ci = holding(value, value - low, value + high, least=0.0, most=most)
    return Measure(value, "estimate", stderr, ci, method, details=details)


def _rows(x: Points, labels: np.ndarray, c: int) -> Points:
    return x.part(np.flatnonzero(labels == c))
