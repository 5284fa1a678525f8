"""InceptionV3 behind clean-fid's resize: the 2048 features of "clean" FID.

PIL's bicubic on float32, with antialias, cut to 0..255. clean-fid's own network is a TorchScript of the same
TensorFlow weights; here it is torch-fidelity's, so values agree as far as the two conversions do.

References:
    On aliased resizing and surprising subtleties in GAN evaluation (Parmar, Zhang, Zhu, 2022).
"""

from dataclasses import replace
from pathlib import Path

from genbench.features import Extractor, inceptionv3
from genbench.features._fidelity import extractor_of
from genbench.features._pipelines import inception_of_clean_fid
from genbench.space import Space

NETWORK = replace(
    inceptionv3.NETWORK,
    name="inceptionv3-clean",
    outputs=("2048",),
    resize="PIL bicubic with antialias to 299x299, each channel in float32, cut to 0..255 (clean-fid 0.1.35); "
    "(x - 128) / 128",
    build=inception_of_clean_fid,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
