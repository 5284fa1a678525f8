"""Balance on data: is a density locally too flat or too sharp for the data? 0 if neither; above, it is too sharp.

The mean of sign(log r) min(1, r) over test examples, r the ratio of the model's probabilities of an example with one
value changed and of the example itself: `likelihood/balance.py` derives that it is 0 where the model is right. The sign
tells overfitting: a model that is too sure of itself finds changed test examples more probable too often.

References:
    Equation of state calculations by fast computing machines (Metropolis et al., 1953): min(1, r).
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure, mean
from genbench.metrics._inputs import enough

VERSION = 1
NEEDS = ("test_balance",)
OUTPUTS = {
    "balance_data": {
        "unit": "acceptance",
        "direction": "none",
        "range": (-1, 1),
        "title": "detailed balance of test data",
        "group": "likelihood",
        "place": 66,
    },
}
REFERENCE = "detailed balance; Metropolis et al., 1953"


def compute(test_balance: np.ndarray) -> dict[str, Measure]:
    values = np.asarray(test_balance, np.float64)
    if values.ndim != 1 or not (np.abs(values) <= 1).all():
        raise ValueError(f"test_balance: expected numbers in [-1, 1] [n], got {list(values.shape)}")
    enough(len(values), "test_balance", 2)
    details = {"n": len(values), "mean_acceptance": float(np.abs(values).mean())}
    return {"balance_data": mean(values, least=-1.0, most=1.0, details=details)}
