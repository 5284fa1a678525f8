"""Near duplicates: the shares of samples that are nearly a training example, and nearly another sample.

A distance counts as near on the data's own scale. About a training example t the scale is s(t), its
mean distance to the 50 nearest other examples; t(x) is the training example nearest to x. Then x is

    a near duplicate of training data    if |x - t(x)| <= a s(t(x)),
    a near duplicate among the samples   if |x - x'| <= a s(t(x)), x' the nearest other sample,

with a = 1/2, or the 1 % quantile of |v - t(v)| / s(t(v)) over test examples v where that is less: so
no more than one in a hundred of fresh data passes, however few the dimensions. Unlike a fixed distance (`close` in
`memorisation`) it finds copies in dense regions and does not call all of them copies; where more than
50 training examples are copies of each other, their scale is 0 and only exact copies pass. Two fresh
samples come near by chance the more often, the more there are: compare at equal counts.

The intervals cover the draw of the samples, given the other sets. Samples are independent trials
against the training set. Among samples near duplicates come by twos: with D of them, P of which
have each other alone, D counts as that of n / (1 + P / D) trials.

References:
    Extracting training data from diffusion models (Carlini et al., 2023), on CIFAR-10: the distance
    relative to the mean of the 50 nearest training examples, with a = 1/2.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from genbench.domains import check
from genbench.metrics import Measure, share, share_of_trials
from genbench.metrics._inputs import enough, point_sets
from genbench.numerics.points import Points

VERSION = 1
MIN_SAMPLES = 3
NEEDS = ("sample_features", "train_features", "test_features")
OUTPUTS = {
    "near_duplicates": {
        "unit": "share",
        "direction": "lower",
        "range": (0, 1),
        "title": "near copies of training data",
        "misses": "blind to quality and diversity; what is near in these features need not look so",
        "group": "copying",
        "place": 340,
    },
    "self_duplicates": {
        "unit": "share",
        "direction": "lower",
        "range": (0, 1),
        "title": "near copies among samples",
        "misses": "blind to quality, to missing classes and to copies of training data",
        "group": "diversity",
        "place": 350,
    },
}
REFERENCE = "after Carlini et al., 2023"
DOMAINS = {"neighbours": "a whole number in [1, inf)", "alpha": "a number in (0, inf)"}


def compute(
    sample_features: Points, train_features: Points, test_features: Points, neighbours: int = 50, alpha: float = 0.5
) -> dict[str, Measure]:
    check(DOMAINS, {"neighbours": neighbours, "alpha": alpha}, "near_duplicates")
    x, train, test = point_sets(
        MIN_SAMPLES, sample_features=sample_features, train_features=train_features, test_features=test_features
    )
    enough(len(train), "train_features", neighbours + 1)
    usual, scale = _to_train(test, train, neighbours)
    exact_or_far = np.where(usual > 0, np.inf, 0.0)  # where the scale is 0
    relative = np.divide(usual, scale, out=exact_or_far, where=scale > 0)
    threshold = min(alpha, float(np.quantile(relative, 0.01, method="lower")))
    distance, scale = _to_train(x, train, neighbours)
    reach = threshold * scale
    near = distance <= reach
    others = np.sqrt(x.nearest(x, 2)[0]) <= reach[:, None]  # [n, 2]
    details = {"n_samples": len(x), "n_train": len(train), "n_test": len(test), "threshold": threshold}
    found = share(int(near.sum()), len(x), details={**details, "exact": float((distance == 0).mean())})
    exact = float((x.nearest(x)[0] == 0).mean())
    return {
        "near_duplicates": replace(found, ci_method="Wilson over samples, given training and test set"),
        "self_duplicates": _by_twos(others[:, 0], others[:, 1], {**details, "exact": exact}),
    }


def _to_train(x: Points, train: Points, neighbours: int) -> tuple[np.ndarray, np.ndarray]:
    """|x - t(x)| and s(t(x)): `[n]` each."""
    squares, t = (table[:, 0] for table in x.nearest(train))
    scale = train.remember(("scale", neighbours), lambda: np.sqrt(train.nearest(train, neighbours)[0]).mean(1))
    return np.sqrt(squares), scale[t]


def _by_twos(has_one: np.ndarray, has_two: np.ndarray, details: dict) -> Measure:
    """The share of rows with a near duplicate.

    A pair is one event that counts 2, so its part of the variance is twice that of as many
    independent rows; in a larger group no row's place depends on any one other.

    Arguments:
        has_one, has_two: whether the row has at least one, and at least two: `[n]`.
    """
    n, p = len(has_one), float(has_one.mean())
    in_pairs = float(1 - has_two[has_one].mean()) if p > 0 else 1.0
    trials = n / (1 + in_pairs)
    method = f"Wilson at {trials:.1f} trials: pairs count twice; over samples, given training and test set"
    return share_of_trials(p, trials, method, details={**details, "in_pairs": in_pairs})
