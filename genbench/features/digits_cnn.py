"""A small convolutional classifier of the 8x8 digits, trained here: 64 features and 10 class logits.

It stands to the digits as InceptionV3 stands to photographs: distances between its features see
strokes and classes where distances between pixels see grey values. Metrics computed in it are
named for it (`fd[digits-cnn]`), and compare with no other extractor's.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from genbench.features import Extractor
from genbench.features._cnn import Classifier, extractor_of, refusal
from genbench.models.training import Preset
from genbench.space import Space

SPACE = Space((1, 8, 8), levels=17)
WEIGHTS = Path(__file__).with_suffix(".safetensors")
FEATURES = 64

PRESETS = {
    "digits": Preset(
        {"dropout": 0.3, "distortion": 0.12}, steps=3000, batch_size=128, lr=2e-3, weight_decay=1e-2, ema=0.99
    ),
}


def build(space: Space, dropout: float = 0.3, distortion: float = 0.12) -> Classifier:
    """Four convolutions, two poolings, one hidden layer. SiLU throughout: no feature can die and stay constant."""
    if space != SPACE:
        raise ValueError("it sees images [1, 8, 8] of 17 levels only")
    body = nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.SiLU(),
        nn.Conv2d(32, 32, 3, padding=1), nn.SiLU(),
        nn.AvgPool2d(2),  # [B, 32, 4, 4]
        nn.Conv2d(32, 64, 3, padding=1), nn.SiLU(),
        nn.Conv2d(64, 64, 3, padding=1), nn.SiLU(),
        nn.AvgPool2d(2),  # [B, 64, 2, 2]
        nn.Flatten(), nn.Linear(256, FEATURES), nn.SiLU(),
    )  # fmt: skip
    return Classifier(space, body, FEATURES, dropout, distortion)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    """The classifier in `weights`, by default the one that ships.

    Raises:
        GenbenchError: the space is not that of the digits, or the file holds another network.
    """
    if space != SPACE:
        raise refusal("digits-cnn", "[1, 8, 8] of 17 levels", space)
    return extractor_of("digits-cnn", weights or WEIGHTS, space, device)
