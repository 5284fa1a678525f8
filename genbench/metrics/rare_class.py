"""The rare class in samples: how often a model draws what its training data had least of.

The class with the fewest training examples is the rare one, where it has less than half of an equal share; on other
data the metric does not apply. The value is the share of samples that the extractor's classifier puts into it. The
share in training stands in the details, and what the classifier would say of the training examples themselves: its
errors are in both. A model of the data as they are has their share, one that was taught to even them out has more;
neither is better in itself. Wilson's interval covers fresh samples.

References:
    Uncovering and mitigating algorithmic bias through learned latent structure (Amini, Soleimany, Schwarting, Bhatia,
    Rus, 2019).
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure, share
from genbench.metrics._inputs import matrix
from genbench.metrics._rare import rare_class

VERSION = 1
NEEDS = ("sample_logits", "train_labels")
OUTPUTS = {
    "rare_share": {
        "unit": "share",
        "direction": "none",
        "range": (0, 1),
        "title": "samples of the rare class",
        "misses": "one image of the class, again and again, would do; errors of the classifier count as the model's",
        "group": "uses",
        "place": 670,
    },
}
REFERENCE = "Amini et al., 2019"


def compute(sample_logits: np.ndarray, train_labels: np.ndarray) -> dict[str, Measure]:
    logits = matrix(sample_logits, "sample_logits", at_least=1)
    rare, of_training = rare_class(train_labels)
    drawn = int((logits.argmax(1) == rare).sum())
    details = {"class": rare, "of_training": of_training, "n": len(logits)}
    return {"rare_share": share(drawn, len(logits), details=details)}
