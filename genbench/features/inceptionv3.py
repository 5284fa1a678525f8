"""InceptionV3 of torch-fidelity, trained on ImageNet: 2048 features and 1008 class logits (FID, IS and KID are its).

The weights are TensorFlow's of 2015, converted by torch-fidelity. The logits are without bias
("logits_unbiased"), as in the first code of the inception score.

References:
    Rethinking the inception architecture for computer vision (Szegedy et al., 2016).
    High-fidelity performance metrics for generative models in PyTorch (Obukhov et al., 2020).
"""

from pathlib import Path

from genbench.features import Extractor
from genbench.features._fidelity import Network, extractor_of, whole
from genbench.features._weights import Weights
from genbench.space import Space

FILE = "weights-inception-2015-12-05-6726825d.pth"
NETWORK = Network(
    name="inceptionv3",
    registered="inception-v3-compat",
    outputs=("2048", "logits_unbiased"),
    resize="bilinear to 299x299 as in TensorFlow 1 (no antialias, no half-pixel centres); (x - 128) / 128",
    weights=Weights(FILE, f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{FILE}", "6726825d"),
    shapes={"fc.weight": (1008, 2048)},
    build=whole,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
