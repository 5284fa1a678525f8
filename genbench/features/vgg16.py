"""VGG16 of torchvision, trained on ImageNet: the 4096 features of its second hidden layer, after the ReLU.

References:
    Very deep convolutional networks for large-scale image recognition (Simonyan, Zisserman, 2015).
"""

from pathlib import Path

from genbench.features import Extractor
from genbench.features._fidelity import Network, extractor_of, whole
from genbench.features._weights import Weights
from genbench.space import Space

FILE = "vgg16-397923af.pth"
NETWORK = Network(
    name="vgg16",
    registered="vgg16",
    outputs=("fc2_relu",),
    resize="bilinear to 224x224 as in TensorFlow 1 (no antialias, no half-pixel centres); ImageNet's mean and sd",
    weights=Weights(FILE, f"https://download.pytorch.org/models/{FILE}", "397923af"),
    shapes={"features.0.weight": (64, 3, 3, 3), "classifier.3.weight": (4096, 4096)},
    build=whole,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
