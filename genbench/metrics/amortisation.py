"""Amortisation gap: by how much a search for q of every example alone betters the bound at the encoder's q, in nats.

    gap = E_x [L(x; q*) - L(x; encoder(x))],    L(x; q) = E_q log p(x | z) - KL(q || N(0, I))

with q* found by ascent of L from the encoder's q, with the decoder held still (see `likelihood/amortisation.py`). It is
the part of log p(x) - L that a better encoder could win back; the other part is what no Gaussian with independent units
can give. The search may stop short of the maximum, so the gap is at least this: a lower bound on it. The interval is
that of the paired differences, over fresh test examples.

A model that finds its q by a search of its own has next to no gap, and an encoder that overfits has a larger one on
test data than on those that it was trained with.

References:
    Inference suboptimality in variational autoencoders (Cremer, Li, Duvenaud, 2018), section 3.1.
"""

from __future__ import annotations

import numpy as np

from genbench.metrics import Measure
from genbench.metrics._batches import mean_of_examples

VERSION = 1
NEEDS = ("amortisation", "test_sequence")
OUTPUTS = {
    "amortisation_gap": {
        "unit": "nats",
        "direction": "lower",
        "range": (None, None),
        "title": "amortisation gap",
        "misses": "says nothing of what independent Gaussian units cannot give, nor of the decoder; a decoder that "
        "ignores its latents has none",
        "group": "representation",
        "place": 438,
    },
}
REFERENCE = "Cremer, Li, Duvenaud 2018"


def compute(amortisation: dict[str, np.ndarray], test_sequence: np.ndarray | None) -> dict[str, Measure]:
    """From the bounds `encoder` and `search` of every example, `[n]` in nats."""
    encoder, search = (np.asarray(amortisation[name], np.float64) for name in ("encoder", "search"))
    details = {"n": len(encoder), "encoder_nats": float(-encoder.mean()), "search_nats": float(-search.mean())}
    return {"amortisation_gap": mean_of_examples(search - encoder, test_sequence, "lower_bound", details=details)}
