"""Negative log-likelihood of a text read as one stream, in bits per character, each scored once after all before it.

In windows (`nll`) the first characters of each are scored without any context; here a recurrent network carries its
state through the whole text, and a Transformer moves its window by steps.

The value is exact for this text. Its interval says how far another stretch of such text might lie. What is hard stays
hard over whole scenes: under the shipped LSTM a window of 128 characters of tinyshakespeare's test text correlates by
0.46 with the next, by 0.32 with the twentieth after it. So the text is cut into 10 batches of equal length, whose means
are taken for independent (Schmeiser, 1982: 10 to 30). Where dependence reaches beyond a batch, a tenth of the text,
even this is too narrow (docs/coverage.md); the details give the correlation of neighbouring batches.

References:
    Speech and language processing (Jurafsky, Martin, 2025), section 3.3: perplexity of a test set as one sequence.
    Batch size effects in the analysis of simulation output (Schmeiser, 1982): batch means and how many.
"""

from __future__ import annotations

import numpy as np
from scipy import stats

from genbench.metrics import Measure, mean

VERSION = 2
BATCHES = 10
NEEDS = ("stream",)
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


def compute(stream: np.ndarray) -> dict[str, Measure]:
    log_p = np.asarray(stream, np.float64)
    if log_p.ndim != 2 or not len(log_p):
        raise ValueError(f"stream: expected windows of characters [n, T], got {list(log_p.shape)}")
    perplexity = np.exp(-log_p.mean(0))  # by the place in a window: level, if the context reaches beyond it
    details = {
        "characters": int(log_p.size),
        "perplexity": float(np.exp(-log_p.mean())),
        "perplexity_of_first_and_last_place": [float(perplexity[0]), float(perplexity[-1])],
    }
    batches = min(BATCHES, len(log_p))
    if batches < 2 or not np.isfinite(log_p).all():  # no spread, or none that is finite: `mean` says which
        return {"nll_stream": mean(-log_p.mean(1) / np.log(2), kind="exact", details=details)}
    bits = -log_p.ravel() / np.log(2)
    means = np.array([batch.mean() for batch in np.array_split(bits, batches)])
    value, stderr = float(bits.mean()), float(means.std(ddof=1)) / batches**0.5
    half = float(stats.t.ppf(0.975, batches - 1)) * stderr
    off = means - means.mean()
    squares = float((off**2).sum())
    details |= {
        "batches": batches,
        "correlation_of_neighbouring_batches": float((off[1:] * off[:-1]).sum()) / squares if squares > 0 else 0.0,
    }
    method = f"t over the means of {batches} batches of consecutive characters (Schmeiser 1982)"
    return {"nll_stream": Measure(value, "exact", stderr, (value - half, value + half), method, details=details)}
