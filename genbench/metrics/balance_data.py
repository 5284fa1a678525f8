"""Balance on data: is a density locally too flat or too sharp for the data? 0 if neither; above, it is too sharp.

The mean of sign(log r) min(1, r) over test examples, r the ratio of the model's probabilities of an example with one
value changed and of the example itself: `likelihood/balance.py` derives that it is 0 where the model is right. The sign
tells overfitting: a model that is too sure of itself finds changed test examples more probable too often.

References:
    Equation of state calculations by fast computing machines (Metropolis et al., 1953): min(1, r).
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure
from genbench.metrics.balance import mean_of_signed

VERSION = 1
NEEDS = ("test_balance", "test_sequence")
OUTPUTS = {
    "balance_data": {
        "unit": "acceptance",
        "direction": "none",
        "range": (-1, 1),
        "title": "detailed balance of test data",
        "misses": "looks at neighbours that differ in one value: blind to whole modes that are missing or too heavy",
        "group": "likelihood",
        "place": 66,
    },
}
REFERENCE = "detailed balance; Metropolis et al., 1953"


def compute(test_balance: np.ndarray, test_sequence: np.ndarray | None) -> dict[str, Measure]:
    return {"balance_data": mean_of_signed(test_balance, "test_balance", test_sequence)}
