"""Shares with a known probability, histograms, and means over images, paths and repeats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import binom, chi2, norm

from genbench.metrics import (
    Measure,
    class_accuracy,
    class_agreement,
    class_kept,
    classes,
    copies,
    cycle_error,
    domain_reached,
    modes,
    parzen,
    path_length,
    probe,
    reconstruction,
    throughput,
    training_throughput,
    training_time,
)
from genbench.models.timing import Timings, TrainingTimings
from genbench.space import Space
from genbench.studies.calibration import FIXED, Case, Truth
from genbench.studies.calibration.distances import Pair, in_bins


def cases() -> list[Case]:
    skewed = np.arange(1, 11) / 55
    found = [differing(Pair(4, 500, 1000)), differing(Pair(4, 500, 1000, shift=0.5, sd=1.2))]
    found += [copied(0.1), copied(0.01), agreeing(0.7), accurate(0.9)]
    found += [probed(100), probed(500)]
    found += [kept(0.7, 50), kept(0.9, 500), reached(0.8, 50), reached(0.95, 500), cycles(100)]
    found += [mixture(1.0), mixture(1.5), modes_of(np.full(25, 1 / 25), 2000), modes_of(np.arange(1, 26) / 325, 500)]
    found += [classes_of(np.full(10, 0.1), 500), classes_of(skewed, 500), classes_of(np.full(100, 0.01), 300)]
    found += [paths(1000, 0.5), paths(1000, 1.0), reconstructions(100), window(300), timed(6), trained(6)]
    return found


def differing(pair: Pair, count: int = 50) -> Case:
    """NDB in given bins, of fresh samples and training data."""
    return Case(("ndb",), f"{pair.what}, given {count} bins", pair.counts, in_bins(pair, count))


def copied(p: float, n: int = 500) -> Case:
    """Samples that equal a training example with probability p."""
    fixed = np.random.default_rng(FIXED)
    train, test = fixed.standard_normal((200, 3)), fixed.standard_normal((100, 3))

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        x, chosen = rng.standard_normal((n, 3)), rng.random(n) < p
        x[chosen] = train[rng.integers(len(train), size=int(chosen.sum()))]
        return copies.compute(x, train, test)

    return Case(("copies",), f"copies with probability {p}", str(n), draw, lambda: {"copies": Truth(p)}, 2000)


def agreeing(p: float, n: int = 500, count: int = 10) -> Case:
    """Logits that are right with probability p."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        asked = np.arange(n) % count
        return class_agreement.compute(_said(asked, p, count, rng), asked)

    what = f"right with probability {p}"
    return Case(("class_agreement",), what, str(n), draw, lambda: {"class_agreement": Truth(p)}, 2000)


