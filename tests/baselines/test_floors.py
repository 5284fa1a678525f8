"""Floors: counts and moments by hand, and draws that are independent where the model says so."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch.utils._python_dispatch import TorchDispatchMode

from draws import assert_drawn, assert_frequencies, assert_standard_normal, every
from genbench.baselines.floors import independent_pixels, resampler
from genbench.errors import GenbenchError
from genbench.models.sampling import seeded
from genbench.space import Space


def test_categorical_is_the_rule_of_succession():
    model = independent_pixels.build(Space((2,), levels=3))
    model.fit(torch.tensor([[0, 2], [0, 2], [1, 2]]))
    expected = torch.tensor([[3, 2, 1], [1, 1, 4]]) / 6  # (counts + 1) / (3 examples + 3 levels)
    torch.testing.assert_close(model.log_p.exp(), expected)
    x = torch.tensor([[0, 2], [2, 0]])
    torch.testing.assert_close(model.log_prob(x).exp(), torch.tensor([3 * 4 / 36, 1 * 1 / 36]))


def test_categorical_sums_to_one_over_all_observations():
    model = independent_pixels.build(Space((1, 2, 2), levels=3))
    model.fit(torch.randint(3, (20, 1, 2, 2), generator=seeded("counts")))
    everything = torch.cartesian_prod(*[torch.arange(3)] * 4).view(-1, 1, 2, 2)
    assert float(model.log_prob(everything).double().exp().sum()) == pytest.approx(1, abs=1e-6)


def test_categorical_samples_have_the_scored_frequencies():
    space = Space((1, 1, 2), levels=3)
    model = independent_pixels.build(space)
    model.fit(torch.tensor([[0, 2], [0, 2], [1, 2]]).view(3, 1, 1, 2))
    assert_drawn(model.sample(20_000, seeded("samples")), model.log_prob(every(space)), space)


def test_gaussian_log_density_agrees_with_scipy():
    x = np.random.default_rng(0).normal([1.0, -3.0], [0.1, 5.0], (50, 2)).astype(np.float32)
    model = independent_pixels.build(Space((2,)))
    model.fit(torch.from_numpy(x))
    expected = stats.norm.logpdf(x, x.mean(0, dtype=float), x.std(0, dtype=float)).sum(1)
    np.testing.assert_allclose(model.log_prob(torch.from_numpy(x)).numpy(), expected, rtol=1e-5, atol=1e-5)


def test_gaussian_samples_have_the_fitted_moments():
    model = independent_pixels.build(Space((2,)))
    model.fit(torch.tensor([[0.0, 10.0], [2.0, 30.0]]))  # means 1 and 20, standard deviations 1 and 10
    x = model.sample(20_000, seeded("samples"))
    assert_standard_normal((x - torch.tensor([1.0, 20.0])) / torch.tensor([1.0, 10.0]))


def test_gaussian_refuses_a_constant_dimension():
    with pytest.raises(GenbenchError, match="1 of 2 dimensions are constant"):
        independent_pixels.build(Space((2,))).fit(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))


def test_resampler_gives_back_stored_examples_only_and_all_of_them():
    space = Space((1, 2, 2), levels=17)
    x = torch.arange(5).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    model = resampler.build(space, size=4)
    model.fit(x)
    samples = model.sample(400, seeded("samples"))  # one of four is missed with probability 4 * 0.75^400
    assert samples.dtype == torch.int64
    assert samples[:, 0, 0, 0].unique().tolist() == [0, 1, 2, 3]
    assert (samples == samples[:, :, :1, :1]).all()


@pytest.mark.parametrize(("levels", "dtype"), [(256, torch.uint8), (300, torch.int32), (None, torch.float32)])
def test_resampler_stores_values_as_data_at_rest(levels, dtype):
    assert resampler.build(Space((3,), levels=levels), size=2).examples.dtype == dtype


def test_resampler_draws_with_replacement_and_uniformly():
    model = resampler.build(Space((1,)), size=10)
    model.fit(torch.arange(10.0).view(10, 1))
    drawn = model.sample(20_000, seeded("samples")).flatten().long()
    assert_frequencies(torch.bincount(drawn, minlength=10), torch.full((10,), 0.1))
    pairs = 10 * drawn[::2] + drawn[1::2]  # one draw says nothing of the next
    assert_frequencies(torch.bincount(pairs, minlength=100), torch.full((100,), 0.01))


def test_resampler_refuses_a_training_set_that_is_too_small():
    with pytest.raises(GenbenchError, match="keeps 4 examples, and the training set has 3"):
        resampler.build(Space((1,)), size=4).fit(torch.zeros(3, 1))


class Largest(TorchDispatchMode):
    """How many numbers the largest tensor has that is made meanwhile."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        self.numbers = max(self.numbers, made.numel() if isinstance(made, torch.Tensor) else 0)
        return made


def test_nothing_larger_than_the_data_is_made_to_count_them():
    """One-hot vectors of 20,000 images of 28 x 28 with 256 levels are 32 GB."""
    x = torch.randint(256, (400, 1, 28, 28), generator=seeded("many"))
    model = independent_pixels.build(Space((1, 28, 28), 256))
    with Largest() as largest:
        model.fit(x)
    assert 0 < largest.numbers <= x.numel()


@pytest.mark.parametrize(
    ("shape", "levels", "n"), [((1, 3, 2), 5, 2500), ((4,), 2, 1), ((7,), 17, 1000), ((2,), 300, 999)]
)
def test_counts_are_those_of_one_hot_vectors(shape, levels, n):
    x = torch.randint(levels, (n, *shape), generator=seeded(n))
    model = independent_pixels.build(Space(shape, levels))
    model.fit(x)
    counts = torch.nn.functional.one_hot(x.flatten(1), levels).sum(0)
    expected = (counts + 1).double().log() - torch.tensor(n + levels).double().log()
    assert torch.equal(model.log_p, expected.float())
