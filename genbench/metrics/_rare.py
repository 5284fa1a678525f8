"""The rare class of labelled data: what training saw least of, where that is clearly less than its share."""

from __future__ import annotations

import numpy as np

from genbench.errors import Unavailable

RARE = 0.5  # of an equal share: what has more is not called rare


def rare_class(train_labels: np.ndarray) -> tuple[int, float]:
    """The class with the fewest training examples, and its share of them.

    Raises:
        Unavailable: it has at least half of an equal share.
    """
    classes, counts = np.unique(train_labels, return_counts=True)
    share = float(counts.min() / len(train_labels))
    if len(classes) < 2 or share >= RARE / len(classes):
        raise Unavailable(f"no class is rare: each has at least {RARE:.0%} of an equal share of the training examples")
    return int(classes[counts.argmin()]), share
