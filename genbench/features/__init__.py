"""An extractor turns images into features `[n, d]`, and class logits where it has them.

Every file here defines `extractor(space, weights=None, device="cpu")` and opens with the sentence
that `genbench list extractors` shows. One that is trained here also defines `build`, as a baseline
does, and ships its weights beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genbench.errors import GenbenchError

Features = tuple[np.ndarray, np.ndarray | None]  # features [n, d], logits [n, classes] or None


@dataclass(frozen=True)
class Extractor:
    """A named, hashed function of images.

    Arguments:
        name: as the catalog spells it; metrics are named for it, `fd[name]`.
        sha256: of the weights, or of the rule where there are none.
        preprocessing: resize rule and input range, in words: they decide the value.
        extract: `[n, *shape]` -> (features `[n, d]` float32, logits `[n, classes]` or None), for one batch.
    """

    name: str
    sha256: str
    preprocessing: str
    extract: Callable[[np.ndarray], Features]

    def __call__(self, x: np.ndarray, batch_size: int = 500) -> Features:
        """Features of all images, `batch_size` at a time; the batch size changes rounding only."""
        if len(x) == 0:
            raise GenbenchError(f"extractor '{self.name}' got no images", "Give it at least one.")
        parts = [self.extract(x[i : i + batch_size]) for i in range(0, len(x), batch_size)]
        logits = [part for _, part in parts if part is not None]
        return np.concatenate([f for f, _ in parts]), np.concatenate(logits) if logits else None
