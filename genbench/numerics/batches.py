"""Means of batches of consecutive values, which stand for independent ones where neighbours depend on each other."""

from __future__ import annotations

import numpy as np

BATCHES = 10  # Schmeiser (1982): 10 to 30


def batch_means(values: np.ndarray) -> np.ndarray:
    """Means `[..., b]` of b = min(10, n) batches of consecutive values `[..., n]`, as nearly of one size as can be."""
    parts = np.array_split(values, min(BATCHES, values.shape[-1]), axis=-1)
    return np.stack([part.mean(-1) for part in parts], axis=-1)
