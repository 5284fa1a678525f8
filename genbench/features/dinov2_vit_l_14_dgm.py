"""DINOv2 ViT-L/14 as dgm-eval sees images: the 1024 features of published FD-DINOv2.

PIL's bicubic on bytes, to 224x224 whatever the shape, then ImageNet's mean and standard deviation.

References:
    Exposing flaws of generative model evaluation metrics and their unfair treatment of diffusion models
    (Stein et al., 2023).
    DINOv2: learning robust visual features without supervision (Oquab et al., 2023).
"""

from dataclasses import replace
from pathlib import Path

from genbench.features import Extractor, dinov2_vit_l_14
from genbench.features._fidelity import extractor_of
from genbench.features._pipelines import dinov2_of_dgm_eval
from genbench.space import Space

NETWORK = replace(
    dinov2_vit_l_14.NETWORK,
    name="dinov2-vit-l-14-dgm",
    resize="PIL bicubic with antialias to 224x224 on bytes (dgm-eval); ImageNet's mean and sd",
    build=dinov2_of_dgm_eval,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
