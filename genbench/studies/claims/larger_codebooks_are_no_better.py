"""Codes of quarters of the digits along the size K of the codebook: what they keep, and what they cost.

Each 4x4 quarter of an image is the nearest of K centres (k-means), so that an image is four codes c. Both parts of

    -log2 p(x) <= -log2 p(c) - log2 p(x | c)

are counted on the training digits, one added to every count: p(c) as a product over the four places, p(x | c) as one
over pixels. A uniform p(c) costs 4 log2 K bits whatever the codes say, which is the KL of a VQ-VAE with that prior: it
is log K for each code, not for an image. All bits are of test digits, over 64 pixels.
"""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans

from genbench.studies.claims import Finding
from genbench.studies.claims._training import digits
from genbench.studies.claims._trials import Found, each, of_mean

SENTENCE = "A larger codebook makes a better model."
SAID_BY = "what the error of reconstructions suggests; van den Oord et al. (2017) take 512 codes"
DECIDED_BY = "error of reconstructions and the bound on bits/dim of test digits, 256 codes against 32"
CARRIES = (
    "to 1,097 training images: every code needs examples to learn its pixels from, and more images feed more codes."
)
PICTURE = "Along the size of the codebook: bits for pixels and for codes, by a learned and by a uniform prior."
SEEDS, VERSION = 5, 1
SIZES, LEVELS = (2, 4, 8, 16, 32, 64, 128, 256), 17


def quarters(x: np.ndarray) -> np.ndarray:
    """Images `[n, 1, 8, 8]` -> `[n, 4, 16]`."""
    return x.reshape(-1, 2, 4, 2, 4).transpose(0, 1, 3, 2, 4).reshape(-1, 4, 16)


def counted(codes: np.ndarray, x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """log2 p(c) of each place `[4, k]`, and log2 p(x | c) of each pixel of a quarter `[k, 16, levels]`."""
    prior = np.stack([np.bincount(codes[:, place], minlength=k) for place in range(4)]) + 1.0
    pixels = np.ones((k, 16, LEVELS))
    np.add.at(pixels, (codes[..., None], np.arange(16), x), 1)
    return np.log2(prior / prior.sum(1, keepdims=True)), np.log2(pixels / pixels.sum(2, keepdims=True))


def measured(k: int, seed: int) -> dict[str, float]:
    """Bits/dim, and the root mean square error of the expected pixels in levels."""
    train, test = (quarters(x.astype(np.int64)) for x in (digits().train, digits().test))
    means = KMeans(k, n_init=1, random_state=seed).fit(train.reshape(-1, 16).astype(np.float64))
    known, asked = (means.predict(x.reshape(-1, 16).astype(np.float64)).reshape(-1, 4) for x in (train, test))
    prior, pixels = counted(known, train, k)
    of_codes = -prior[np.arange(4), asked].sum(1).mean() / 64
    of_pixels = -pixels[asked[..., None], np.arange(16), test].sum((1, 2)).mean() / 64
    expected = (np.exp2(pixels) @ np.arange(LEVELS))[asked]
    error = np.sqrt(np.square(expected - test).mean())
    return {"codes": of_codes, "pixels": of_pixels, "uniform": 4 * np.log2(k) / 64, "error": error}


def trial(seed: int) -> Found:
    return {str(k): measured(k, seed) for k in SIZES}


def judged(found: list[Found]) -> list[Finding]:
    def change(*what: str) -> np.ndarray:
        return sum((each(found, "256", w) - each(found, "32", w) for w in what), np.zeros(len(found)))

    saved = each(found, "256", "uniform") - each(found, "256", "codes")
    return [
        of_mean("error of reconstructions, levels, 256 codes less 32", change("error"), "below", 0.0, 3),
        of_mean("bound on bits/dim, 256 codes less 32", change("codes", "pixels"), "below", 0.0, 3),
        of_mean("bits/dim of a uniform prior less a learned one, 256 codes", saved, "above", 0.0, 3),
    ]


def plot(axes, found: list[Found]) -> None:
    def mean(k: int, *what: str) -> float:
        return float(sum(each(found, str(k), w).mean() for w in what))

    axes.plot(SIZES, [mean(k, "pixels", "uniform") for k in SIZES], "^--", label="bound, uniform prior")
    axes.plot(SIZES, [mean(k, "pixels", "codes") for k in SIZES], "o-", label="bound, learned prior")
    axes.plot(SIZES, [mean(k, "pixels") for k in SIZES], "s-", label="pixels given codes")
    axes.plot(SIZES, [mean(k, "codes") for k in SIZES], "v-", label="codes, learned prior")
    axes.set(xlabel="codes K", ylabel="bits/dim of test digits", xscale="log", ylim=(0, None))
    axes.set_xticks(SIZES, list(map(str, SIZES)))
    axes.minorticks_off()
    axes.legend(fontsize=8)
