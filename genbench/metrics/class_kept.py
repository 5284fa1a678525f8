"""Class kept: the share of translated test examples that a classifier of the other domain puts in the class they had.

The judge is trained here, on the features of the target's training examples and their classes: the multinomial logistic
regression of `probe`, nothing of it chosen, on at most 5,000 examples, taken at random as their contents decide. It has
seen no example of the domain that was translated, and no translation. `class_kept_back` judges the target's test
examples in the dataset's own domain, by a judge of that one.

Beside it stands, in the details and as the row of real data, how often the judge is right about the domain's own test
examples. The classes that the translations were taken for are in the details: `confusion[c][k]` counts those of class c
that were taken for k. A judge shown what it never saw can be wrong in its own way: look at the translations too.

Wilson's interval covers fresh test examples, given the model and the judge.

References:
    Understanding intermediate layers using linear classifier probes (Alain and Bengio, 2016).
    CyCADA: cycle-consistent adversarial domain adaptation (Hoffman et al., 2018), section 4.1: classes of translated
    digits by a classifier as the measure.
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure, share
from genbench.metrics._inputs import labels_of, point_sets
from genbench.metrics.probe import Probe
from genbench.numerics.points import Points

VERSION = 1
NEEDS = (
    "translated_features",
    "translated_labels",
    "target_train_features",
    "target_train_labels",
    "target_test_features",
    "target_test_labels",
    "translated_back_features",
    "translated_back_labels",
    "train_features",
    "train_labels",
    "test_features",
    "test_labels",
)
OUTPUTS = {
    "class_kept": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "class kept in translation",
        "misses": "1 where nothing is translated, if the judge knows the class there too; sees only the class",
        "group": "translation",
        "place": 520,
    },
    "class_kept_back": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "class kept in translation back",
        "misses": "1 where nothing is translated, if the judge knows the class there too; sees only the class",
        "group": "translation",
        "place": 530,
    },
}
REFERENCE = "Alain, Bengio, 2016; Hoffman et al., 2018"

EXAMPLES, CHOICE = 5_000, 4  # of the judge at most, and the seed by which they are taken


def compute(
    translated_features: np.ndarray | Points,
    translated_labels: np.ndarray,
    target_train_features: np.ndarray | Points,
    target_train_labels: np.ndarray,
    target_test_features: np.ndarray | Points,
    target_test_labels: np.ndarray,
    translated_back_features: np.ndarray | Points,
    translated_back_labels: np.ndarray,
    train_features: np.ndarray | Points,
    train_labels: np.ndarray,
    test_features: np.ndarray | Points,
    test_labels: np.ndarray,
) -> dict[str, Measure]:
    forth, there, y, back, here, x = point_sets(
        1,
        translated_features=translated_features,
        target_train_features=target_train_features,
        target_test_features=target_test_features,
        translated_back_features=translated_back_features,
        train_features=train_features,
        test_features=test_features,
    )
    return {
        "class_kept": kept(forth, translated_labels, there, target_train_labels, y, target_test_labels),
        "class_kept_back": kept(back, translated_back_labels, here, train_labels, x, test_labels),
    }


def kept(
    translated: Points, had: np.ndarray, train: Points, known: np.ndarray, real: Points, asked: np.ndarray
) -> Measure:
    """The share of translations that are taken for the class that they `had` `[n]`.

    Arguments:
        train, known: features and classes by which the judge learns.
        real, asked: features and classes of test examples of the same domain.
    """
    labels_of(translated, had, "labels of the translations")
    labels_of(train, known, "labels of the training examples")
    labels_of(real, asked, "labels of the test examples")
    judge = judge_of(train, known)
    taken = judge(translated.x)
    right = float((judge(real.x) == asked).mean())
    classes = 1 + int(max(known.max(), had.max()))
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (had, taken), 1)
    return share(
        int((taken == had).sum()),
        len(had),
        details={
            "n": len(had),
            "judge_on_real_data": right,
            "n_judge": min(len(train), EXAMPLES),
            "confusion": confusion.tolist(),
            "note": f"the judge is right about {right:.1%} of real test examples of that domain",
        },
    )


def judge_of(train: Points, known: np.ndarray) -> Probe:
    """The classifier of these features and classes, of some of them where they are many; learnt once."""

    def make() -> Probe:
        rows = np.arange(len(train)) if len(train) <= EXAMPLES else train.sampled(EXAMPLES, CHOICE)
        return Probe(train.x[rows], known[rows])

    return train.remember(("judge of classes", known.tobytes()), make)
