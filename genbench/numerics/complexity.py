"""The length of an image under a universal code: how simple it is, whatever data it is from.

    L(x) = -log 1/5 sum_f P_KT(r_f(x))

r_f are the residuals of the five filters of PNG (none, left, above, the mean of both, Paeth), modulo the number of
levels: what is left of a pixel once its neighbours have predicted it. Each filter is a one-to-one map, so that the
residuals say as much as the image. P_KT is the code of Krichevsky and Trofimov (1981): it codes every residual with
what has been seen so far, counts plus one half, and so needs no knowledge of the data,

    P_KT(r) = Gamma(L/2) / Gamma(n + L/2) prod_v Gamma(n_v + 1/2) / Gamma(1/2)

for counts n_v of n residuals of L levels. The probabilities of all images sum to one: an arithmetic coder would write x
in L(x) nats and at most two bits more. A file of PNG would do too, but its headers and the tables of its coder are
longer than an image of 64 pixels, and its length depends on the library that wrote it.

References:
    The performance of universal encoding (Krichevsky, Trofimov, 1981).
    Portable network graphics specification, second edition (W3C, 2003), section 9: the filters.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, logsumexp


def code_lengths(x: np.ndarray, levels: int) -> np.ndarray:
    """L(x) in nats of images `[n, C, H, W]` of integers below `levels`: `[n]`. Channels are filtered by themselves."""
    r = residuals(x.astype(np.int64), levels).reshape(5, len(x), -1)
    size = r.shape[2]
    log_p = np.full((5, len(x)), gammaln(levels / 2) - gammaln(size + levels / 2))
    for v in range(levels):
        log_p += gammaln((r == v).sum(2) + 0.5) - gammaln(0.5)
    return np.log(5) - logsumexp(log_p, axis=0)


def residuals(x: np.ndarray, levels: int) -> np.ndarray:
    """Of every filter the residuals modulo the levels; beyond the edges all is 0: `[n, C, H, W]` -> `[5, ...]`."""
    padded = np.pad(x, ((0, 0), (0, 0), (1, 0), (1, 0)))
    left, above, corner = padded[:, :, 1:, :-1], padded[:, :, :-1, 1:], padded[:, :, :-1, :-1]
    p = left + above - corner
    away = np.stack([abs(p - left), abs(p - above), abs(p - corner)])
    paeth = np.choose(away.argmin(0), [left, above, corner])  # of equals the first, as PNG has it
    return (x - np.stack([np.zeros_like(x), left, above, (left + above) // 2, paeth])) % levels
