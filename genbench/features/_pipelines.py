"""The whole way from bytes to features as papers went it, where torch-fidelity's resize is another.

    uint8 [3, H, W] -> crop and resize by PIL -> numbers as the network takes them [3, s, s] -> features

PIL's bicubic (Catmull-Rom, a = -1/2) widens its kernel where an image shrinks, which is called antialiasing, and gives
the same on every machine. Of bytes it gives bytes, rounded after each of its two passes; of float32, one channel at a
time, numbers that may overshoot.

References:
    On aliased resizing and surprising subtleties in GAN evaluation (Parmar, Zhang, Zhu, 2022): clean-fid.
    Exposing flaws of generative model evaluation metrics (Stein et al., 2023): dgm-eval.
    Rethinking FID: towards a better evaluation metric for image generation (Jayasumana et al., 2024): CMMD.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

if TYPE_CHECKING:
    from genbench.features._fidelity import Network, State

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of colours on [0, 1]
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
BICUBIC = Image.Resampling.BICUBIC
SPATIAL = 7  # channels that sFID takes: 7 of them on 17x17 are about as many features as the pooled 2048

# InceptionV3's layers in their order, as torch-fidelity calls them; in TensorFlow's graph Mixed_6d is "mixed_6".
BEFORE_6D = (
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "MaxPool_1", "Conv2d_3b_1x1", "Conv2d_4a_3x3", "MaxPool_2",
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c",
)  # fmt: skip
FROM_6D = ("Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c", "AvgPool")

Prepare = Callable[[np.ndarray], np.ndarray]  # one image, uint8 [3, H, W] -> float32 [3, s, s]


class Pipeline(nn.Module):
    """uint8 `[B, 3, H, W]` -> a tuple of features `[B, d]`.

    Arguments:
        prepare: of one image; runs on the CPU.
        features: of the network and prepared images `[B, 3, s, s]`.
    """

    def __init__(self, network: nn.Module, prepare: Prepare, features: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.network, self.prepare, self.features = network, prepare, features

    def forward(self, x: Tensor) -> tuple[Tensor]:
        ready = np.stack([self.prepare(image) for image in x.cpu().numpy()])
        return (self.features(self.network, torch.from_numpy(ready).to(x.device)),)


def resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bytes `[3, H, W]` -> bytes `[3, *size]`, bicubic by PIL."""
    height, width = size
    picture = Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1)))
    return np.moveaxis(np.asarray(picture.resize((width, height), BICUBIC)), -1, 0)


def resized_in_float(image: np.ndarray, size: int) -> np.ndarray:
    """Bytes `[3, H, W]` -> float32 `[3, size, size]` on [0, 255], bicubic by PIL without rounding, cut where it leaves.

    clean-fid 0.1.35 cuts; what it computed before it did is not told from this.
    """
    channels = [Image.fromarray(c.astype(np.float32)).resize((size, size), BICUBIC) for c in image]
    return np.stack([np.asarray(c) for c in channels]).clip(0, 255)


def square(image: np.ndarray) -> np.ndarray:
    """The middle of an image `[3, H, W]` as CMMD cuts it: a square, half a pixel up and left where it must be."""
    _, height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return image[:, top : top + side, left : left + side]


def middle(image: np.ndarray, size: int) -> np.ndarray:
    """The middle `[3, size, size]` of an image whose shorter side is `size`, as torchvision cuts it."""
    top, left = (round((side - size) / 2.0) for side in image.shape[1:])
    return image[:, top : top + size, left : left + size]


def shorter_side(image: np.ndarray, size: int) -> np.ndarray:
    """Bytes with the shorter side brought to `size`, the longer one in proportion, rounded down, as CLIP's code has."""
    _, height, width = image.shape
    short, long = min(height, width), max(height, width)
    other = int(size * long / short)
    return resized(image, (size, other) if height <= width else (other, size))


