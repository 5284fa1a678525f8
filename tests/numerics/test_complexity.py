"""Code lengths: probabilities that sum to one, counts by hand, PNG's filters, and what compressors agree on."""

import itertools
import zlib

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import spearmanr

from genbench import datasets
from genbench.numerics.complexity import code_lengths, residuals


def test_the_probabilities_of_all_images_sum_to_one():
    every = np.array(list(itertools.product(range(3), repeat=6))).reshape(-1, 1, 2, 3)
    assert float(logsumexp(-code_lengths(every, 3))) == pytest.approx(0, abs=1e-10)


def test_each_filter_is_one_to_one():
    every = np.array(list(itertools.product(range(3), repeat=6))).reshape(-1, 1, 2, 3)
    for r in residuals(every, 3):
        assert len(np.unique(r.reshape(len(r), -1), axis=0)) == len(every)


def test_an_image_by_hand():
    """A pixel of L levels: every filter leaves it as it is, P = 1/L. Two equal ones: residuals (v, v) or (v, 0)."""
    assert code_lengths(np.full((1, 1, 1, 1), 2), 4)[0] == pytest.approx(np.log(4))
    same, other = 1 / 4 * (1.5 / 3), 1 / 4 * (0.5 / 3)  # the second is coded by 1 + 1/2 or 1/2 of 1 + 4/2
    # v = 3: none (3, 3); left and Paeth (3, 0); above (3, 3); mean of left and above, 1, leaves (3, 2)
    expected = (2 * same + 3 * other) / 5
    assert code_lengths(np.full((1, 1, 1, 2), 3), 4)[0] == pytest.approx(-np.log(expected))


def test_the_filters_are_png_s():
    """Pixel by pixel, by the text of the specification."""
    x = np.random.default_rng(0).integers(17, size=(1, 1, 4, 5))
    found = residuals(x, 17)[:, 0, 0]
    for i, j in itertools.product(range(4), range(5)):
        a = int(x[0, 0, i, j - 1]) if j else 0
        b = int(x[0, 0, i - 1, j]) if i else 0
        c = int(x[0, 0, i - 1, j - 1]) if i and j else 0
        p = a + b - c
        pa, pb, pc = abs(p - a), abs(p - b), abs(p - c)
        paeth = a if pa <= pb and pa <= pc else b if pb <= pc else c
        for r, predicted in zip(found, (0, a, b, (a + b) // 2, paeth), strict=True):
            assert r[i, j] == (x[0, 0, i, j] - predicted) % 17


def test_simple_images_are_short_and_the_order_is_that_of_deflate():
    data = datasets.load("patches")
    x = data.test[:300]
    noise = np.random.default_rng(0).integers(256, size=x.shape)
    flat = np.full_like(x, 100)
    lengths = [code_lengths(images, 256) for images in (flat, x, noise)]
    assert lengths[0].max() < lengths[1].min()
    assert lengths[1].mean() < lengths[2].mean()
    of_filters = residuals(x.astype(np.int64), 256).astype(np.uint8)
    deflate = [min(len(zlib.compress(one.tobytes(), 9)) for one in of_filters[:, i]) for i in range(len(x))]
    assert spearmanr(lengths[1], deflate).statistic > 0.9


def test_noise_costs_about_its_entropy():
    x = np.random.default_rng(1).integers(2, size=(4, 1, 50, 50))
    assert code_lengths(x, 2) / (2500 * np.log(2)) == pytest.approx(np.ones(4), abs=0.01)
