"""Classes: how many classes a classifier sees among the samples, and how far their histogram is from training data.

Every sample counts for the class of its largest logit (ties: the lowest). `classes` is the number
of training classes seen at least once; `classes_kl` is KL(samples || training frequencies) in
nats, infinite where a class is seen that training data lack. The training frequencies are taken as
given, as the protocol of stacked MNIST takes its 1,000 modes. A classifier that errs spreads the
histogram of real data, too: compare with the value of the test set.

References:
    VEEGAN (Srivastava et al., 2017), section 5.2; PacGAN (Lin et al., 2018), section 4.2.
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._histogram import count_of, kl_of_counts
from genbench.metrics._inputs import enough, labels_of, matrix

VERSION = 2
NEEDS = ("sample_logits", "train_labels")
OUTPUTS = {
    "classes": {
        "unit": "classes",
        "direction": "higher",
        "range": (0, None),
        "title": "classes seen",
        "misses": "counts a class with a single sample; blind to noise, repeated images and copies",
        "group": "modes",
        "place": 250,
    },
    "classes_kl": {
        "unit": "nats",
        "direction": "lower",
        "range": (0, None),
        "title": "KL of the class histogram",
        "misses": "blind to what is within a class, and to copies of training data",
        "group": "modes",
        "place": 260,
    },
}
REFERENCE = "Srivastava et al., 2017"


def compute(sample_logits: np.ndarray, train_labels: np.ndarray) -> dict[str, Measure]:
    logits = matrix(sample_logits, "sample_logits", at_least=1)
    enough(len(train_labels), "train_labels", 1)
    c = logits.shape[1]
    labels_of(train_labels, train_labels, "train_labels", classes=c)
    counts = np.bincount(logits.argmax(1), minlength=c)
    training = np.bincount(train_labels, minlength=c)
    seen = int(((counts > 0) & (training > 0)).sum())
    details = {"of": int((training > 0).sum()), "counts": counts.tolist(), "n": len(logits)}
    return {
        "classes": count_of("classes", seen, details),
        "classes_kl": kl_of_counts(counts, training / training.sum()),
    }
