"""Negative log-likelihood of the true lower half of an image given its upper half, exact, in bits per hidden dimension.

What a model knows of the rest of an image once it has seen a half of it, beside how probable it finds the whole.

References:
    Pixel recurrent neural networks (van den Oord, Kalchbrenner, Kavukcuoglu, 2016), figure 1: completions of occluded
    images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.errors import Unavailable
from genbench.metrics import Measure
from genbench.metrics._batches import mean_of_examples
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

VERSION = 1
NEEDS = ("completion", "space", "test_sequence")
OUTPUTS = {
    "completion_nll": {
        "unit": "bits/dim",
        "direction": "lower",
        "range": (None, None),
        "title": "NLL of the lower half given the upper, in bits per hidden dimension",
        "misses": "says nothing of the upper half, and nothing of samples",
        "group": "likelihood",
        "place": 56,
    },
}
REFERENCE = "van den Oord et al., 2016"


def compute(completion: LogLikelihood, space: Space, test_sequence: np.ndarray | None) -> dict[str, Measure]:
    if not space.is_image:
        raise Unavailable("halves are those of images")
    C, H, W = space.shape
    hidden = C * (H - H // 2) * W
    bits = -space.bits_per_dim(1.0) * space.dim / hidden * completion.values
    details = {"n": len(bits), "hidden": hidden}
    return {"completion_nll": mean_of_examples(bits, test_sequence, completion.kind, details=details)}
