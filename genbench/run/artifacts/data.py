"""What is asked of the data alone, the same for all models: examples, places, classes, factors, their features; and of
the target domain of a translation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from genbench.datasets import Dataset
from genbench.errors import Unavailable
from genbench.numerics.choice import chosen
from genbench.run.artifacts.declaration import DATA, artifact
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.numerics.points import Points, Summary
    from genbench.run.artifacts.context import Context


@artifact(DATA)
def space(c: Context) -> Space:
    """The space of the observations."""
    return c.dataset.space


@artifact(DATA)
def modes(c: Context) -> tuple[np.ndarray, float]:
    """Centres of the data's modes `[m, d]`, and their standard deviation."""
    if c.dataset.modes is None:
        raise Unavailable(f"dataset '{c.dataset.name}' has no known modes")
    return c.dataset.modes


@artifact(DATA)
def train(c: Context) -> np.ndarray:
    """The training examples `[n, *shape]`."""
    return c.dataset.train


@artifact(DATA)
def validation(c: Context) -> np.ndarray:
    """The validation examples `[n, *shape]`."""
    return c.dataset.validation


@artifact(DATA, "limit")
def test(c: Context) -> np.ndarray:
    """The test examples `[n, *shape]`."""
    return c.dataset.test[c.get("test_places")]


@artifact(DATA, "outside", "limit")
def outside(c: Context) -> np.ndarray:
    """Other data that a model of these should find strange `[n, *shape]`."""
    from genbench.datasets._outside import outside

    return outside(c.dataset, c.protocol.outside, c.get("test"))


@artifact(DATA, "limit")
def test_places(c: Context) -> np.ndarray:
    """The places of the test examples that are measured `[n]`: all, or as many as the limit says, by contents."""
    return places_of(c.dataset, c.protocol.limit)


def places_of(dataset: Dataset, limit: int | None) -> np.ndarray:
    n = len(dataset.test)
    if limit is None or limit >= n:
        return np.arange(n)
    places = chosen(dataset.test, limit, 0, dataset.labels["test"] if dataset.labels else None)
    return np.sort(places) if dataset.sequence else places


@artifact(DATA, "limit")
def test_sequence(c: Context) -> np.ndarray | None:
    """Where in one sequence the test examples lie `[n]`, None where they are independent."""
    return c.get("test_places") if c.dataset.sequence else None


def labels(dataset: Dataset, split: str) -> np.ndarray:
    if dataset.labels is None:
        raise Unavailable(f"dataset '{dataset.name}' has no labels")
    return dataset.labels[split]


@artifact(DATA)
def train_labels(c: Context) -> np.ndarray:
    """Classes of the training examples `[n]`."""
    return labels(c.dataset, "train")


@artifact(DATA, "limit")
def test_labels(c: Context) -> np.ndarray:
    """Classes of the test examples `[n]`."""
    return labels(c.dataset, "test")[c.get("test_places")]


@artifact(DATA)
def train_factors(c: Context) -> np.ndarray:
    """The factors that the training examples were made of `[n, f]`, of generated data."""
    return factors(c.dataset, "train")


@artifact(DATA, "limit")
def test_factors(c: Context) -> np.ndarray:
    """The factors that the test examples were made of `[n, f]`, of generated data."""
    return factors(c.dataset, "test")[c.get("test_places")]


def factors(dataset: Dataset, split: str) -> np.ndarray:
    if dataset.factors is None:
        raise Unavailable(f"dataset '{dataset.name}' is not made of known factors")
    return dataset.factors[split]


def features_of_data(c: Context, split: str) -> Points:
    """Kept with the run, since a large network takes hours for a training set; raw pixels are at hand."""
    if c.name == "pixels":
        return c.points(c.extractor(c.get(split), c.batch_size)[0], split)
    return c.points(c.extract(lambda: c.get(split))["features"], split)


@artifact(DATA, extracted=True)
def train_features(c: Context) -> Points:
    """Features of the training examples `[n, d]`."""
    return features_of_data(c, "train")


@artifact(DATA, extracted=True, referenced=True)
def reference_features(c: Context) -> Points:
    """What samples are compared with, row by row `[n, d]`: training features, or those of a published reference."""
    return c.get("train_features") if c.reference is None else c.reference.points(c.device, c.lasting)


@artifact(DATA, extracted=True, referenced=True)
def reference_moments(c: Context) -> Points | Summary:
    """The same for metrics that need its mean and covariance alone: rows where there are any, else the moments."""
    if c.reference is None or c.reference.rows is not None:
        return c.get("reference_features")
    return c.reference.moments()


@artifact(DATA, "limit", extracted=True)
def test_features(c: Context) -> Points:
    """Features of the test examples `[n, d]`."""
    return features_of_data(c, "test")


def target(c: Context) -> Dataset:
    if c.dataset.target is None:
        raise Unavailable(f"dataset '{c.dataset.name}' has no target domain")
    return c.dataset.target


@artifact(DATA)
def target_train(c: Context) -> np.ndarray:
    """The training examples of the target domain `[n, *shape]`."""
    return target(c).train


@artifact(DATA)
def target_train_labels(c: Context) -> np.ndarray:
    """Classes of the training examples of the target domain `[n]`."""
    return labels(target(c), "train")


@artifact(DATA, "limit")
def target_test(c: Context) -> np.ndarray:
    """The test examples of the target domain `[n, *shape]`."""
    return target(c).test[c.get("target_test_places")]


@artifact(DATA, "limit")
def target_test_places(c: Context) -> np.ndarray:
    """The places of the test examples of the target domain that are measured `[n]`: see `test_places`."""
    return places_of(target(c), c.protocol.limit)


@artifact(DATA, "limit")
def target_test_labels(c: Context) -> np.ndarray:
    """Classes of the test examples of the target domain `[n]`."""
    return labels(target(c), "test")[c.get("target_test_places")]


@artifact(DATA, extracted=True)
def target_train_features(c: Context) -> Points:
    """Features of the training examples of the target domain `[n, d]`."""
    return features_of_data(c, "target_train")


@artifact(DATA, "limit", extracted=True)
def target_test_features(c: Context) -> Points:
    """Features of the test examples of the target domain `[n, d]`."""
    return features_of_data(c, "target_test")
