"""CLIP's image tower ViT-L/14 at 336x336 as torch-fidelity has it: 768 features.

The features that CMMD was published with, except for the resize: the whole image, bilinear, where
CLIP's own code resizes bicubic and crops the middle.

References:
    Learning transferable visual models from natural language supervision (Radford et al., 2021).
"""

from pathlib import Path

from genbench.features import Extractor
from genbench.features._fidelity import Network, clip, extractor_of
from genbench.features._weights import Weights
from genbench.space import Space

SHA256 = "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"
NETWORK = Network(
    name="clip-vit-l-14-336px",
    registered="clip-vit-l-14-336px",
    outputs=("clip",),
    resize="bilinear to 336x336 as in TensorFlow 1 (no antialias, no half-pixel centres); CLIP's mean and sd",
    weights=Weights(
        f"clip-vit-l-14-336px-{SHA256}.pt",
        f"https://openaipublic.azureedge.net/clip/models/{SHA256}/ViT-L-14-336px.pt",
        SHA256,
    ),
    shapes={"visual.conv1.weight": (1024, 3, 14, 14), "visual.proj": (1024, 768)},
    build=clip,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
