"""CLIP's image tower ViT-B/32 as torch-fidelity has it: 512 features.

The whole image is resized, bilinear; CLIP's own code resizes bicubic and crops the middle.

References:
    Learning transferable visual models from natural language supervision (Radford et al., 2021).
"""

from pathlib import Path

from genbench.features import Extractor
from genbench.features._fidelity import Network, clip, extractor_of
from genbench.features._weights import Weights
from genbench.space import Space

SHA256 = "40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af"
NETWORK = Network(
    name="clip-vit-b-32",
    registered="clip-vit-b-32",
    outputs=("clip",),
    resize="bilinear to 224x224 as in TensorFlow 1 (no antialias, no half-pixel centres); CLIP's mean and sd",
    weights=Weights(
        f"clip-vit-b-32-{SHA256}.pt", f"https://openaipublic.azureedge.net/clip/models/{SHA256}/ViT-B-32.pt", SHA256
    ),
    shapes={"visual.conv1.weight": (768, 3, 32, 32), "visual.proj": (768, 512)},
    build=clip,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
