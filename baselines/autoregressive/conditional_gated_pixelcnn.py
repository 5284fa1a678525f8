"""Conditional Gated PixelCNN: p(x | y) with the class as a bias in every gate; p(x) is the exact marginal.

    gate(a) = tanh(a_1 + V_1^T h) sigmoid(a_2 + V_2^T h),    h the one-hot class

The bias is the same at all places: it says what is in the image, not where. Because the density is
exact for every class, so is p(x) = 1/K sum_y p(x | y), and p(y | x) by Bayes' rule: the
generator is a classifier without further training.

References:
    Conditional Image Generation with PixelCNN Decoders (van den Oord et al., 2016), section 2.3, equation 4.
"""

from functools import partial

from . import gated_pixelcnn

VERSION = 1
PRESETS = {"digits": gated_pixelcnn.PRESETS["digits"]}
build = partial(gated_pixelcnn.build, classes=10)
