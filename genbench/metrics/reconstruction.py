"""Reconstruction: how near an autoencoder's images are to the test images that it was given.

With x and y on [0, 1] (levels over L - 1), for every image of D values,

    MSE = |x - y|^2 / D,    PSNR = -10 log10 MSE,
    SSIM = mean over places of (2 m_x m_y + C1)(2 c_xy + C2) / ((m_x^2 + m_y^2 + C1)(v_x + v_y + C2)),

and then the mean over images. m, v and c are means, variances and the covariance under a Gaussian window of 11 x 11
pixels and sd 1.5, C1 = 0.01^2, C2 = 0.03^2, at all places where the window lies inside the image, channel by channel
(torchmetrics 1.9.0 goes on over the borders, where it mirrors the image). On images smaller than the window it
shrinks to the largest odd size that fits (7 x 7 for the 8 x 8 digits), with the same sd; such values compare only at
one size.
The reconstructions are taken as they come, real numbers: neither rounded nor cut. One without an error has a PSNR of
infinity, and so the mean has.

Each interval covers fresh test images, given the model.

References:
    Image quality assessment: from error visibility to structural similarity (Wang, Bovik, Sheikh, Simoncelli, 2004),
    equation 13.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from genbench.errors import Unavailable
from genbench.metrics import Measure
from genbench.metrics._batches import mean_of_examples
from genbench.metrics._inputs import enough, finite
from genbench.space import Space

VERSION = 2
NEEDS = ("reconstructions", "test", "space", "test_sequence")
OUTPUTS = {
    "mse": {
        "unit": "squared share of the range",
        "direction": "lower",
        "range": (0, None),
        "title": "reconstruction error",
        "misses": "rewards the mean of what is possible, which is blurred; says nothing of samples",
        "group": "representation",
        "place": 410,
    },
    "psnr": {
        "unit": "dB",
        "direction": "higher",
        "range": (None, None),
        "title": "PSNR of reconstructions",
        "misses": "rewards the mean of what is possible, which is blurred; says nothing of samples",
        "group": "representation",
        "place": 420,
    },
    "ssim": {
        "unit": "similarity",
        "direction": "higher",
        "range": (-1, 1),
        "title": "SSIM of reconstructions",
        "misses": "compares small windows; says nothing of samples",
        "group": "representation",
        "place": 430,
    },
}
REFERENCE = "Wang et al., 2004"

WINDOW, SD = 11, 1.5
C1, C2 = 0.01**2, 0.03**2
BLOCK = 2**22  # values at once


def compute(
    reconstructions: np.ndarray, test: np.ndarray, space: Space, test_sequence: np.ndarray | None
) -> dict[str, Measure]:
    if not space.is_image or space.levels is None:
        raise Unavailable("reconstructions are compared as images of whole levels, whose range is known")
    enough(len(test), "test", 1)
    for what, x in (("reconstructions", reconstructions), ("test", test)):
        if x.shape != (len(test), *space.shape) or x.dtype.kind not in "fiu":
            raise ValueError(f"{what}: expected numbers {[len(test), *space.shape]}, got {x.dtype} {list(x.shape)}")
    finite(reconstructions, "reconstructions")
    step = max(1, BLOCK // space.dim)
    parts = []
    for i in range(0, len(test), step):
        given, back = (
            torch.from_numpy(a[i : i + step].astype(np.float64)) / (space.levels - 1) for a in (test, reconstructions)
        )
        parts.append(((back - given).square().flatten(1).mean(1), ssim(back, given)))
    mse, similarity = (torch.cat(part).numpy() for part in zip(*parts, strict=True))
    similarity = similarity.clip(-1, 1)  # rounding can take it outside
    with np.errstate(divide="ignore"):
        psnr = -10 * np.log10(mse)
    n = {"n": len(test)}
    side = window_of(*space.shape[1:])
    of_mean = float(-10 * np.log10(mse.mean())) if mse.any() else None
    return {
        "mse": mean_of_examples(mse, test_sequence, least=0.0, details=dict(n)),
        "psnr": mean_of_examples(psnr, test_sequence, details={**n, "of_mean_mse": of_mean}),
        "ssim": mean_of_examples(similarity, test_sequence, least=-1.0, most=1.0, details={**n, "window": side}),
    }


def window_of(height: int, width: int) -> int:
    """The side of the window: 11, or the largest odd number that fits."""
    fits = min(WINDOW, height, width)
    return fits - 1 + fits % 2


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Equation 13 averaged over places and channels: images on [0, 1] `[n, C, H, W]`, twice -> `[n]`."""
    side = window_of(*x.shape[2:])
    at = torch.arange(side, dtype=x.dtype) - (side - 1) / 2
    w = (-0.5 * (at / SD).square()).exp()
    w = w / w.sum()

    def local(z: Tensor) -> Tensor:
        """The window's mean at every place: `[n, C, H - side + 1, W - side + 1]`."""
        flat = z.flatten(0, 1)[:, None]
        return F.conv2d(F.conv2d(flat, w[None, None, :, None]), w[None, None, None]).unflatten(0, z.shape[:2])

    mx, my = local(x), local(y)
    vx, vy, cxy = local(x * x) - mx * mx, local(y * y) - my * my, local(x * y) - mx * my
    values = (2 * mx * my + C1) * (2 * cxy + C2) / ((mx * mx + my * my + C1) * (vx + vy + C2))
    return values.flatten(1).mean(1)
