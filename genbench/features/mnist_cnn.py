"""A small convolutional classifier of MNIST's 28x28 digits, trained here: 64 features and 10 class logits.

It is to MNIST what digits-cnn is to the 8x8 digits. It was trained on 256 grey levels and takes any
number of them, scaled to [0, 1]: binary images are images of 0 and 1 to it. Of the test images it
classifies 99.5 % right, and of binarised ones 98.6 % (tests/test_extractors.py).
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from genbench.features import Extractor
from genbench.features._cnn import Classifier, extractor_of, refusal
from genbench.models.training import Preset
from genbench.space import Space

SPACE = Space((1, 28, 28), levels=256)
WEIGHTS = Path(__file__).with_suffix(".safetensors")
FEATURES = 64

PRESETS = {
    "mnist": Preset(
        {"dropout": 0.3, "distortion": 0.1}, steps=8000, batch_size=128, lr=2e-3, weight_decay=1e-2, ema=0.99
    ),
}


def build(space: Space, dropout: float = 0.3, distortion: float = 0.1) -> Classifier:
    """Five convolutions down to 3x3, one hidden layer. SiLU throughout: no feature can die and stay constant."""
    if space != SPACE:
        raise ValueError("it is trained on images [1, 28, 28] of 256 levels only")
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.SiLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.SiLU(),  # [B, 32, 14, 14]
        nn.Conv2d(32, 32, 3, padding=1), nn.SiLU(),
        nn.AvgPool2d(2),  # [B, 32, 7, 7]
        nn.Conv2d(32, 64, 3, padding=1), nn.SiLU(),
        nn.AdaptiveAvgPool2d(3),  # [B, 64, 3, 3]: windows of 3 that share a row, so that no edge is left out
        nn.Flatten(), nn.Linear(576, FEATURES), nn.SiLU(),
    )  # fmt: skip
    return Classifier(space, body, FEATURES, dropout, distortion)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    """The classifier in `weights`, by default the one that ships.

    Raises:
        GenbenchError: the space is not that of 28x28 images with levels, or the file holds another network.
    """
    if space.shape != SPACE.shape or space.levels is None:
        raise refusal("mnist-cnn", "[1, 28, 28] of whole levels", space)
    return extractor_of("mnist-cnn", weights or WEIGHTS, space, device)
