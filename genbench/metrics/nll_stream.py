"""Negative log-likelihood of a text read as one stream, in bits per character, each scored once after all before it.

In windows (`nll`) the first characters of each are scored without any context; here a recurrent network carries its
state through the whole text, and a Transformer moves its window by steps.

The value is exact for this text, unless the model says that it gives a bound (text under one of its tokenisations).
Its interval says how far another stretch of such text might lie, and is that of the
means of 10 batches of windows, since windows depend on each other: see `_batches`.

References:
    Speech and language processing (Jurafsky, Martin, 2025), section 3.3: perplexity of a test set as one sequence.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._batches import mean_of_examples
from genbench.metrics._likelihood import NEGATED

VERSION = 3
NEEDS = ("stream", "stream_said")
OUTPUTS = {
    "nll_stream": {
        "unit": "bits/char",
        "direction": "lower",
        "range": (None, None),
        "title": "negative log-likelihood of the text as one stream",
        "misses": "one long text: its parts are no independent examples; says little of how samples read",
        "group": "likelihood",
        "place": 14,
    },
}
REFERENCE = "Jurafsky, Martin, 2025"


def compute(stream: np.ndarray, stream_said: dict[str, Any]) -> dict[str, Measure]:
    log_p = np.asarray(stream, np.float64)
    if log_p.ndim != 2 or not len(log_p):
        raise ValueError(f"stream: expected windows of characters [n, T], got {list(log_p.shape)}")
    perplexity = np.exp(-log_p.mean(0))  # by the place in a window: level, if the context reaches beyond it
    said = dict(stream_said)
    kind = NEGATED[said.pop("kind")]
    details = {
        **said,
        "characters": int(log_p.size),
        "perplexity": float(np.exp(-log_p.mean())),
        "perplexity_of_first_and_last_place": [float(perplexity[0]), float(perplexity[-1])],
    }
    bits = -log_p.mean(1) / np.log(2)
    return {"nll_stream": mean_of_examples(bits, np.arange(len(bits)), kind, details=details)}
