"""CLIP's image tower ViT-L/14 at 336x336 as CMMD's authors use it: 768 features of length 1.

The middle square, PIL's bicubic on bytes, CLIP's mean and standard deviation; the embedding is divided by its length.

References:
    Rethinking FID: towards a better evaluation metric for image generation (Jayasumana et al., 2024).
    Learning transferable visual models from natural language supervision (Radford et al., 2021).
"""

from dataclasses import replace
from pathlib import Path

from genbench.features import Extractor, clip_vit_l_14_336px
from genbench.features._fidelity import extractor_of
from genbench.features._pipelines import clip_of_cmmd
from genbench.space import Space

NETWORK = replace(
    clip_vit_l_14_336px.NETWORK,
    name="clip-vit-l-14-336px-cmmd",
    resize="the middle square, PIL bicubic with antialias to 336x336 on bytes (CMMD's reference); CLIP's mean and sd; "
    "embeddings of length 1",
    build=clip_of_cmmd,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