def accurate(p: float, n: int = 500, count: int = 10) -> Case:
    """Class densities of which the label's is the largest with probability p."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        labels = rng.integers(count, size=n)
        return class_accuracy.compute(_said(labels, p, count, rng), labels, Space((2,), levels=4))

    return Case(("accuracy",), f"right with probability {p}", str(n), draw, lambda: {"accuracy": Truth(p)}, 2000)


def probed(n: int) -> Case:
    """The probe's accuracy on two Gaussian classes about (1, 0) and (-1, 0), given 200 training codes."""
    fixed = np.random.default_rng(FIXED)

    def codes(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.integers(2, size=count)
        return rng.standard_normal((count, 2)) + np.stack([2.0 * labels - 1, np.zeros(count)], 1), labels

    train, known = codes(fixed, 200)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return probe.compute(train, known, *codes(rng, n))

    def truth() -> dict[str, Truth]:
        fitted = probe.Probe(train, known)
        w = fitted.regression.coef_[0] / fitted.sd
        b = fitted.regression.intercept_[0] - float(w @ fitted.mean)
        right = [norm.cdf(sign * (sign * w[0] + b) / np.linalg.norm(w)) for sign in (-1, 1)]
        return {"probe": Truth(float(np.mean(right)))}

    return Case(("probe",), "two Gaussian classes, given 200 training codes", str(n), draw, truth, 2000)


def kept(p: float, n: int, count: int = 5) -> Case:
    """Translations that lie, with probability p, at the centre of the class that they had, else at another's."""
    train = np.repeat(np.eye(count), 20, axis=0)
    known = np.repeat(np.arange(count), 20)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        there, here = rng.integers(count, size=(2, n))
        x, y = (_said(had, p, count, rng) for had in (there, here))
        return class_kept.compute(x, there, train, known, train, known, y, here, train, known, train, known)

    outputs = ("class_kept", "class_kept_back")
    what = f"kept with probability {p}"
    return Case(outputs, what, str(n), draw, lambda: dict.fromkeys(outputs, Truth(p)), 2000)


def reached(p: float, n: int) -> Case:
    """Translations that lie in the other domain with probability p, else in the one that they came from."""
    fixed = np.random.default_rng(FIXED)
    here, there = (sign + 0.1 * fixed.standard_normal((50, 1)) for sign in (-1, 1))

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        x, y = (sign * np.where(rng.random((n, 1)) < p, 1.0, -1.0) for sign in (1, -1))
        return domain_reached.compute(x, y, here, there, here, there)

    outputs = ("domain_reached", "domain_reached_back")
    what = f"reached with probability {p}"
    return Case(outputs, what, str(n), draw, lambda: dict.fromkeys(outputs, Truth(p)), 2000)


def cycles(n: int) -> Case:
    """Images of which a share of the pixels, another one for each image, comes back inverted."""
    space = Space((1, 8, 8), levels=2)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        x, y = rng.integers(2, size=(2, n, *space.shape))
        back = [z ^ (rng.random(z.shape) < rng.beta(1, 9, size=(n, 1, 1, 1))) for z in (x, y)]
        return cycle_error.compute(back[0], x, back[1], y, space)

    outputs = ("cycle_error", "cycle_error_back")
    what = "binary images, a share of pixels from Beta(1, 9) inverted"
    return Case(outputs, what, str(n), draw, lambda: dict.fromkeys(outputs, Truth(0.1)), 2000)


def _said(labels: np.ndarray, p: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """One-hot, of the label with probability p, else of another class: `[n, count]`."""
    other = (labels + rng.integers(1, count, size=len(labels))) % count
    return np.eye(count)[np.where(rng.random(len(labels)) < p, labels, other)]


def mixture(wider: float, n: int = 500) -> Case:
    """High quality of samples about the modes, with an sd `wider` times the mixture's."""
    truth = float(chi2.cdf(9 / wider**2, 2))
    draw = _about_modes(np.full(25, 1 / 25), n, wider)
    what = f"25 modes, sd times {wider}"
    return Case(("high_quality",), what, str(n), draw, lambda: {"high_quality": Truth(truth)}, 2000)


def modes_of(weights: np.ndarray, n: int) -> Case:
    what = f"25 modes, shares {weights.min():.3f} to {weights.max():.3f}"
    return Case(("modes_kl",), what, str(n), _about_modes(weights, n, 1.0), dict, 2000)


def _about_modes(weights: np.ndarray, n: int, wider: float) -> Callable[[np.random.Generator], dict[str, Measure]]:
    centres, sd = np.array([(i, j) for i in range(5) for j in range(5)], dtype=np.float64), 0.05

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        mode = rng.choice(25, size=n, p=weights)
        return modes.compute(centres[mode] + wider * sd * rng.standard_normal((n, 2)), (centres, sd))

    return draw


def classes_of(p: np.ndarray, n: int) -> Case:
    """Classes of probability p `[c]` against uniform training data, given these."""
    c = len(p)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return classes.compute(np.eye(c)[rng.choice(c, size=n, p=p)], np.arange(c))

    def truth() -> dict[str, Truth]:
        return {"classes_kl": Truth(expected_kl(p, np.full(c, 1 / c), n))}

    what = f"{c} classes, shares {p.min():.3f} to {p.max():.3f}, given uniform training data"
    return Case(("classes_kl",), what, str(n), draw, truth, 2000)


def expected_kl(p: np.ndarray, q: np.ndarray, n: int) -> float:
    """E KL(counts / n || q) for multinomial counts: each is binomial, and the sum over classes is of expectations."""
    share = np.arange(1, n + 1) / n
    entropies = [float(binom.pmf(np.arange(1, n + 1), n, p_c) @ (share * np.log(share))) for p_c in p]
    return sum(entropies) - float(p @ np.log(q))


def paths(n: int, sd: float) -> Case:
    """Log-normal path lengths, a trimmed mean's."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return path_length.compute(np.exp(sd * rng.standard_normal(n)))

    return Case(("ppl",), f"log-normal, sd {sd}", str(n), draw, dict, 4000)


def reconstructions(n: int) -> Case:
    """Random images with noise of a strength of their own, uniform in 1 to 3 levels; E MSE = E strength^2 / 255^2."""
    space, least, most = Space((1, 8, 8), levels=256), 1.0, 3.0
    second = (most**3 - least**3) / (3 * (most - least))

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        images = rng.integers(256, size=(n, *space.shape))
        strength = rng.uniform(least, most, size=(n, 1, 1, 1))
        return reconstruction.compute(images + strength * rng.standard_normal(images.shape), images, space, None)

    what = "images with noise of 1 to 3 levels"
    return Case(("mse", "psnr", "ssim"), what, str(n), draw, lambda: {"mse": Truth(second / 255**2)}, 4000)


def window(n: int) -> Case:
    """Parzen's density of fresh test data, given samples and bandwidth."""
    fixed = np.random.default_rng(FIXED)
    samples, validation = fixed.standard_normal((200, 2)), fixed.standard_normal((100, 2))

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return parzen.compute(samples, validation, rng.standard_normal((n, 2)))

    return Case(("parzen",), "Gaussian, d = 2, given the samples", str(n), draw)


def timed(repeats: int) -> Case:
    """Log-normal seconds, of median 1: the range of six repeats holds their median 1 - 2^-5 = 96.9 times in 100."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        block, single = np.exp(0.3 * rng.standard_normal((2, repeats)))
        return throughput.compute(Timings(block, single, 1, "cpu", 1))

    truth = {"throughput": Truth(1.0), "latency": Truth(1000.0)}
    return Case(("throughput", "latency"), "log-normal times", str(repeats), draw, lambda: truth, 10_000)


def trained(repeats: int) -> Case:
    """Log-normal speeds of training, of median 1."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        speeds = np.exp(0.3 * rng.standard_normal(repeats))
        timings = TrainingTimings(speeds, 1, 1, "cpu", 1, 1 / speeds, (1,))
        return training_throughput.compute(timings) | training_time.compute(timings)

    truth = {"training_throughput": Truth(1.0), "training_time": Truth(1.0)}
    return Case(
        ("training_throughput", "training_time"), "log-normal speeds", str(repeats), draw, lambda: truth, 10_000
    )
