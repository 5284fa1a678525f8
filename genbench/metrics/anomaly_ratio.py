"""Anomaly detection by likelihood ratio: is an image less probable to the model than to a model of its background?

    score(x) = -[log p(x) - log p_0(x)]

p_0 has seen the training images with every pixel replaced by a random level with probability MU, so that what they are
of is disturbed, and what a pixel is in itself is left (Ren et al. 2019, section 3.1). The p_0 here is a histogram of
each pixel by itself, of which the expectation over the replacements is known: with n_i(v) of n training images that
have level v at pixel i, and L levels,

    p_0(x) = prod_i [ (1 - MU) n_i(x_i) / n + MU / L ]

It is the same for all models, and has no weights. NOTE: the paper's background has the architecture of p and is
trained as p is; where what misleads lies between pixels, as texture does, that one takes it away and this one does not.

References:
    Likelihood ratios for out-of-distribution detection (Ren, Liu, Fertig, Snoek, Poplin, DePristo, Dillon,
    Lakshminarayanan, 2019), equation 5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.domains import check
from genbench.metrics import Measure
from genbench.metrics._anomaly import area, whole_levels
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.likelihood import LogLikelihood

VERSION = 1
NEEDS = ("log_likelihood", "outside_log_likelihood", "train", "test", "outside", "space")
OUTPUTS = {
    "auroc_ratio": {
        "unit": "share",
        "direction": "higher",
        "range": (0, 1),
        "title": "anomalies found by the ratio to a background",
        "misses": "takes for data what the background finds strange as well; single pixels show no texture",
        "group": "uses",
        "place": 640,
    },
}
REFERENCE = "Ren et al., 2019"
DOMAINS = {"mu": "a number in (0, 1]"}


def compute(
    log_likelihood: LogLikelihood,
    outside_log_likelihood: LogLikelihood,
    train: np.ndarray,
    test: np.ndarray,
    outside: np.ndarray,
    space: Space,
    mu: float = 0.2,
) -> dict[str, Measure]:
    """Arguments: `mu`, the share of pixels that the background never saw as they are."""
    check(DOMAINS, {"mu": mu}, "anomaly_ratio")
    log_p = background(train, whole_levels(space, "the background"), mu)
    inside = log_of(log_p, test) - log_likelihood.values
    beyond = log_of(log_p, outside) - outside_log_likelihood.values
    return {"auroc_ratio": area(inside, beyond, method=log_likelihood.method)}


def background(train: np.ndarray, levels: int, mu: float) -> np.ndarray:
    """log p_0 of each level at each pixel: `[D, levels]`."""
    flat = train.reshape(len(train), -1)
    counts = np.stack([(flat == v).sum(0) for v in range(levels)], 1)
    return np.log((1 - mu) * counts / len(flat) + mu / levels)


def log_of(log_p: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log p_0(x) of images `[n, *shape]` -> `[n]`."""
    flat = x.reshape(len(x), -1).astype(np.int64)
    return log_p[np.arange(flat.shape[1]), flat].sum(1)
