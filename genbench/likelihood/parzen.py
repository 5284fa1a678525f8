"""Parzen window: the log-density of a mixture of equal Gaussians about a model's samples. Legacy.

    log p(x) ~ log 1/M sum_m N(x; s_m, sigma^2 I)

sigma is chosen on validation data. It is kept so that old papers can be compared, and is no measure of a model: it
is far from log p unless M grows exponentially with d, and ranks models otherwise than their likelihoods do.

Integers count as points on the real line: the value is a density per unit of whatever scale the arrays have, and
a set of samples that holds a validation point itself is rewarded without bound as sigma falls.

References:
    Quickly generating representative samples from an RBM-derived process (Breuleux, Bengio, Vincent, 2009), section 5.
    Generative adversarial nets (Goodfellow et al., 2014), table 1.
    A note on the evaluation of generative models (Theis, van den Oord, Bethge, 2016), section 4.1: why not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

WARNING = (
    "Parzen window estimate (legacy): it is no likelihood of the model and must not rank models; "
    "even samples of the true distribution lose about 17 nats at d = 100 with 10,000 samples"
)
WIDTHS = 21
CHUNK = 2**22  # distances held at once: 32 MiB


@dataclass(frozen=True)
class Parzen:
    """Parzen log-densities of test data; the kind is "estimate".

    Arguments:
        values: `[N]` float64, nats, a density on the scale of the arrays.
        bandwidth: the sigma that was chosen.
        bandwidths, validation: the grid `[G]`, and the mean log-density of the validation data for each.
        warnings: what every record of such a value must carry.
    """

    values: np.ndarray
    bandwidth: float
    bandwidths: np.ndarray
    validation: np.ndarray
    warnings: tuple[str, ...]
    kind: str = "estimate"


def parzen(
    samples: np.ndarray, validation: np.ndarray, test: np.ndarray, bandwidths: np.ndarray | None = None
) -> Parzen:
    """The log-density of `test` `[N, ...]` by Gaussians about `samples` `[M, ...]`.

    Arguments:
        bandwidths: the grid of sigma, rising; None for 21 from 0.03 to 3 times the root mean square deviation of a
            coordinate of the samples, by equal ratios.

    Raises:
        ValueError: the arrays differ in shape, or one of them is empty or not finite.
    """
    shapes = [samples.shape, validation.shape, test.shape]
    if len({shape[1:] for shape in shapes}) > 1 or min(shape[0] for shape in shapes) == 0:
        raise ValueError(f"expected rows of one shape, at least one in each array, got {shapes}")
    S, V, X = (a.astype(np.float64).reshape(len(a), -1) for a in (samples, validation, test))
    if not all(np.isfinite(a).all() for a in (S, V, X)):
        raise ValueError("a Parzen window needs finite values")
    if bandwidths is None:
        scale = math.sqrt(S.var(0).mean()) or 1.0
        bandwidths = scale * np.geomspace(0.03, 3, WIDTHS)
    bandwidths = np.asarray(bandwidths, dtype=np.float64)
    scores = log_densities(S, V, bandwidths).mean(1)
    best = int(scores.argmax())
    warnings = [WARNING]
    if best in (0, len(bandwidths) - 1) and len(bandwidths) > 1:
        warnings.append(f"the best bandwidth {bandwidths[best]:.4g} lies at the edge of the grid")
    values = log_densities(S, X, bandwidths[best : best + 1])[0]
    return Parzen(values, float(bandwidths[best]), bandwidths, scores, tuple(warnings))


def log_densities(S: np.ndarray, X: np.ndarray, bandwidths: np.ndarray) -> np.ndarray:
    """log 1/M sum_m N(x; s_m, sigma^2 I) of every x for every sigma: `[M, d]`, `[N, d]`, `[G]` -> `[G, N]`."""
    M, dim = S.shape
    centre = S.mean(0)  # the expansion of the square cancels less about it
    S, X = S - centre, X - centre
    squares = (S * S).sum(1)
    out = np.empty((len(bandwidths), len(X)))
    rows = max(1, CHUNK // M)
    for i in range(0, len(X), rows):
        x = X[i : i + rows]
        d2 = np.maximum((x * x).sum(1)[:, None] + squares - 2 * x @ S.T, 0)  # [rows, M]
        nearest = d2.min(1)
        d2 -= nearest[:, None]
        for g, sigma in enumerate(bandwidths):
            precision = 0.5 / sigma**2
            log_sum = np.log(np.exp(-precision * d2).sum(1)) - precision * nearest
            out[g, i : i + rows] = log_sum - math.log(M) - 0.5 * dim * math.log(2 * math.pi * sigma**2)
    return out
