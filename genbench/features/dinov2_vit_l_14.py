"""DINOv2 ViT-L/14, trained without labels: the 1024 features of its class token.

The size that published FD-DINOv2 values use; resized and normalised as torch-fidelity does.

References:
    DINOv2: learning robust visual features without supervision (Oquab et al., 2023).
"""

from pathlib import Path

from genbench.features import Extractor
from genbench.features._fidelity import Network, dinov2, extractor_of
from genbench.features._weights import Weights
from genbench.space import Space

SHA256 = "d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428"
NETWORK = Network(
    name="dinov2-vit-l-14",
    registered="dinov2-vit-l-14",
    outputs=("dinov2",),
    resize="bilinear to 224x224 as in TensorFlow 1 (no antialias, no half-pixel centres); ImageNet's mean and sd",
    weights=Weights(
        "dinov2_vitl14_pretrain.pth",
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
        SHA256,
    ),
    shapes={"patch_embed.proj.weight": (1024, 3, 14, 14), "pos_embed": (1, 1370, 1024)},
    build=dinov2,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
