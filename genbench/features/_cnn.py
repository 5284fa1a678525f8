"""A small convolutional classifier, and the extractor made of it: what digits-cnn, mnist-cnn and fsdd-cnn share.

    levels -> [0, 1] -> body -> features [B, d] -> head -> class logits [B, classes]

It normalises nothing over a batch, so the features of an image do not depend on its batch mates.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from genbench.errors import GenbenchError
from genbench.features import Extractor, Features
from genbench.features._precision import float32
from genbench.files import sha256_file
from genbench.models import checkpoint
from genbench.models.sampling import to_tensor
from genbench.space import Space

if TYPE_CHECKING:
    from genbench.datasets import Dataset

CLASSES = 10


class Classifier(nn.Module):
    """Features from a body, logits from one linear layer on them.

    Arguments:
        space: of the images it is trained on, one channel of integer levels.
        body: images on [0, 1] `[B, 1, H, W]` -> features `[B, features]`.
        dropout: on the features, while training.
        distortion: size of the random affine maps that augment the training images: the standard
            deviation of every matrix entry, and of the shift in units of half the image.
    """

    def __init__(
        self,
        space: Space,
        body: nn.Sequential,
        features: int,
        dropout: float,
        distortion: float,
        classes: int = CLASSES,
    ) -> None:
        super().__init__()
        self.space = space
        self.distortion = distortion
        self.body = body
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(features, classes)

    def features(self, images: Tensor) -> Tensor:
        """Images on [0, 1] `[B, 1, H, W]` -> the input of the last layer `[B, d]`."""
        return self.body(images)

    def distorted(self, images: Tensor, generator: Generator) -> Tensor:
        """Each image under its own affine map near the identity, bilinear, on a background of 0."""
        identity = torch.eye(2, 3, device=images.device)
        noise = torch.randn(len(images), 2, 3, generator=generator, device=images.device)
        grid = F.affine_grid(identity + self.distortion * noise, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)

    def loss(self, x: Tensor, generator: Generator, labels: Tensor) -> Tensor:
        """Cross-entropy in nats; of distorted images while training."""
        images = scaled(x, self.space)
        if self.training:
            images = self.distorted(images, generator)
        return F.cross_entropy(self.head(self.dropout(self.features(images))), labels)

    @torch.no_grad()
    def report(self, dataset: Dataset) -> dict[str, float]:
        """Share of the test images that are classified right, for the card."""
        labels = dataset.labels_of("test")
        right = 0
        for i in range(0, len(labels), 500):
            images = scaled(to_tensor(dataset.test[i : i + 500], self.space, self.head.weight.device), self.space)
            predicted = self.head(self.features(images)).argmax(1).cpu().numpy()
            right += int((predicted == labels[i : i + 500]).sum())
        return {"test_accuracy": right / len(labels)}


def scaled(x: Tensor, space: Space) -> Tensor:
    """Levels 0..L-1 -> [0, 1]."""
    assert space.levels is not None
    return x.float() / (space.levels - 1)


def extractor_of(name: str, path: Path, space: Space, device: str) -> Extractor:
    """The classifier in `path` as an extractor of images of `space`, whose levels are scaled to [0, 1].

    Raises:
        GenbenchError: the file holds another network.
    """
    card = checkpoint.read_card(path)
    if card.baseline != name:
        raise GenbenchError(f"{path} holds no {name} but a {card.baseline}", "Give the weights of the extractor.")
    model = checkpoint.load(path, device)
    assert isinstance(model, Classifier)
    assert space.levels is not None

    @torch.no_grad()
    def extract(x: np.ndarray) -> Features:
        with float32():
            features = model.features(scaled(to_tensor(x, space, device), space))
            return features.cpu().numpy(), model.head(features).cpu().numpy()

    @torch.no_grad()
    def between(x: Tensor) -> Tensor:
        return copy.deepcopy(model).double().features(x / top)

    height, width = space.shape[1:]
    top = space.levels - 1
    rule = f"{height}x{width}, no resize; levels 0..{top} divided by {top}"
    sha256 = sha256_file(path)
    return Extractor(name, sha256, rule, extract, sha256, between)


def refusal(name: str, needs: str, space: Space) -> GenbenchError:
    """That a space does not fit, in the words of both."""
    values = f"{space.levels} levels" if space.levels else "real numbers"
    return GenbenchError(
        f"extractor '{name}' needs images {needs}, got {list(space.shape)} of {values}",
        "Choose another: `genbench list extractors`.",
    )
