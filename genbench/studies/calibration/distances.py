"""Distances and scores of sets of features, on Gaussians.

Most intervals are for the expectation at the counts drawn, which is the mean over the replicates; the
squared MMD and the FD of infinitely many samples have their expectation in closed form, or nearly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from genbench.metrics import (
    Measure,
    bins,
    c2st,
    cmmd,
    fd,
    fd_infinity,
    fld,
    inception_score,
    kd,
    mifid,
    rfd,
    sliced_wasserstein,
    translation_fd,
    vendi,
)
from genbench.numerics import roots
from genbench.numerics.points import Points, Summary
from genbench.studies.calibration import FIXED, Case, Truth

SETS = 2000  # training sets over which an expectation is taken


@dataclass(frozen=True)
class Pair:
    """Samples from N(a, s^2 I) and training data from N(0, I), a = (shift, 0, ..., 0)."""

    d: int
    n: int
    m: int
    shift: float = 0.0
    sd: float = 1.0

    @property
    def what(self) -> str:
        differences = [f"shifted by {self.shift}"] if self.shift else []
        differences += [f"sd {self.sd}"] if self.sd != 1 else []
        return f"Gaussians, {', '.join(differences) or 'equal'}, d = {self.d}"

    @property
    def counts(self) -> str:
        return f"{self.n}, {self.m}"

    @property
    def mean(self) -> np.ndarray:
        return np.eye(self.d)[0] * self.shift

    def samples(self, rng: np.random.Generator, n: int | None = None) -> Points:
        return Points(self.mean + self.sd * rng.standard_normal((n or self.n, self.d)))

    def data(self, rng: np.random.Generator, m: int | None = None) -> Points:
        return Points(rng.standard_normal((m or self.m, self.d)))

    def fixed(self) -> Points:
        """One training set."""
        return self.data(np.random.default_rng(FIXED))


Compute = Callable[[Points, Points], dict[str, Measure]]
PAIRS = [
    Pair(4, 300, 500),
    Pair(4, 300, 500, shift=0.5, sd=1.2),
    Pair(16, 500, 1000),
    Pair(16, 500, 1000, shift=0.5, sd=1.1),
]


def cases() -> list[Case]:
    found = []
    for pair in PAIRS:
        found += [
            of_pair(("fd",), fd.compute, pair, 2000),
            of_pair(("fd_infinity",), fd_infinity.compute, pair, 2000, partial(fd_of_training_sets, pair)),
            of_pair(("kd",), kd.compute, pair, 800, partial(cubic_mmd2, pair)),
            gaussian_mmd(pair),
            of_pair(("cmmd",), cmmd.compute, pair, 400, note=", directions"),
            of_pair(("mifid",), mifid.compute, pair, 1000),
            sliced(pair),
        ]
    found += [published(pair) for pair in PAIRS]
    found += [fitted_likelihood(pair) for pair in (Pair(4, 300, 600), Pair(8, 300, 500, shift=0.5, sd=0.8))]
    found += [binned(pair) for pair in (Pair(4, 500, 1000), Pair(4, 500, 1000, shift=0.5, sd=1.2))]
    found += [translated(Pair(4, 300, 500, shift=0.5, sd=1.2)), translated(Pair(16, 500, 1000))]
    found += [told_apart(pair) for pair in (Pair(4, 100, 100), Pair(4, 300, 300), Pair(16, 300, 300))]
    found += [told_apart(Pair(4, 300, 300, shift=0.5, sd=1.2)), told_apart(Pair(4, 300, 300, shift=3.0))]
    found += [reconstructed(0.8, 0.3), reconstructed(1.0, 0.1)]
    found += [diversity(300, 8), diversity(300, 200)]
    found += [recognised(500, 1.0), recognised(500, 4.0)]
    return found


def told_apart(pair: Pair) -> Case:
    """By classifiers: of equal distributions a share and an area of 1/2."""
    outputs = ("c2st", "c2st_auroc", "c2st_linear", "c2st_linear_auroc")

    def truth() -> dict[str, Truth]:
        return {} if pair.shift or pair.sd != 1 else dict.fromkeys(outputs, Truth(0.5))

    return of_pair(outputs, c2st.compute, pair, 300, truth)


def published(pair: Pair) -> Case:
    """Of fresh samples against moments that are given, here those of the distribution itself."""
    reference = Summary(np.zeros(pair.d), np.eye(pair.d))

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        x = pair.samples(rng)
        return fd.compute(x, reference) | fd_infinity.compute(x, reference)

    def truth() -> dict[str, Truth]:
        return {"fd_infinity": Truth(float(pair.mean @ pair.mean) + pair.d * (pair.sd - 1) ** 2)}

    return Case(("fd", "fd_infinity"), f"{pair.what}, given moments", str(pair.n), draw, truth, 2000)


def of_pair(
    outputs: tuple[str, ...],
    compute: Compute,
    pair: Pair,
    replicates: int,
    truth: Callable[[], dict[str, Truth]] = dict,
    note: str = "",
) -> Case:
    """Of fresh samples and fresh training data."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return compute(pair.samples(rng), pair.data(rng))

    return Case(outputs, pair.what + note, pair.counts, draw, truth, replicates)


def translated(pair: Pair) -> Case:
    """Translations in either direction that miss the other domain, given another domain each time."""
    outputs = ("translation_fd", "translation_fd_back")

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        x, there, back, here = pair.samples(rng), pair.data(rng), pair.samples(rng), pair.data(rng)
        return translation_fd.compute(x, there, back, back, here, x)

    return Case(outputs, f"{pair.what}, in the place of translations", pair.counts, draw, dict, 1000)


