"""The metrics of features, found by what they need, and sets to measure: several test files go over all of them."""

import numpy as np

from genbench import catalog
from genbench.metrics import Measure
from genbench.numerics.points import Points

SETS = ("sample_features", "train_features", "test_features")
AS = {need: need for need in SETS} | dict.fromkeys(("reference_features", "reference_moments"), "train_features")
METRICS = [
    name
    for name, entry in catalog.entries("metrics").items()
    if "sample_features" in entry.constants["NEEDS"] and set(entry.constants["NEEDS"]) <= set(AS)
]


def needs(name: str) -> tuple[str, ...]:
    """Which of the sets a metric looks at; without a published reference the training set is the reference."""
    return tuple(AS[need] for need in catalog.find("metrics", name).constants["NEEDS"])


def measured(name: str, sets: dict[str, np.ndarray], tile=None, **parameters) -> dict[str, Measure]:
    """The outputs of a metric for {need: rows or Points}; rows go into Points of their own."""
    points = {} if tile is None else {"tile": tile}
    given = {need: x if isinstance(x := sets[need], Points) else Points(x, **points) for need in needs(name)}
    asked = catalog.find("metrics", name).constants["NEEDS"]
    return catalog.load("metrics", name).compute(**{need: given[AS[need]] for need in asked}, **parameters)


def gaussians(n=150, d=6, dtype=np.float32) -> dict[str, np.ndarray]:
    """Three sets of unlike spectra and somewhat unlike means."""
    rng = np.random.default_rng(0)
    shapes = dict(zip(SETS, (n, n + 60, n + 10), strict=True))
    return {
        need: (rng.standard_normal((m, d)) * np.linspace(0.5, 2, d) + 0.1 * i).astype(dtype)
        for i, (need, m) in enumerate(shapes.items())
    }


def values(found: dict[str, Measure]) -> dict[str, list[float]]:
    """Value, standard error and interval of every output, where it has them."""
    kept = {}
    for output, m in found.items():
        kept[output] = [m.value, *([] if m.stderr is None else [m.stderr]), *(m.ci95 or ())]
    return kept
