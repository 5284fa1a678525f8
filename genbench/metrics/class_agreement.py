"""Class agreement: the share of a class-conditional model's samples that a classifier puts into the class asked for.

Every class is asked for equally often. A classifier errs on real data too: the value of the test set, with its own
labels, is the most that a model should reach. Wilson's interval takes the samples for independent trials of one
probability, which errs upwards where classes are of unlike difficulty.

References:
    Conditional image synthesis with auxiliary classifier GANs (Odena, Olah, Shlens, 2017), section 4.2.
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure, share
from genbench.metrics._inputs import labels_of, matrix

VERSION = 1
NEEDS = ("class_logits", "class_labels")
OUTPUTS = {
    "class_agreement": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "samples of the class asked for",
        "misses": "one perfect image of each class would do; errors of the classifier count as the model's",
        "group": "fidelity",
        "place": 400,
    },
}
REFERENCE = "Odena, Olah, Shlens, 2017"


def compute(class_logits: np.ndarray, class_labels: np.ndarray) -> dict[str, Measure]:
    logits = matrix(class_logits, "class_logits", at_least=1)
    asked = labels_of(logits, class_labels, "class_labels", classes=logits.shape[1])
    right = logits.argmax(1) == asked
    by_class = {str(c): float(right[asked == c].mean()) for c in np.unique(asked)}
    return {"class_agreement": share(int(right.sum()), len(right), details={"n": len(right), "classes": by_class})}
