"""Metrics of nearest neighbours, on Gaussians; some of their intervals are given the training data."""

from __future__ import annotations

import numpy as np

from genbench.metrics import (
    Measure,
    authenticity,
    clipped_density_coverage,
    data_copying,
    density_coverage,
    memorisation,
    near_duplicates,
    per_class,
    precision_recall,
    realism,
)
from genbench.numerics.points import Points
from genbench.studies.calibration import FIXED, Case, Truth
from genbench.studies.calibration.distances import Pair

GIVEN = "given the training data"
GIVEN_BOTH = "given training and test data"
MANY = 100_000  # samples by which a median is known
NOISE = 0.02  # of near copies
AWAY = 50.0  # from the data's middle lie bad samples


def cases() -> list[Case]:
    equal, narrow, wide = Pair(4, 400, 600), Pair(4, 400, 600, sd=0.7), Pair(16, 400, 600)
    found = [manifolds(pair) for pair in (Pair(2, 400, 600), narrow, wide, Pair(4, 500, 500, shift=1.0, sd=0.8))]
    found += [good(equal), good(equal, bad=0.3), good(wide, bad=0.3), good(Pair(4, 500, 500, shift=1.0, sd=0.8))]
    found += [by_class(Pair(4, 60, 120, sd=0.8)), by_class(Pair(8, 60, 120, shift=0.5))]
    for pair in (equal, narrow, wide):
        found += [authentic(pair), deepest(pair), leaning(pair)]
    found += [leaning(equal, copied=0.3), leaning(wide, copied=0.3)]
    for pair, copied in ((equal, 0.0), (equal, 0.3), (narrow, 0.0)):
        found += [copying(pair, copied), duplicates(pair, copied)]
    return found


def manifolds(pair: Pair, k: int = 5) -> Case:
    """Density and coverage of equal distributions have closed forms (see `density_coverage`)."""

    def truth() -> dict[str, Truth]:
        if pair.shift or pair.sd != 1:
            return {}
        m = min(pair.n, pair.m)  # no more training examples than samples
        missed = np.prod([(m - i) / (m + pair.n - i) for i in range(1, k + 1)])
        return {"density": Truth(1.0), "coverage": Truth(1 - float(missed))}

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        x, train = pair.samples(rng), pair.data(rng)
        return precision_recall.compute(x, train) | density_coverage.compute(x, train, k)

    return Case(("precision", "recall", "density", "coverage"), pair.what, pair.counts, draw, truth, 600)


def good(pair: Pair, bad: float = 0.0) -> Case:
    """Clipped density and coverage, of which a share of bad samples far away takes just so much."""

    def truth() -> dict[str, Truth]:
        if pair.shift or pair.sd != 1 or not bad:
            return {}
        return {output: Truth(1 - bad, "share of good ones") for output in outputs}

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        x = pair.samples(rng).x
        x[rng.random(len(x)) < bad] += AWAY
        return clipped_density_coverage.compute(Points(x), pair.data(rng))

    outputs = ("clipped_density", "clipped_coverage")
    what = f"{pair.what}, {bad:.0%} bad samples" if bad else pair.what
    return Case(outputs, what, pair.counts, draw, truth, 600)


def by_class(pair: Pair, classes: int = 4) -> Case:
    """Classes of one shape, far apart."""
    centres = 100 * np.arange(classes)[:, None]
    asked, known = np.repeat(np.arange(classes), pair.n), np.repeat(np.arange(classes), pair.m)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        x = pair.samples(rng, classes * pair.n).x + centres[asked]
        y = pair.data(rng, classes * pair.m).x + centres[known]
        return per_class.compute(Points(x), asked, Points(y), known)

    outputs = ("fd_per_class", "precision_per_class", "recall_per_class", "coverage_per_class")
    what = f"{classes} classes, each: {pair.what}"
    return Case(outputs, what, f"{classes} x ({pair.counts})", draw, replicates=400)


def authentic(pair: Pair) -> Case:
    train = pair.fixed()

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return authenticity.compute(pair.samples(rng), train)

    return Case(("authenticity",), f"{pair.what}, {GIVEN}", pair.counts, draw)


def deepest(pair: Pair) -> Case:
    train = pair.fixed()

    def truth() -> dict[str, Truth]:
        scores = realism.scores(pair.samples(np.random.default_rng(FIXED + 1), MANY), train)
        return {"realism": Truth(float(np.median(scores)), f"{MANY:,} samples")}

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return realism.compute(pair.samples(rng), train)

    return Case(("realism",), f"{pair.what}, {GIVEN}", pair.counts, draw, truth)


def leaning(pair: Pair, copied: float = 0.0, n_test: int = 300) -> Case:
    """Memorisation, of fresh samples, training and test data: its truth is the share of copies."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        train = pair.data(rng)
        samples = with_copies(pair, train, copied, rng)
        return memorisation.compute(samples, train, pair.data(rng, n_test))

    def truth() -> dict[str, Truth]:
        return {"memorisation": Truth(copied)}

    return Case(("memorisation",), described(pair, copied), f"{pair.counts}, {n_test}", draw, truth)


def copying(pair: Pair, copied: float, n_test: int = 300) -> Case:
    train = pair.fixed()

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return data_copying.compute(with_copies(pair, train, copied, rng), train, pair.data(rng, n_test))

    what = f"{described(pair, copied)}, {GIVEN}"
    return Case(("data_copying",), what, f"{pair.counts}, {n_test}", draw)


def duplicates(pair: Pair, copied: float, n_test: int = 300) -> Case:
    train, test = pair.fixed(), pair.data(np.random.default_rng(FIXED + 1), n_test)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return near_duplicates.compute(with_copies(pair, train, copied, rng), train, test)

    what = f"{described(pair, copied)}, {GIVEN_BOTH}"
    return Case(("near_duplicates", "self_duplicates"), what, f"{pair.counts}, {n_test}", draw)


def with_copies(pair: Pair, train: Points, copied: float, rng: np.random.Generator) -> Points:
    """Samples of which each is, with probability `copied`, a training example with a little noise."""
    x = pair.samples(rng).x
    chosen = rng.random(len(x)) < copied
    rows = rng.integers(len(train), size=int(chosen.sum()))
    x[chosen] = train.x[rows] + NOISE * rng.standard_normal((len(rows), pair.d))
    return Points(x)


def described(pair: Pair, copied: float) -> str:
    return f"{pair.what}, {copied:.0%} near copies" if copied else pair.what