def fd_of_training_sets(pair: Pair) -> dict[str, Truth]:
    """The distance of infinitely many samples to m training examples, in expectation."""
    rng, found = np.random.default_rng(FIXED), []
    covariance = pair.sd**2 * np.eye(pair.d)
    for _ in range(SETS):
        y = pair.data(rng).moments
        traces = np.trace(covariance) + np.trace(y.covariance) - 2 * roots.root_trace(covariance, y.covariance)
        found.append(float(((pair.mean - y.mean) ** 2).sum() + traces))
    return {"fd_infinity": Truth(float(np.mean(found)), f"{SETS} training sets")}


def cubic_mmd2(pair: Pair) -> dict[str, Truth]:
    """The squared MMD of the kernel (x.y/d + 1)^3."""
    a, b, s, t = pair.mean, np.zeros(pair.d), pair.sd, 1.0
    return {"kd": Truth(mean_cubic(a, s, a, s) + mean_cubic(b, t, b, t) - 2 * mean_cubic(a, s, b, t))}


def mean_cubic(a: np.ndarray, s: float, b: np.ndarray, t: float) -> float:
    """E (x.y/d + 1)^3 for x ~ N(a, s^2 I), y ~ N(b, t^2 I): given x, x.y is N(x.b, t^2 |x|^2)."""
    d, ab, aa, bb = len(a), float(a @ b), float(a @ a), float(b @ b)
    second = ab**2 + t**2 * aa + s**2 * bb + d * s**2 * t**2
    third = ab**3 + 3 * ab * (s**2 * bb + t**2 * aa + s**2 * t**2 * (d + 2))
    return 1 + 3 * ab / d + 3 * second / d**2 + third / d**3


def gaussian_mmd(pair: Pair) -> Case:
    """CMMD of the features as they come, whose expectation at these counts has a closed form."""

    def truth() -> dict[str, Truth]:
        within = [mean_gaussian(pair.d, 0, 2 * pair.sd**2), mean_gaussian(pair.d, 0, 2)]
        across = mean_gaussian(pair.d, pair.shift, pair.sd**2 + 1)
        means = sum(1 / n + (n - 1) / n * k for n, k in zip((pair.n, pair.m), within, strict=True))
        return {"cmmd": Truth(cmmd.SCALE * (means - 2 * across))}

    return of_pair(("cmmd",), lambda x, y: cmmd.compute(x, y, normalise=False), pair, 400, truth)


def mean_gaussian(d: int, shift: float, variance: float, sigma: float = 10.0) -> float:
    """E exp(-|z|^2 / (2 sigma^2)) for z ~ N(a, variance I) with |a| = shift."""
    total = sigma**2 + variance
    return (sigma**2 / total) ** (d / 2) * np.exp(-(shift**2) / (2 * total))


def sliced(pair: Pair) -> Case:
    """With fresh directions, since the interval is over all of them."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        seed = int(rng.integers(2**31))
        return sliced_wasserstein.compute(pair.samples(rng), pair.data(rng), directions=200, seed=seed)

    what = f"{pair.what}, 200 fresh directions"
    return Case(("mind", "sliced_wasserstein"), what, pair.counts, draw, dict, 400)


def fitted_likelihood(pair: Pair) -> Case:
    """FLD given the training data, of fresh samples and test data."""
    train = pair.fixed()

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return fld.compute(pair.samples(rng), train, pair.data(rng, 300))

    what = f"{pair.what}, given the training data"
    return Case(("fld", "fld_gap"), what, f"{pair.counts}, 300", draw, dict, 400)


def binned(pair: Pair, count: int = 50) -> Case:
    """JSD in given bins, of fresh samples and training data."""
    return Case(("jsd",), f"{pair.what}, given {count} bins", pair.counts, in_bins(pair, count))


def in_bins(pair: Pair, count: int) -> Callable[[np.random.Generator], dict[str, Measure]]:
    centres = Points(bins._centres(pair.fixed().x, count))

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        train = pair.data(rng)
        train.remember(("bins", count), lambda: centres)
        return bins.compute(pair.samples(rng), train, bins=count)

    return draw


def reconstructed(shrunk: float, noise: float, n: int = 300, d: int = 8) -> Case:
    """A reconstruction shrunk towards the mean, with noise."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        y = rng.standard_normal((n, d))
        return rfd.compute(Points(shrunk * y + noise * rng.standard_normal((n, d))), Points(y))

    what = f"Gaussians, shrunk to {shrunk} with noise of {noise}, d = {d}"
    return Case(("rfd",), what, str(n), draw)


def diversity(n: int, d: int) -> Case:
    """Features of unlike spread about a mean that is not 0."""
    spread = np.linspace(0.5, 2, d)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return vendi.compute(Points(1 + spread * rng.standard_normal((n, d))))

    return Case(("vendi",), f"Gaussian, sd 0.5 to 2, d = {d}", str(n), draw, dict, 400)


def recognised(n: int, strength: float, classes: int = 10) -> Case:
    """Logits with `strength` added to that of a class drawn at random."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        label = rng.integers(classes, size=n)
        return inception_score.compute(rng.standard_normal((n, classes)) + strength * np.eye(classes)[label])

    what = f"{classes} classes, logits {strength} apart with sd 1"
    return Case(("is",), what, str(n), draw, dict, 2000)
