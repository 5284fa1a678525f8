"""Which method a model gets, at the edges between them; what each says; and that blocks change nothing."""

import numpy as np
import pytest
import torch

from genbench.blocks import ROWS, VALUES, in_blocks, rows_of
from genbench.errors import Unavailable
from genbench.likelihood import log_likelihood
from genbench.likelihood.enumerated import LARGEST, can_enumerate
from genbench.likelihood.iwae import iwae
from genbench.space import Space
from oracles import LinearGaussian


class Latent:
    def __init__(self, *space):
        self.latent_space = Space(*space)


@pytest.mark.parametrize(
    ("space", "few"),
    [
        (((12,), 2), True),  # exactly 4,096
        (((13,), 2), False),
        (((1,), 4096), True),
        (((1,), 4097), False),
        (((2, 3), 4), True),  # also exactly 4,096
        (((1,), None), False),
    ],
)
def test_codes_are_summed_over_up_to_4096_and_not_beyond(space, few):
    assert LARGEST == 4096
    assert can_enumerate(Latent(*space)) is few
    assert not can_enumerate(object())


class Weighted:
    """Weights of which the first `low` of the examples have one effective sample, the others all k."""

    space = Space((1,))

    def __init__(self, low):
        self.low = low

    def log_weights(self, x, k, generator):
        w = torch.zeros(k, len(x))
        w[0, x[:, 0] < self.low] = 100.0
        return w


@pytest.mark.parametrize(("low", "warned"), [(5, False), (6, True), (100, True), (0, False)])
def test_low_effective_sample_sizes_of_more_than_one_in_twenty_are_a_warning(low, warned):
    x = np.arange(100, dtype=np.float32)[:, None]
    found = iwae(Weighted(low), x, 20, seed=0, block_size=50)
    expected = (f"effective sample size below 10 for {low}% of the examples: the bound is loose",)
    assert found.warnings == (expected if warned else ())
    np.testing.assert_allclose(found.ess[: low or 1], 1.0 if low else 20.0, rtol=1e-6)


@pytest.mark.parametrize("k", [9, 10])
def test_ten_effective_samples_are_enough_and_nine_are_not(k):
    x = np.arange(30, dtype=np.float32)[:, None]
    assert bool(iwae(Weighted(0), x, k, seed=0, block_size=30).warnings) is (k < 10)


def test_the_curve_holds_the_sizes_up_to_k():
    x = np.zeros((3, 1), np.float32)
    for k, sizes in ((1, [1]), (4, [1]), (5, [1, 5]), (50, [1, 5, 50]), (51, [1, 5, 50])):
        found = iwae(LinearGaussian("prior"), x, k, seed=0, block_size=2)
        assert found.curve_k.tolist() == sizes
        assert found.curve.shape == (3, len(sizes))
        assert (found.jackknife is None) == (k == 1)
        if k in sizes:
            np.testing.assert_allclose(found.curve[:, -1], found.values, rtol=1e-12)


def test_a_model_without_likelihoods_says_what_it_has():
    class Sampler:
        space = Space((1,))

        def sample(self, n, generator): ...

    with pytest.raises(Unavailable, match="needs log_prob, log_weights or elbo; the model provides: sample"):
        log_likelihood(Sampler(), np.zeros((1, 1), np.float32), 1, 0, 1)
    with pytest.raises(Unavailable, match="the model provides: fixed samples"):
        log_likelihood(object(), np.zeros((1, 1), np.float32), 1, 0, 1)


def test_a_block_holds_fewer_rows_the_larger_they_are():
    assert [rows_of(shape) for shape in ((1,), (VALUES // ROWS,), (VALUES // 10, 1), (VALUES,), (VALUES + 1,))] == [
        ROWS,
        ROWS,
        10,
        1,
        1,
    ]
    assert rows_of((4,), 7) == 7


# --- Blocks


def test_blocks_cover_all_rows_once_and_in_order():
    seen, done = [], []

    def make(number, rows):
        seen.append((number, rows.start, rows.stop))
        return {"x": np.arange(rows.start, rows.stop)}

    found = in_blocks(7, 3, make, progress=done.append)
    assert seen == [(0, 0, 3), (1, 3, 6), (2, 6, 7)]
    assert found["x"].tolist() == list(range(7))
    assert done == [3, 6, 7]
    assert in_blocks(3, 3, make)["x"].tolist() == [0, 1, 2]


def test_kept_blocks_are_not_made_again():
    kept, made = {}, []

    def keep(number, make):
        if number not in kept:
            kept[number] = make()
        return kept[number]

    def make(number, rows):
        made.append(number)
        if made == [0, 1]:
            raise KeyboardInterrupt
        return {"x": np.arange(rows.start, rows.stop)}

    with pytest.raises(KeyboardInterrupt):
        in_blocks(9, 3, make, keep)
    assert in_blocks(9, 3, make, keep)["x"].tolist() == list(range(9))
    assert made == [0, 1, 1, 2]


def test_no_rows_and_blocks_that_do_not_fit_together_are_refused():
    with pytest.raises(ValueError, match="no rows"):
        in_blocks(0, 3, lambda number, rows: {})
    with pytest.raises(ValueError, match="differ in what they hold"):
        in_blocks(2, 1, lambda number, rows: {"a" if number else "b": np.zeros(1)})


@pytest.mark.parametrize("n", [ROWS - 1, ROWS, ROWS + 1])
def test_exact_likelihoods_cover_every_example_at_the_edge_of_a_block(n):
    class Identity:
        space = Space((1,))

        def log_prob(self, x):
            return x[:, 0]

    x = np.arange(n, dtype=np.float32)[:, None]
    found = log_likelihood(Identity(), x, 1, 0, 10)
    assert found.kind == "exact"
    np.testing.assert_array_equal(found.values, x[:, 0])
