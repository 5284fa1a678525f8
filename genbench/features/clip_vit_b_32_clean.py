"""CLIP's image tower ViT-B/32 behind clean-fid's preprocessing: 512 features, fd in which is CLIP-FID.

PIL's bicubic on bytes brings the shorter side to 224, the middle square is kept, then CLIP's mean and standard
deviation: CLIP's own transform. clean-fid runs the network in half precision on a GPU; here it is float32.

References:
    The role of ImageNet classes in Fréchet inception distance (Kynkäänniemi et al., 2023).
    On aliased resizing and surprising subtleties in GAN evaluation (Parmar, Zhang, Zhu, 2022).
"""

from dataclasses import replace
from pathlib import Path

from genbench.features import Extractor, clip_vit_b_32
from genbench.features._fidelity import extractor_of
from genbench.features._pipelines import clip_of_clean_fid
from genbench.space import Space

NETWORK = replace(
    clip_vit_b_32.NETWORK,
    name="clip-vit-b-32-clean",
    resize="PIL bicubic with antialias on bytes, the shorter side to 224, the middle square (CLIP's own transform); "
    "CLIP's mean and sd",
    build=clip_of_clean_fid,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
