"""Memorisation: the share of samples that are nearer to training data than a model that generalises allows.

Pool the N training and M test examples. Where samples owe nothing to the particular training set,
the pool's labels are exchangeable, so the example nearest to a sample is a training example with
probability q = N/(N+M): for real data, for a good model, for one that is blurred or collapsed to
the mean alike, since only which of the two sets is nearer counts, not how near. If a share f of the
samples are copies, clean or noisy, the share nearest to training is f + (1-f) q. Hence

    memorisation = (share nearest to training - q) / (1 - q)

is 0 for fresh data, 1 for a resampler of the training set, and negative where samples lean on the
test set. An overfitted model lies between: its samples lean on the training set without copying it.
Of examples equally near, each counts for its part. It assumes what every test set assumes: that
both sets are draws from one distribution.

Samples that have a common nearest example agree by necessity, so Wilson's interval is taken at
n_eff = n^2 / sum_z c_z^2 trials, c_z the number of samples nearest to example z (Kish's design
effect). It covers the draw of the samples and of both sets.

`flagged` if the whole interval lies above 1/2: most samples owe their place to a training example;
or above 1/10 while surely (Wilson) more than 1/20 of the samples are *close*: nearer to the training
set than 99 % of test examples are. Closeness alone flags blur, and leaning alone overfitting.

If every sample is a test example, up to the rounding of float32 features, the samples are real data
set beside models; each is then compared with the other test examples, and q = N/(N+M-1).

In the details: the shares of samples that are close and at distance exactly 0, and median distances.

References:
    Multivariate two-sample tests based on nearest neighbors (Schilling, 1986), for the null.
    A non-parametric test to detect data-copying (Meehan, Chaudhuri, Dasgupta, 2020), for the aim.
    Survey sampling (Kish, 1965), section 8.2, for n_eff.
"""

from __future__ import annotations

import math

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._inputs import are_examples, point_sets
from genbench.numerics.intervals import wilson
from genbench.numerics.neighbours import Rows, count_within
from genbench.numerics.points import Points

VERSION = 1
MIN_SAMPLES = 10
NEEDS = ("sample_features", "train_features", "test_features")
OUTPUTS = {
    "memorisation": {
        "unit": "share",
        "direction": "lower",
        "range": (None, 1),
        "title": "memorisation",
        "misses": "blind to quality: noise and missing classes change nothing; strong blur misleads it",
        "group": "copying",
        "place": 300,
    },
}
REFERENCE = "nearest-neighbour label test, after Schilling, 1986"

FLAG_LEANING, FLAG_LEANING_AND_CLOSE, FLAG_CLOSE = 0.5, 0.1, 0.05


def compute(sample_features: Points, train_features: Points, test_features: Points) -> dict[str, Measure]:
    x, train, test = point_sets(
        MIN_SAMPLES, sample_features=sample_features, train_features=train_features, test_features=test_features
    )
    to_train, in_train = x.nearest(train)
    to_test, in_test = x.nearest(test, 2)  # [n, 2]
    real = are_examples(x, test)
    column = 1 if real else 0
    nearest_test, in_test = to_test[:, column], in_test[:, column]
    y = _nearer_to_train(x.x, train.x, test.x, to_train[:, 0], nearest_test, own=int(real))
    winner = np.where(to_train[:, 0] <= nearest_test, in_train[:, 0], len(train) + in_test)
    crowd = np.bincount(winner)
    n_eff = len(x) ** 2 / float((crowd**2).sum())

    q = len(train) / (len(train) + len(test) - real)
    p = float(y.mean())
    low, high = wilson(p, n_eff)
    value, interval = (p - q) / (1 - q), ((low - q) / (1 - q), (high - q) / (1 - q))
    stderr = math.sqrt(p * (1 - p) / n_eff) / (1 - q)
    usual, _ = test.nearest(train)
    close = float((to_train[:, 0] < np.quantile(usual, 0.01)).mean())
    flagged = _flagged(interval[0], wilson(close, len(x))[0])
    details = {
        "flagged": flagged,
        **({"flag": "most samples owe their place to a training example: the model copies"} if flagged else {}),
        "share_nearest_train": p,
        "expected_share": q,
        "n_eff": n_eff,
        "samples_are_test": real,
        "close": close,
        "at_distance_0": float((to_train[:, 0] == 0).mean()),
        "median_distance_to_train": float(np.sqrt(np.median(to_train))),
        "median_distance_to_test": float(np.sqrt(np.median(nearest_test))),
        "median_distance_test_to_train": float(np.sqrt(np.median(usual))),
        "n_samples": len(x),
        "n_train": len(train),
        "n_test": len(test),
    }
    method = "Wilson at n_eff trials, rescaled"
    return {"memorisation": Measure(value, "estimate", stderr, interval, method, details=details)}


def _nearer_to_train(
    x: np.ndarray, train: np.ndarray, test: np.ndarray, to_train: np.ndarray, to_test: np.ndarray, own: int
) -> np.ndarray:
    """1 where the nearest example is of the training set, 0 of the test set, their shares where both are: `[n]`.

    Arguments:
        own: how many test examples are the sample itself, and no neighbours.
    """
    y = (to_train < to_test).astype(np.float64)
    tied = np.flatnonzero(to_train == to_test)
    if len(tied):
        rows = Rows(x[tied])
        a, b = (count_within(rows, Rows(other), to_train[tied]) for other in (train, test))
        y[tied] = a / (a + b - own)
    return y


def _flagged(leaning: float, close: float) -> bool:
    """By the lower ends of the two intervals."""
    return leaning > FLAG_LEANING or (leaning > FLAG_LEANING_AND_CLOSE and close > FLAG_CLOSE)