def standardised(image: np.ndarray, colours: tuple[tuple[float, ...], tuple[float, ...]]) -> np.ndarray:
    """Bytes -> (x / 255 - mean) / sd of every colour, float32."""
    mean, sd = (np.array(values, np.float32)[:, None, None] for values in colours)
    return (image.astype(np.float32) / np.float32(255) - mean) / sd


def of_dgm_eval(image: np.ndarray) -> np.ndarray:
    return standardised(resized(image, (224, 224)), IMAGENET)


def of_cmmd(image: np.ndarray) -> np.ndarray:
    return standardised(resized(square(image), (336, 336)), CLIP)


def of_clip_fid(image: np.ndarray) -> np.ndarray:
    return standardised(middle(shorter_side(image, 224), 224), CLIP)


def of_clean_fid(image: np.ndarray) -> np.ndarray:
    return (resized_in_float(image, 299) - np.float32(128)) / np.float32(128)


# --- How a network becomes a pipeline: what `Network.build` asks for


def dinov2_of_dgm_eval(fidelity: Any, network: Network, state: State) -> nn.Module:
    from genbench.features._dinov2 import from_state

    return Pipeline(from_state(state), of_dgm_eval, lambda model, x: model(x))


def clip_of_cmmd(fidelity: Any, network: Network, state: State) -> nn.Module:
    """CLIP's image tower, its embeddings brought to length 1 as the reference's model does."""
    return Pipeline(tower(state), of_cmmd, lambda model, x: nn.functional.normalize(model.visual(x), dim=-1))


def clip_of_clean_fid(fidelity: Any, network: Network, state: State) -> nn.Module:
    return Pipeline(tower(state), of_clip_fid, lambda model, x: model.visual(x))


def tower(state: State) -> nn.Module:
    from torch_fidelity.feature_extractor_clip import build_model

    return build_model(state, torch.float32)


def inception_of_clean_fid(fidelity: Any, network: Network, state: State) -> nn.Module:
    return Pipeline(inception(fidelity, network, state), of_clean_fid, lambda model, x: pooled(model, x))


def inception_of_pytorch_fid(fidelity: Any, network: Network, state: State) -> nn.Module:
    """torch's own bilinear resize of values on [0, 1], which has no antialias and pixels with half-integer centres."""

    class Resized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = inception(fidelity, network, state)

        def forward(self, x: Tensor) -> tuple[Tensor]:
            x = nn.functional.interpolate(x.float() / 255, size=(299, 299), mode="bilinear", align_corners=False)
            return (pooled(self.network, 2 * x - 1),)

    return Resized()


def spatial_inception(fidelity: Any, network: Network, state: State) -> nn.Module:
    """Of the images that torch-fidelity's own resize makes, whose last step before the layers this repeats."""
    from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x as resize

    class Spatial(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = inception(fidelity, network, state)

        def forward(self, x: Tensor) -> tuple[Tensor]:
            x = resize(x.float(), size=(299, 299), align_corners=False)
            return (spatial(self.network, (x - 128) / 128),)

    return Spatial()


def inception(fidelity: Any, network: Network, state: State) -> Any:
    """torch-fidelity's InceptionV3, of which the layers alone are used."""
    from dataclasses import replace

    from genbench.features._fidelity import whole

    return whole(fidelity, replace(network, outputs=("2048",)), state)


def pooled(model: Any, x: Tensor) -> Tensor:
    """Images `[B, 3, 299, 299]` on [-1, 1] -> features `[B, 2048]`."""
    for name in (*BEFORE_6D, *FROM_6D):
        x = getattr(model, name)(x)
    return x.flatten(1)


def spatial(model: Any, x: Tensor) -> Tensor:
    """The same -> seven channels of "mixed_6/conv" after its ReLU, `[B, 17 * 17 * 7]`, in TensorFlow's order."""
    for name in BEFORE_6D:
        x = getattr(model, name)(x)
    return model.Mixed_6d.branch1x1(x)[:, :SPATIAL].permute(0, 2, 3, 1).flatten(1)
