"""The classifier of small digits on large images: how they are shrunk, and what it then reaches."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genbench import datasets
from genbench.datasets.mnist_to_digits import enlarged
from genbench.errors import GenbenchError
from genbench.features.digits_28_cnn import SPACE, extractor, shrunk
from genbench.space import Space


def test_a_small_pixel_is_the_mean_of_what_it_covers():
    x = np.random.default_rng(0).integers(256, size=(20, 1, 28, 28), dtype=np.uint8)
    x[0], x[1] = 0, 255
    wide = torch.from_numpy(x).double().repeat_interleave(8, 2).repeat_interleave(8, 3)  # 224 = 8 x 28
    exact = 16 / 255 * F.avg_pool2d(wide, 28).numpy()
    found = shrunk(x)
    assert found.shape == (20, 1, 8, 8)
    assert np.abs(found - exact).max() <= 0.5 + 1e-9
    assert (found[0] == 0).all()
    assert (found[1] == 16).all()


def test_enlarged_digits_are_known_again():
    digits = datasets.load("digits")
    x = enlarged(digits.test, 28, 255)
    assert np.abs(shrunk(x).astype(int) - digits.test).mean() == pytest.approx(1.12, abs=0.01)
    _, logits = extractor(SPACE)(x)
    assert (logits.argmax(1) == digits.labels["test"]).mean() >= 0.975


@pytest.mark.parametrize("space", [Space((1, 8, 8), 17), Space((1, 28, 28), 2), Space((784,))])
def test_other_spaces_are_refused(space):
    with pytest.raises(GenbenchError, match="digits-28-cnn"):
        extractor(space)
