"""Balance: does a model draw from what it scores? 0 if so; below, its draws are too sharp, above, too flat.

The mean of sign(log r) min(1, r) over a model's own samples, r the ratio of the model's probabilities of a sample with
one value changed and of the sample itself: `likelihood/balance.py` derives that it is 0, and says what it is blind to.

References:
    Equation of state calculations by fast computing machines (Metropolis et al., 1953): min(1, r).
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._batches import mean_of_examples
from genbench.metrics._inputs import enough

VERSION = 1
MIN_SAMPLES = 2
NEEDS = ("sample_balance",)
OUTPUTS = {
    "balance": {
        "unit": "acceptance",
        "direction": "none",
        "range": (-1, 1),
        "title": "detailed balance of own samples",
        "misses": "compares a model with itself: whether it fits the data it cannot say",
        "group": "likelihood",
        "place": 64,
    },
}
REFERENCE = "detailed balance; Metropolis et al., 1953"


def compute(sample_balance: np.ndarray) -> dict[str, Measure]:
    return {"balance": mean_of_signed(sample_balance, "sample_balance")}


def mean_of_signed(acceptances: np.ndarray, what: str, sequence: np.ndarray | None = None) -> Measure:
    """The mean of sign(log r) min(1, r) `[n]`, n >= 2; `what` names it in errors."""
    values = np.asarray(acceptances, np.float64)
    if values.ndim != 1 or not (np.abs(values) <= 1).all():
        raise ValueError(f"{what}: expected numbers in [-1, 1] [n], got {list(values.shape)}")
    enough(len(values), what, MIN_SAMPLES)
    details = {"n": len(values), "mean_acceptance": float(np.abs(values).mean())}
    return mean_of_examples(values, sequence, least=-1.0, most=1.0, details=details)
