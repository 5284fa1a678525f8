"""Conditional Gated PixelCNN: p(x given y) with the class as a bias in every gate; p(x) is the exact marginal.

    gate(a) = tanh(a_1 + V_1^T h) sigmoid(a_2 + V_2^T h),    h the one-hot class

The bias is the same at all places: it says what is in the image, not where. Because the density is
exact for every class, so is p(x) = 1/K sum_y p(x given y), and p(y given x) by Bayes' rule: the
generator is a classifier without further training.

References:
    Conditional Image Generation with PixelCNN Decoders (van den Oord et al., 2016), section 2.3, equation 4.
"""

from genbench.models.training import Preset
from genbench.space import Space

from .gated_pixelcnn import GatedPixelCNN

PRESETS = {
    "digits": Preset(
        {"width": 24, "depth": 6, "dropout": 0.4, "one_hot": True},
        steps=1500,
        batch_size=64,
        lr=3e-3,
        weight_decay=0.2,
        clip=50.0,
        ema=0.995,
        validate_every=100,
    ),
}


def build(
    space: Space,
    width: int = 32,
    depth: int = 6,
    first: int = 7,
    kernel: int = 3,
    dropout: float = 0.0,
    one_hot: bool = False,
    classes: int = 10,
) -> GatedPixelCNN:
    return GatedPixelCNN(space, width, depth, first, kernel, dropout, one_hot, classes)
