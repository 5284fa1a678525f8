"""InceptionV3 behind pytorch-fid's resize: the 2048 features of FID as pytorch-fid computes it.

torch's bilinear interpolation to 299x299, with pixels centred at halves and without antialias, where TensorFlow 1 and
torch-fidelity put them at whole numbers; then 2 x - 1. The weights are those of `inceptionv3`, of one file's checksum.

References:
    GANs trained by a two time-scale update rule converge to a local Nash equilibrium (Heusel et al., 2017).
    pytorch-fid: FID score for PyTorch (Seitzer, 2020).
"""

from dataclasses import replace
from pathlib import Path

from genbench.features import Extractor, inceptionv3
from genbench.features._fidelity import extractor_of
from genbench.features._pipelines import inception_of_pytorch_fid
from genbench.space import Space

NETWORK = replace(
    inceptionv3.NETWORK,
    name="inceptionv3-pytorch-fid",
    outputs=("2048",),
    resize="bilinear to 299x299 as in torch (no antialias, half-pixel centres); 2 x - 1 of x on [0, 1] (pytorch-fid)",
    build=inception_of_pytorch_fid,
)


def extractor(space: Space, weights: Path | None = None, device: str = "cpu") -> Extractor:
    return extractor_of(NETWORK, space, weights, device)
