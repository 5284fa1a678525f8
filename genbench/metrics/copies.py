"""Copies: the share of samples that equal a training example exactly, value by value.

Whole rows are compared through 128-bit hashes, whose chance of a false match is below 1e-20 for
any set that fits a disk. In small discrete spaces honest samples repeat training data too: the
share of samples that equal a *test* example, in the details, says how often that happens by chance.
On real-valued data only a model that stores its training set scores above 0.

References:
    Extracting training data from diffusion models (Carlini et al., 2023), for near copies; see `memorisation`.
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure, share
from genbench.metrics._inputs import enough, finite
from genbench.numerics.choice import row_keys

VERSION = 1
NEEDS = ("samples", "train", "test")
OUTPUTS = {
    "copies": {
        "unit": "share",
        "direction": "lower",
        "range": (0, 1),
        "title": "exact copies of training data",
        "misses": "the least noise on a copy hides it",
        "group": "copying",
        "place": 330,
    },
}
REFERENCE = "Carlini et al., 2023"


def compute(samples: np.ndarray, train: np.ndarray, test: np.ndarray) -> dict[str, Measure]:
    named = {"samples": samples, "train": train, "test": test}
    for what, x in named.items():
        enough(len(x), what, 1)
        if x.shape[1:] != samples.shape[1:] or x.dtype != samples.dtype:
            got = f"{x.dtype} {list(x.shape)} and {samples.dtype} {list(samples.shape)}"
            raise ValueError(f"copies: {what} and samples are of different spaces: {got}")
        finite(x, what)
    rows = {what: row_keys(x) for what, x in named.items()}
    of_train, of_test = (set(rows[what]) for what in ("train", "test"))
    n = len(samples)
    details = {
        "n_samples": n,
        "n_train": len(train),
        "n_test": len(test),
        "share_of_test": sum(row in of_test for row in rows["samples"]) / n,
        "distinct": len(set(rows["samples"])) / n,
    }
    return {"copies": share(sum(row in of_train for row in rows["samples"]), n, details=details)}
