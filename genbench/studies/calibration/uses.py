"""Representations and uses: areas under curves, paired shares, information, costs of decisions, rare classes."""

from __future__ import annotations

import math

import numpy as np
from scipy.stats import norm

from genbench.likelihood.result import LogLikelihood
from genbench.metrics import (
    Measure,
    anomaly_likelihood,
    decision,
    disentanglement,
    label_efficiency,
    latent_neighbours,
    mutual_information,
    rare_class,
    rare_loss,
    resampling,
)
from genbench.space import Space
from genbench.studies.calibration import FIXED, Case, Truth


def cases() -> list[Case]:
    found = [areas(500, 500, 0.5), areas(500, 500, 2.0), areas(500, 50, 3.0), areas(200, 200, 0.0)]
    found += [few_labels(300), all_labels(500), neighbours(300), informed(300, 1.0), informed(300, 0.3)]
    found += [gaps(1000), forests(300), decided(500), drawn(500, 0.02), losses(50, 450), resampled(200)]
    return found


def areas(m: int, n: int, apart: float) -> Case:
    """Scores of N(0, 1) and of N(apart, 1): an area of Phi(apart / sqrt 2)."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        inside, outside = (LogLikelihood(-rng.standard_normal(k) - at, "exact", "") for k, at in ((m, 0), (n, apart)))
        return anomaly_likelihood.compute(inside, outside)

    truth = float(norm.cdf(apart / math.sqrt(2)))
    what = f"normal scores, {apart:g} apart"
    return Case(("auroc_likelihood",), what, f"{m}, {n}", draw, lambda: {"auroc_likelihood": Truth(truth)}, 4000)


def classes(rng: np.random.Generator, n: int, d: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian classes about +-1 on the first of d coordinates, as many of each."""
    labels = rng.permutation(np.arange(n) % 2)
    x = rng.standard_normal((n, d))
    x[:, 0] += 2.0 * labels - 1
    return x, labels


def noisy(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Raw values that tell less of the class than the codes do."""
    return x + rng.standard_normal(x.shape)


def few_labels(n: int) -> Case:
    """Fresh training codes, of which labels are drawn, and fresh test codes."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        (x, known), (y, asked) = classes(rng, 2000), classes(rng, n)
        return label_efficiency.compute(x, known, y, asked, noisy(x, rng), noisy(y, rng))

    outputs = ("probe_100", "probe_gain_100")
    return Case(outputs, "two Gaussian classes, 2,000 training codes", str(n), draw, dict, 200)


def all_labels(n: int) -> Case:
    """The gain over raw values, given training codes and raw values."""
    fixed = np.random.default_rng(FIXED)
    x, known = classes(fixed, 400)
    raw = noisy(x, fixed)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        y, asked = classes(rng, n)
        return label_efficiency.compute(x, known, y, asked, raw, noisy(y, rng), draws=2)

    return Case(("probe_gain",), "two Gaussian classes, given 400 training codes", str(n), draw, dict, 1000)


def neighbours(n: int) -> Case:
    x, known = classes(np.random.default_rng(FIXED), 400)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        y, asked = classes(rng, n)
        return latent_neighbours.compute(x, known, y, asked, x, y)

    return Case(("knn",), "two Gaussian classes, given 400 training codes", str(n), draw, dict, 1000)


def informed(n: int, sd: float) -> Case:
    """Means of N(0, 1) in two dimensions, posteriors of one deviation."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        mean = rng.standard_normal((n, 2))
        return mutual_information.compute({"mean": mean, "log_sd": np.full_like(mean, math.log(sd))})

    return Case(("mutual_information",), f"the bound, Gaussian posteriors of sd {sd}", str(n), draw, dict, 1000)


def gaps(n: int) -> Case:
    """Two factors of five values, and three coordinates: one of each factor with noise, one of both."""

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        v = rng.integers(5, size=(n, 2))
        z = np.stack([v[:, 0], v[:, 1], v.sum(1)], 1) + rng.standard_normal((n, 3))
        return {"mig": disentanglement.gap(z, v, 20)}

    return Case(("mig",), "factors with noise", str(n), draw, dict, 1000)


def forests(n: int) -> Case:
    fixed = np.random.default_rng(FIXED)

    def made(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
        v = rng.integers(3, size=(count, 2))
        return v + rng.standard_normal((count, 2)), v

    x, known = made(fixed, 300)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        return disentanglement.compute(x, known, *made(rng, n), trees=10)

    what = "factors with noise, given 300 training codes"
    return Case(("dci_informativeness",), what, str(n), draw, dict, 300)


def decided(n: int) -> Case:
    """Known class densities, and logistic regression of 200 given training examples."""
    train, known = classes(np.random.default_rng(FIXED), 200)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        x, labels = classes(rng, n)
        scores = np.stack([-0.5 * (x[:, 0] + 1) ** 2, -0.5 * (x[:, 0] - 1) ** 2], 1)
        return decision.compute(scores, train, known, x, labels)

    outputs = ("decision_cost", "decision_saving")
    return Case(outputs, "two Gaussian classes, asking costs 0.1", str(n), draw, dict, 2000)


def drawn(n: int, p: float) -> Case:
    """Samples of the rare class with probability p."""
    known = np.repeat([0, 1, 2], [100, 100, 10])

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        of_class = np.where(rng.random(n) < p, 2, rng.integers(2, size=n))
        return rare_class.compute(np.eye(3)[of_class], known)

    what = f"the rare class with probability {p}"
    return Case(("rare_share",), what, str(n), draw, lambda: {"rare_share": Truth(p)}, 4000)


def losses(rare: int, rest: int) -> Case:
    """Exponential losses of one value of two levels, in nats: 3 on average for a rare class, 2 for the others."""
    space, bit = Space((1,), levels=2), math.log(2)
    known, asked = np.repeat([0, 1], [100, 10]), np.repeat([0, 1], [rest, rare])

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        values = -(1.0 + asked) - rng.exponential(size=len(asked))
        return rare_loss.compute(LogLikelihood(values, "exact", ""), known, asked, space)

    truth = {"rare_nll": Truth(3 / bit), "rare_gap": Truth(1 / bit)}
    return Case(("rare_nll", "rare_gap"), "exponential losses", f"{rare}, {rest}", draw, lambda: truth, 4000)


def resampled(n: int) -> Case:
    """A tenth as many of one class, and chances that even the two out, given training examples."""
    x, known = classes(np.random.default_rng(FIXED), 400)
    kept = np.flatnonzero(known == 0).tolist() + np.flatnonzero(known == 1)[:20].tolist()
    x, known = x[kept], known[kept]
    chances = np.where(known == 1, 10.0, 1.0)

    def draw(rng: np.random.Generator) -> dict[str, Measure]:
        y, asked = classes(rng, n)
        return resampling.compute(chances, x, known, y, asked)

    outputs = ("rare_accuracy", "resampling_gain")
    return Case(outputs, "two Gaussian classes, given 220 training examples", str(n // 2), draw, dict, 2000)
