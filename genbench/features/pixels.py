"""The raw values of the space, flattened: no network, no preprocessing."""

from pathlib import Path

import numpy as np

from genbench.features import Extractor, Features, identity, no_weights
from genbench.space import Space


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    no_weights("pixels", weights)

    def extract(x: np.ndarray) -> Features:
        return x.reshape(len(x), -1).astype(np.float32), None

    rule = "raw values, flattened"
    return Extractor("pixels", identity(rule), rule, extract, between=lambda x: x.flatten(1))
