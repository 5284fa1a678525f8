"""Masses of normal bins against arithmetic of sixty digits: from two levels to as many as float32 tells apart."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

from genbench.baselines.mixtures import mixture
from genbench.likelihood.dequantised import Dequantised
from genbench.numerics.logistic import log_logistic_mass
from genbench.numerics.normal import COARSE, MOST, log_normal_mass, normalised, on_grid
from genbench.space import Space

LEVELS = [2, 3, 17, 256, 257, 4096, 2**16, 2**20, 2**24]
SDS = [1e-5, 1e-3, 0.03, 0.3, 1.0, 4.0, 30.0, 1e3]


def true_log_mass(level, mean, log_sd, levels):
    """log(Phi(b) - Phi(a)) by the definition, of float64 parameters."""
    with mpmath.workdps(60):
        sd, half = mpmath.exp(mpmath.mpf(log_sd)), mpmath.mpf(1) / (levels - 1)
        x = mpmath.mpf(2 * level) / (levels - 1) - 1
        a = -mpmath.inf if level == 0 else (x - half - mean) / sd
        b = mpmath.inf if level == levels - 1 else (x + half - mean) / sd
        a, b = (-b, -a) if a > 0 else (a, b)
        lower, upper = (mpmath.erfc(-end / mpmath.sqrt(2)) / 2 for end in (a, b))
        return float(mpmath.log(upper - lower))


def levels_of_interest(levels, mean):
    """Both edges and their neighbours, the middle, and the bin that the mean is in, or is nearest to."""
    nearest = min(max(round((mean + 1) / 2 * (levels - 1)), 0), levels - 1)
    return sorted({0, 1, levels // 2, nearest, levels - 2, levels - 1})


@pytest.mark.parametrize("levels", LEVELS)
@pytest.mark.parametrize("mean", [0.0, 0.3, 1.0, -2.0])
def test_a_mass_is_that_of_sixty_digits_however_narrow_the_bin(levels, mean):
    for log_sd in np.log(SDS):
        picked = levels_of_interest(levels, mean)
        x = torch.tensor(picked).double() * (2 / (levels - 1)) - 1
        found = log_normal_mass(x, torch.tensor(mean, dtype=torch.float64), torch.tensor(log_sd), levels).numpy()
        truth = np.array([true_log_mass(k, mean, float(log_sd), levels) for k in picked])
        # An end of a bin is rounded by eps, which is eps/sd in standard deviations; the log-mass moves by as much as
        # that times its hazard, which is below 1 + sqrt(2 |log mass|).
        eps = np.finfo(np.float64).eps
        atol = 1e-12 + 8 * eps / math.exp(log_sd) * (1 + np.sqrt(2 * np.abs(truth)))
        assert (np.abs(found - truth) <= atol + 8 * eps * np.abs(truth)).all(), math.exp(log_sd)


@pytest.mark.parametrize("levels", [257, 2**16, 2**24])
@pytest.mark.parametrize("sd", [0.01, 0.3, 30.0])
def test_float32_loses_nothing_but_the_last_digits_above_256_levels(levels, sd):
    """The way that models go: normalised to float32, where one level of 2^24 is two units in the last place."""
    mean, log_sd = torch.tensor(0.25), torch.tensor(sd).log()
    picked = levels_of_interest(levels, 0.25)
    found = log_normal_mass(normalised(torch.tensor(picked), Space((1,), levels)), mean, log_sd, levels)
    assert found.dtype == torch.float32
    truth = [true_log_mass(k, 0.25, float(log_sd), levels) for k in picked]
    np.testing.assert_allclose(found.numpy(), truth, rtol=1.2e-7)


@pytest.mark.parametrize("mass", [log_normal_mass, log_logistic_mass])
@pytest.mark.parametrize(("levels", "log_scale"), [(300, -4.0), (2**16, -9.0), (2**16, 3.0), (2**18, -1.0)])
def test_masses_of_many_levels_sum_to_one(mass, levels, log_scale):
    x = normalised(torch.arange(levels), Space((1,), levels))
    total = mass(x, torch.tensor(0.3), torch.tensor(log_scale), levels).double().exp().sum()
    # A log-mass, no lower than -30 where it counts, is rounded to float32: by 30 eps / 2 at the most.
    assert float(total) == pytest.approx(1, abs=15 * 1.2e-7)


@pytest.mark.parametrize("levels", [2, 17, 256, 257, 1000, 2**16, 2**24 - 1, 2**24])
def test_every_level_keeps_a_number_of_its_own(levels):
    top = torch.arange(max(0, levels - 100_000), levels)
    x = normalised(top, Space((1,), levels))
    assert len(x.unique()) == len(top)
    assert x[-1] == 1
    assert torch.equal(((on_grid(x, levels) + 1) * ((levels - 1) / 2)).round().long(), top)


def test_a_mixture_of_2_to_the_24_levels_counts_all_24_bits():
    """A floor under the difference of two tails once made 22.6 bits of them."""
    levels, sd = 2**24, 0.3
    model = mixture.build(Space((2,), levels), components=1, scale=sd)
    model.mean.data.zero_()
    x = torch.randint(levels, (200, 2), generator=torch.Generator().manual_seed(0))
    y = x.double().numpy() * (2 / (levels - 1)) - 1
    expected = (stats.norm(0, math.exp(float(model.log_sd[0, 0].detach()))).logpdf(y) + math.log(2 / (levels - 1))).sum(
        1
    )
    # Flat within a bin to (y / sd^2)^2 / L^2 ~ 1e-12; two float32 numbers below 64 are added.
    np.testing.assert_allclose(model.log_prob(x).detach().numpy(), expected, rtol=2.4e-7)


def test_a_gradient_goes_through_bins_of_every_width():
    mean = torch.linspace(-3, 3, 7, requires_grad=True)
    log_sd = torch.tensor([-5.0, -4.0, -1.0, 0.0, 2.0, 5.0, 9.0], requires_grad=True)
    for levels in (2, 17, 256, 2**16, 2**24):
        x = normalised(torch.tensor([0, 1, levels // 2, levels - 1]), Space((1,), levels))
        for slope in torch.autograd.grad(log_normal_mass(x[:, None], mean, log_sd, levels).sum(), (mean, log_sd)):
            assert torch.isfinite(slope).all(), levels


@pytest.mark.parametrize("levels", [17, 2**16])
def test_the_gradient_is_the_slope_of_the_log_mass(levels):
    x = torch.tensor([levels // 2], dtype=torch.float64) * (2 / (levels - 1)) - 1
    parameters = (
        torch.tensor([0.1, -0.4, 0.05], dtype=torch.float64, requires_grad=True),
        torch.tensor([0.3, -2.0, 4.0], dtype=torch.float64, requires_grad=True),
    )
    assert torch.autograd.gradcheck(lambda mean, log_sd: log_normal_mass(x, mean, log_sd, levels), parameters)


def test_more_levels_than_float32_tells_apart_are_refused():
    one_more = Space((2,), MOST + 1)
    with pytest.raises(ValueError, match="float32"):
        mixture.build(one_more, components=2).log_prob(torch.zeros(1, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="float32"):
        Dequantised(mixture.build(Space((2,)), components=2), 2**16 + 1)
    with pytest.raises(ValueError, match="levels"):
        Space((2,), 2**31 + 1)
    assert Dequantised(mixture.build(Space((2,)), components=2), 2**16).space.levels == 2**16


def test_up_to_256_levels_bins_are_placed_to_a_ten_thousandth_of_their_width():
    x = normalised(torch.arange(COARSE), Space((1,), COARSE))
    assert float((x.double() - on_grid(x, COARSE)).abs().max()) < 1e-4 * 2 / (COARSE - 1)
