"""Authenticity: the percentage of samples that are no closer to a training example than training examples are.

Let j be the training example nearest to a sample. The sample is authentic if j lies nearer to
another training example than to the sample, d(j, nearest other) < d(sample, j). Of equally near
examples the first is j. An exact copy is never authentic: its distance is 0. In per cent, as the
AuthPct of dgm-eval (authpct.py at commit d57a6d2).

The interval covers the draw of the samples. It takes the training set as given, as the model did.

References:
    How faithful is your synthetic data? (Alaa, van Breugel, Saveliev, van der Schaar, 2022), section 4.3.
    Exposing flaws of generative model evaluation metrics (Stein et al., 2023): AuthPct.
"""

from __future__ import annotations

from dataclasses import replace

from genbench.metrics import Measure, share
from genbench.metrics._inputs import point_sets
from genbench.numerics.points import Points

VERSION = 1
MIN_SAMPLES = 2
NEEDS = ("sample_features", "train_features")
OUTPUTS = {
    "authenticity": {
        "unit": "%",
        "direction": "higher",
        "range": (0, 100),
        "title": "authentic samples",
        "misses": "rewards blur and noise, which are far from training data too; blind to missing classes",
        "group": "copying",
        "place": 310,
    },
}
REFERENCE = "Alaa et al., 2022"


def compute(sample_features: Points, train_features: Points) -> dict[str, Measure]:
    x, train = point_sets(MIN_SAMPLES, sample_features=sample_features, train_features=train_features)
    squares, j = (table[:, 0] for table in x.nearest(train))
    reach = train.nearest(train)[0][:, 0]
    authentic = reach[j] < squares
    details = {"n_samples": len(x), "n_train": len(train), "at_distance_0": float((squares == 0).mean())}
    found = share(int(authentic.sum()), len(x), details=details)
    assert found.ci95 is not None
    assert found.stderr is not None
    low, high = found.ci95
    method = "Wilson over samples, given the training set"
    measure = replace(
        found, value=100 * found.value, stderr=100 * found.stderr, ci95=(100 * low, 100 * high), ci_method=method
    )
    return {"authenticity": measure}
