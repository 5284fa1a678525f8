"""DINOv2 ViT-B/14, trained without labels: the 768 features of its class token.

Resized and normalised as torch-fidelity does.

References:
    DINOv2: learning robust visual features without supervision (Oquab et al., 2023).
"""

from pathlib import Path

from genbench.features import Extractor
from genbench.features._fidelity import Network, dinov2, extractor_of
from genbench.features._weights import Weights
from genbench.space import Space

SHA256 = "0b8b82f85de91b424aded121c7e1dcc2b7bc6d0adeea651bf73a13307fad8c73"
NETWORK = Network(
    name="dinov2-vit-b-14",
    registered="dinov2-vit-b-14",
    outputs=("dinov2",),
    resize="bilinear to 224x224 as in TensorFlow 1 (no antialias, no half-pixel centres); ImageNet's mean and sd",
    weights=Weights(
        "dinov2_vitb14_pretrain.pth",
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
        SHA256,
    ),
    shapes={"patch_embed.proj.weight": (768, 3, 14, 14), "pos_embed": (1, 1370, 768)},
    build=dinov2,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
