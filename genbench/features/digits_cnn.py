"""A small convolutional classifier of the 8x8 digits, trained here: 64 features and 10 class logits.

It stands to the digits as InceptionV3 stands to photographs: distances between its features see
strokes and classes where distances between pixels see grey values. Metrics computed in it are
named for it (`fd[digits-cnn]`), and compare with no other extractor's.

It normalises nothing over a batch, so the features of an image do not depend on its batch mates.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench import checkpoint
from genbench.errors import GenbenchError
from genbench.features import Extractor, Features
from genbench.sampling import to_tensor
from genbench.space import Space
from genbench.train import Preset

if TYPE_CHECKING:
    from genbench.datasets import Dataset

SPACE = Space((1, 8, 8), levels=17)
WEIGHTS = Path(__file__).with_suffix(".safetensors")
CLASSES, FEATURES = 10, 64


class DigitsCNN(nn.Module):
    """Four convolutions, two poolings, one hidden layer. SiLU throughout: no feature can die and stay constant.

    Arguments:
        dropout: on the features, while training.
        distortion: size of the random affine maps that augment the training images: the standard
            deviation of every matrix entry, and of the shift in units of four pixels.
    """

    def __init__(self, dropout: float, distortion: float) -> None:
        super().__init__()
        self.space = SPACE
        self.distortion = distortion
        self.body = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.SiLU(),
            nn.Conv2d(32, 32, 3, padding=1), nn.SiLU(),
            nn.AvgPool2d(2),  # [B, 32, 4, 4]
            nn.Conv2d(32, 64, 3, padding=1), nn.SiLU(),
            nn.Conv2d(64, 64, 3, padding=1), nn.SiLU(),
            nn.AvgPool2d(2),  # [B, 64, 2, 2]
            nn.Flatten(), nn.Linear(256, FEATURES), nn.SiLU(),
        )  # fmt: skip
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(FEATURES, CLASSES)

    def features(self, images: Tensor) -> Tensor:
        """Images on [0, 1] `[B, 1, 8, 8]` -> the input of the last layer `[B, 64]`."""
        return self.body(images)

    def distorted(self, images: Tensor, generator: Generator) -> Tensor:
        """Each image under its own affine map near the identity, bilinear, on a background of 0."""
        identity = torch.eye(2, 3, device=images.device)
        noise = torch.randn(len(images), 2, 3, generator=generator, device=images.device)
        grid = F.affine_grid(identity + self.distortion * noise, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)

    def loss(self, x: Tensor, generator: Generator, labels: Tensor) -> Tensor:
        """Cross-entropy in nats; of distorted images while training."""
        images = scaled(x)
        if self.training:
            images = self.distorted(images, generator)
        return F.cross_entropy(self.head(self.dropout(self.features(images))), labels)

    @torch.no_grad()
    def report(self, dataset: Dataset) -> dict[str, float]:
        """Share of the test images that are classified right, for the card."""
        assert dataset.labels is not None
        predicted = self.head(self.features(scaled(to_tensor(dataset.test, SPACE, self.head.weight.device)))).argmax(1)
        return {"test_accuracy": float(np.mean(predicted.cpu().numpy() == dataset.labels["test"]))}


def scaled(x: Tensor) -> Tensor:
    """Levels 0..16 -> [0, 1]."""
    assert SPACE.levels is not None
    return x.float() / (SPACE.levels - 1)


PRESETS = {
    "digits": Preset(
        {"dropout": 0.3, "distortion": 0.12}, steps=3000, batch_size=128, lr=2e-3, weight_decay=1e-2, ema=0.99
    ),
}


def build(space: Space, dropout: float = 0.3, distortion: float = 0.12) -> DigitsCNN:
    if space != SPACE:
        raise ValueError("it sees images [1, 8, 8] of 17 levels only")
    return DigitsCNN(dropout, distortion)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    """The classifier in `weights`, by default the one that ships.

    Raises:
        GenbenchError: the space is not that of the digits, or the file holds another network.
    """
    if space != SPACE:
        raise GenbenchError(
            f"extractor 'digits-cnn' needs images {list(SPACE.shape)} of {SPACE.levels} levels, "
            f"got {list(space.shape)} of {space.levels or 'real'} {'levels' if space.levels else 'numbers'}",
            "Choose another: `genbench list extractors`.",
        )
    path = weights or WEIGHTS
    model = checkpoint.load(path, device)
    if not isinstance(model, DigitsCNN):
        raise GenbenchError(
            f"{path} holds no digits-cnn but a {type(model).__name__}", "Give the weights of the extractor."
        )

    @torch.no_grad()
    def extract(x: np.ndarray) -> Features:
        features = model.features(scaled(to_tensor(x, SPACE, device)))
        return features.cpu().numpy(), model.head(features).cpu().numpy()

    preprocessing = "8x8, no resize; levels 0..16 divided by 16"
    return Extractor("digits-cnn", checkpoint.sha256_file(path), preprocessing, extract)
