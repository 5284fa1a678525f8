"""Domain reached: the share of translated test examples that a classifier of the two domains takes for the target's.

The judge is trained here, on features of training examples of both domains, as many of either (the smaller number,
at most 5,000, taken at random as contents decide): the logistic regression of `probe`, nothing of it chosen. Of speech
whose domains are two speakers it is a recogniser of the speaker. `domain_reached_back` is the share of the target's
test examples that, translated, are taken for the dataset's own domain, by the same judge.

Beside it stands, in the details, how often the judge is right about real test examples of both domains (the mean of the
two shares), and how often it takes an untranslated example for one of the other domain. The row of real data tells how
often the other domain's own test examples are taken for what they are.

Wilson's interval covers fresh test examples, given the model and the judge.

References:
    Revisiting classifier two-sample tests (Lopez-Paz and Oquab, 2017): a classifier that tells two sets apart.
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure, share
from genbench.metrics._inputs import point_sets
from genbench.metrics.class_kept import CHOICE, EXAMPLES
from genbench.metrics.probe import Probe
from genbench.numerics.points import Points

VERSION = 1
NEEDS = (
    "translated_features",
    "translated_back_features",
    "train_features",
    "target_train_features",
    "test_features",
    "target_test_features",
)
OUTPUTS = {
    "domain_reached": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "translations taken for the target domain",
        "misses": "asks only for what tells the two domains apart, however little: noise may be taken for either",
        "group": "translation",
        "place": 540,
    },
    "domain_reached_back": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "translations back taken for the dataset's own domain",
        "misses": "asks only for what tells the two domains apart, however little: noise may be taken for either",
        "group": "translation",
        "place": 550,
    },
}
REFERENCE = "Lopez-Paz, Oquab, 2017"


def compute(
    translated_features: np.ndarray | Points,
    translated_back_features: np.ndarray | Points,
    train_features: np.ndarray | Points,
    target_train_features: np.ndarray | Points,
    test_features: np.ndarray | Points,
    target_test_features: np.ndarray | Points,
) -> dict[str, Measure]:
    forth, back, here, there, x, y = point_sets(
        1,
        translated_features=translated_features,
        translated_back_features=translated_back_features,
        train_features=train_features,
        target_train_features=target_train_features,
        test_features=test_features,
        target_test_features=target_test_features,
    )
    judge = judge_of(here, there)  # 1 for the target domain
    of_x, of_y = float((judge(x.x) == 1).mean()), float((judge(y.x) == 1).mean())
    right = (1 - of_x + of_y) / 2
    measures = {}
    for name, translated, domain, before in (
        ("domain_reached", forth, 1, of_x),
        ("domain_reached_back", back, 0, 1 - of_y),
    ):
        details = {
            "n": len(translated),
            "judge_on_real_data": right,
            "untranslated": before,
            "note": f"the judge is right about {right:.1%} of real test examples",
        }
        measures[name] = share(int((judge(translated.x) == domain).sum()), len(translated), details=details)
    return measures


def judge_of(here: Points, there: Points) -> Probe:
    """The classifier of two domains, 1 for `there`; learnt once."""

    def make() -> Probe:
        n = min(len(here), len(there), EXAMPLES)
        rows = [z.x if len(z) == n else z.x[z.sampled(n, CHOICE)] for z in (here, there)]
        return Probe(np.concatenate(rows), np.repeat([0, 1], n))

    return here.remember_against(there, "judge of domains", make)
