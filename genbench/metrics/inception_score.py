"""Inception score: exp of the mean KL divergence of a classifier's p(y|x) from its average over the samples.

    IS = exp( 1/n sum_i KL(p(y|x_i) || p(y)) ),    p(y) = 1/n sum_i p(y|x_i)

in nats, averaged over `splits` parts of the samples, in the order of torch-fidelity 0.4.0 with rng_seed=2020, whose
value this is: one RandomState(2020).permutation, parts i n // S : (i+1) n // S; code that splits the samples in the
order that they came in has another value. From 1 (every sample looks alike, or
nothing is recognised) to the number of classes. The score of a part grows with its size.

Its published "std" is the spread of the parts with ddof = 0, kept in the details; the standard
error here is that of the mean over parts.

References:
    Improved techniques for training GANs (Salimans et al., 2016), section 4.
    A note on the inception score (Barratt, Sharma, 2018), on what it does not see.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from genbench.domains import check
from genbench.metrics import Measure, mean
from genbench.metrics._inputs import matrix

VERSION = 2
MIN_SAMPLES = 20  # for ten splits
NEEDS = ("sample_logits",)
OUTPUTS = {
    "is": {
        "unit": "classes",
        "direction": "higher",
        "range": (1, None),
        "title": "inception score",
        "misses": "knows no data: blind to copies and to anything that the classifier does not see",
        "group": "fidelity",
        "place": 190,
    },
}
REFERENCE = "Salimans et al., 2016"
DOMAINS = {"splits": "a whole number in [1, inf)"}

LARGE = 2**20  # logits from which threads are worth it


def compute(sample_logits: np.ndarray, splits: int = 10) -> dict[str, Measure]:
    check(DOMAINS, {"splits": splits}, "inception_score")
    # A part of one sample scores exactly 1 whatever it shows.
    logits = matrix(sample_logits, "sample_logits", at_least=2 * splits)
    n = len(logits)
    order = np.random.RandomState(2020).permutation(n)
    parts = [order[i * n // splits : (i + 1) * n // splits] for i in range(splits)]
    with ThreadPoolExecutor(torch.get_num_threads() if logits.size >= LARGE else 1) as threads:
        scores = np.array(list(threads.map(lambda part: _score(logits[part]), parts)))
    details = {"n_samples": n, "splits": splits, "std_ddof0": float(scores.std())}
    measure = mean(scores, least=1.0, most=float(logits.shape[1]), details=details)
    if splits == 1:
        return {"is": measure}
    return {"is": Measure(measure.value, "estimate", measure.stderr, measure.ci95, "t over splits", details=details)}


def _score(logits: np.ndarray) -> float:
    """Of one part `[m, c]`."""
    p = logits.astype(np.float64)
    p -= p.max(1, keepdims=True)
    np.exp(p, out=p)
    p /= p.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = p / p.mean(0)
        np.log(terms, out=terms)
        terms *= p
    terms[p == 0] = 0.0  # the limit of p log p
    score = float(np.exp(terms.sum(1).mean()))
    return min(max(score, 1.0), p.shape[1])  # rounding can take it outside
