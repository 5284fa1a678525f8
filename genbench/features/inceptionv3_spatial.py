"""InceptionV3's spatial features of ADM's evaluation, 2023 of them: fd in these is sFID.

Seven channels of the 1x1 branch of the block that TensorFlow calls mixed_6, at each of 17x17 places, in the order
height, width, channel. Resize, normalisation and weights are those of `inceptionv3`.

References:
    Generating images with sparse representations (Nash et al., 2021), section 4.
    Diffusion models beat GANs on image synthesis (Dhariwal, Nichol, 2021), evaluations/evaluator.py.
"""

from dataclasses import replace
from pathlib import Path

from genbench.features import Extractor, inceptionv3
from genbench.features._fidelity import extractor_of
from genbench.features._pipelines import spatial_inception
from genbench.space import Space

NETWORK = replace(
    inceptionv3.NETWORK,
    name="inceptionv3-spatial",
    outputs=("mixed_6/conv",),
    resize=f"{inceptionv3.NETWORK.resize}; 7 channels of mixed_6/conv after its ReLU, 17x17x7",
    build=spatial_inception,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
