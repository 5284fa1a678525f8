"""The classifier of MNIST on each channel of stacked digits: features side by side, logits of the 1,000 triples.

    logit(a, b, c) = log p_1(a) + log p_2(b) + log p_3(c)

with p_i the classifier's probabilities for channel i, so the largest logit is that of the three digits seen, and
softmax of the logits is their joint probability. A triple is right where all three digits are: at 99.5 % for one digit
98.5 % of the triples are.

References:
    VEEGAN (Srivastava et al., 2017), section 5.2; PacGAN (Lin et al., 2018), section 4.2: the same protocol, each
    with a classifier of its own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.special import log_softmax
from torch import Tensor

from genbench.features import Extractor, Features, identity, mnist_cnn
from genbench.features._cnn import refusal
from genbench.space import Space

SPACE = Space((3, 28, 28), levels=256)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    """Three times the classifier in `weights`, by default that of `mnist-cnn`.

    Raises:
        GenbenchError: the space is not that of three channels of 28x28 with levels, or the file holds another network.
    """
    if space.shape != SPACE.shape or space.levels is None:
        raise refusal("stacked-mnist-cnn", "[3, 28, 28] of whole levels", space)
    one = mnist_cnn.extractor(Space((1, 28, 28), space.levels), weights, device)

    def extract(x: np.ndarray) -> Features:
        features, logits = one.extract(x.reshape(-1, 1, 28, 28))
        assert logits is not None
        a, b, c = np.moveaxis(log_softmax(logits, axis=1).reshape(len(x), 3, -1), 1, 0)  # [n, 10] each
        joint = a[:, :, None, None] + b[:, None, :, None] + c[:, None, None, :]
        return features.reshape(len(x), -1), joint.reshape(len(x), -1)

    def between(x: Tensor) -> Tensor:
        assert one.between is not None
        return one.between(x.reshape(-1, 1, 28, 28)).view(len(x), -1)

    rule = f"each channel by itself: {one.preprocessing}"
    return Extractor("stacked-mnist-cnn", identity(one.sha256, rule), rule, extract, one.weights, between)
