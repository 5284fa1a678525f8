"""A small convolutional classifier that hears who speaks and which digit, trained here: 64 features, 20 class logits.

An image is judged by the audio that it stands for: Griffin and Lim's iteration makes audio of it, and the network sees
the spectrogram of that. So an image that no sound has is judged by the sound that comes nearest, which is what one
would hear. Class 10 * speaker + digit, as in the dataset `fsdd`. The network is trained on spectrograms of recordings;
of the test recordings, sent through the same way, it hears the speaker of 100 % and the digit of 98 %.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import nn

from genbench.datasets._fsdd import SOUND
from genbench.features import Extractor, Features
from genbench.features._cnn import Classifier, extractor_of, refusal
from genbench.models.training import Preset
from genbench.numerics.speech import ITERATIONS
from genbench.space import Space

SPACE = SOUND.space
WEIGHTS = Path(__file__).with_suffix(".safetensors")
FEATURES, CLASSES = 64, 20

PRESETS = {
    "fsdd": Preset(
        {"dropout": 0.3, "distortion": 0.08}, steps=1000, batch_size=64, lr=2e-3, weight_decay=1e-2, ema=0.99
    ),
}


def build(space: Space, dropout: float = 0.3, distortion: float = 0.08) -> Classifier:
    """Four convolutions down to 5x8, one hidden layer. SiLU throughout: no feature can die and stay constant."""
    if space != SPACE:
        raise ValueError(f"it sees spectrograms {list(SPACE.shape)} of 256 levels only")
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.SiLU(), nn.AvgPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.SiLU(), nn.AvgPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1), nn.SiLU(), nn.AvgPool2d(2),  # [B, 32, 5, 8]
        nn.Conv2d(32, 32, 3, padding=1), nn.SiLU(),
        nn.Flatten(), nn.Linear(32 * 40, FEATURES), nn.SiLU(),
    )  # fmt: skip
    return Classifier(space, body, FEATURES, dropout, distortion, CLASSES)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    """The classifier in `weights`, by default the one that ships.

    Raises:
        GenbenchError: the space is not that of the spectrograms, or the file holds another network.
    """
    if space != SPACE:
        raise refusal("fsdd-cnn", f"{list(SPACE.shape)} of 256 levels", space)
    network = extractor_of("fsdd-cnn", weights or WEIGHTS, space, device)

    def extract(x: np.ndarray) -> Features:
        return network.extract(SOUND.image(SOUND.audio(x)))

    rule = f"{ITERATIONS} iterations of Griffin-Lim to {SOUND.samples} samples of audio, their spectrogram by {SOUND}"
    return replace(network, preprocessing=f"{rule}; {network.preprocessing}", extract=extract, between=None)
