"""The checks that every metric of arrays begins with: an input that cannot give a number is an error."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

import numpy as np

from genbench.errors import GenbenchError, ModelError
from genbench.numerics.points import Points, Summary


def matrix(x: np.ndarray, what: str, at_least: int = 2) -> np.ndarray:
    """`x` itself, if it is `[n, d]`, finite, with d >= 1 and n >= `at_least`.

    Raises:
        ValueError: the wrong rank, or not numbers.
        ModelError: NaN or infinite values.
        GenbenchError: too few rows.
    """
    if x.ndim != 2 or x.shape[1] == 0 or x.dtype.kind not in "fiu":
        raise ValueError(f"{what}: expected numbers [n, d], got {x.dtype} {list(x.shape)}")
    enough(len(x), what, at_least)
    finite(x, what)
    return x


def finite(x: np.ndarray, what: str) -> None:
    if bad := int((~np.isfinite(x)).sum()):
        raise ModelError(f"{what}: {bad} values are NaN or infinite")


def matrices(at_least: int, **named: np.ndarray) -> list[np.ndarray]:
    """Matrices of one width: see `matrix`."""
    checked = [matrix(x, what, at_least) for what, x in named.items()]
    if len({x.shape[1] for x in checked}) > 1:
        widths = ", ".join(f"{what} {x.shape[1]}" for what, x in named.items())
        raise ValueError(f"features of different widths cannot be compared: {widths}")
    return checked


def point_sets(at_least: int, **named: np.ndarray | Points) -> list[Points]:
    """Points of one width, from points or from matrices: see `matrix`. What was remembered of points is kept."""
    given = {what: x.x if isinstance(x, Points) else x for what, x in named.items()}
    matrices(at_least, **given)
    return [x if isinstance(x, Points) else Points(x) for x in named.values()]


def points_and_moments(
    at_least: int, sample_features: np.ndarray | Points, reference_moments: np.ndarray | Points | Summary
) -> tuple[Points, Points | Summary]:
    """Samples, and what they are compared with, of one width: rows, or the moments alone of a published reference."""
    if not isinstance(reference_moments, Summary):
        x, y = point_sets(at_least, sample_features=sample_features, reference_moments=reference_moments)
        return x, y
    (x,) = point_sets(at_least, sample_features=sample_features)
    if x.d != reference_moments.d:
        widths = f"sample_features {x.d}, {reference_moments.called} {reference_moments.d}"
        raise ValueError(f"features of different widths cannot be compared: {widths}")
    return x, reference_moments


def said_of(y: Points | Summary) -> dict[str, Any]:
    """What a record says of the set that samples were compared with by its moments."""
    if isinstance(y, Points):
        return {"n_train": len(y)}
    size = "of unknown size" if y.n is None else f"of {y.n:,} rows"
    return {"n_reference": y.n, "note": f"against the moments of {y.called}, {size}: the interval covers the samples"}


REFERENCE = 2  # seed of the reference, another one than those of `_groups.parts`


def reference(x: Points, y: Points) -> Points:
    """As many rows of y as x has, chosen by seed and contents, and once for all that ask; y where it has no more."""
    n = min(len(x), len(y))
    return y if n == len(y) else y.remember(("reference", n), lambda: y.part(y.sampled(n, REFERENCE)))


def counts(x: Points, y: Points, r: Points) -> dict[str, Any]:
    """What a record says of samples x, training examples y, and those of them, r, that x was compared with."""
    found: dict[str, Any] = {"n_samples": len(x), "n_train": len(y), "n_reference": len(r)}
    if len(r) < len(y):
        found["note"] = f"against {len(r):,} of {len(y):,} {y.called}, as many as there are samples"
    elif len(x) > len(y):
        found["note"] = f"against all {len(y):,} {y.called}: fewer than the {len(x):,} samples"
    return found


def are_examples(x: Points, data: Points) -> bool:
    """Whether every row of x is a row of the data, up to the rounding of float32 features: real data set beside models.

    What a batch's size does to features is some 1e-7 of them; 1e-5 of the data's spread is far from any neighbour.
    """
    spread2 = float(data.x.var(0, dtype=np.float64).sum())  # mean squared distance from the mean
    return bool((x.nearest(data)[0] <= 1e-10 * spread2).all())


def enough(n: int, what: str, at_least: int) -> None:
    if n < at_least:
        raise GenbenchError(
            f"{what}: this metric needs at least {at_least} rows, got {n}",
            "Ask for more samples (--samples), or take a larger dataset.",
        )


def labels_of(x: Sized, labels: np.ndarray, what: str, classes: int | None = None) -> np.ndarray:
    """`labels` themselves, if they are classes `[n]`, one for each row of `x`, below `classes` if that is known."""
    wrong = labels.shape != (len(x),) or labels.dtype.kind not in "iu"
    if wrong or labels.min() < 0 or (classes is not None and labels.max() >= classes):
        top = "" if classes is None else f"..{classes - 1}"
        raise ValueError(f"{what}: expected integers 0{top} [{len(x)}], got {labels.dtype} {list(labels.shape)}")
    return labels
