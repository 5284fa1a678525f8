"""Samples that were drawn elsewhere, in the place of a model: what a folder of images or the test data are."""

from __future__ import annotations

import numpy as np

from genbench.datasets import Dataset


class FixedSamples:
    """Samples `[n, *shape]` and no way to draw more.

    Arguments:
        labels: the class that was asked of every sample `[n]`, where the model that drew them took one.
    """

    def __init__(self, dataset: Dataset, fixed: np.ndarray, labels: np.ndarray | None = None) -> None:
        self.space = dataset.space
        self.fixed, self.labels = fixed, labels


class TrueData(FixedSamples):
    """A split of the dataset under the protocol of generated samples, with the true density if that is known."""

    def __init__(self, dataset: Dataset, split: str) -> None:
        super().__init__(dataset, dataset.split(split), None if dataset.labels is None else dataset.labels[split])
        self.log_density = dataset.log_density
