"""Discretised logistics: masses that sum to one, and agree with arithmetic of 400 digits where float64 cancels."""

from decimal import Decimal, getcontext

import pytest
import torch
from torch.distributions import Categorical

from genbench.numerics.logistic import log_logistic_mass, log_logistic_mixture_mass

LEVELS = 256
GRID = torch.arange(LEVELS, dtype=torch.float64) * (2 / (LEVELS - 1)) - 1


def decimal_log_mass(x: Decimal, mean: Decimal, scale: Decimal, half: Decimal) -> float:
    """log(s(b) - s(a)) by the definition, with so many digits that the difference does not cancel."""
    getcontext().prec = 400
    if x > mean:  # s(b) - s(a) = s(-a) - s(-b), whichever are near 0 and not near 1
        x, mean = -x, -mean

    def s(u: Decimal) -> Decimal:
        return 1 / (1 + (-u).exp())

    upper = Decimal(1) if x == 1 else s((x + half - mean) / scale)
    lower = Decimal(0) if x == -1 else s((x - half - mean) / scale)
    return float((upper - lower).ln())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("log_scale", [-12.0, -9.0, 5.0, 9.0, 12.0, 16.0, 30.0])
@pytest.mark.parametrize("level", [0, 1, 127, 254, 255])
def test_masses_of_narrow_and_of_wide_logistics_are_finite_and_right(level, log_scale, dtype):
    # A wide one's b - a = 2 h / scale is below the spacing of numbers near 1, a narrow one's s(b) and s(a) are both 0.
    mean = torch.tensor(0.3, dtype=dtype)
    x, scale = Decimal(2 * level) / (LEVELS - 1) - 1, Decimal(log_scale).exp()
    truth = decimal_log_mass(x, Decimal(float(mean)), scale, Decimal(1) / (LEVELS - 1))
    found = float(log_logistic_mass(GRID[level].to(dtype), mean, torch.tensor(log_scale, dtype=dtype), LEVELS))
    # (x +- half - mean) errs by 2 eps, and its quotient by the scale by so much over the scale.
    eps = torch.finfo(dtype).eps
    assert found == pytest.approx(truth, rel=8 * eps, abs=(4 + 4 * float(1 / scale)) * eps)


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize(("mean", "log_scale"), [(0.1, -3.0), (-0.99, -6.0), (3.0, -2.0), (0.0, 4.0)])
def test_masses_of_all_levels_sum_to_one(levels, mean, log_scale):
    x = torch.arange(levels, dtype=torch.float64) * (2 / (levels - 1)) - 1
    mass = log_logistic_mass(x, torch.tensor(mean), torch.tensor(log_scale).double(), levels).exp()
    # A mass p errs by eps p log p, which is below eps, and as much for each rounding of the argument.
    assert float(mass.sum()) == pytest.approx(1, abs=4 * levels * torch.finfo(torch.float64).eps)


@pytest.mark.parametrize("level", [0, 1, 100, 128, 200, 254, 255])
@pytest.mark.parametrize(("mean", "log_scale"), [(0.1, -3.0), (-1.0, -5.0), (0.3, 1.0)])
def test_a_mass_is_the_difference_of_two_logistic_functions_also_deep_in_the_tails(level, mean, log_scale):
    x = Decimal(2 * level) / (LEVELS - 1) - 1
    m, s = torch.tensor(mean, dtype=torch.float64), torch.tensor(log_scale, dtype=torch.float64)
    truth = decimal_log_mass(x, Decimal(float(m)), Decimal(float(s)).exp(), Decimal(1) / (LEVELS - 1))
    found = float(log_logistic_mass(GRID[level], m, s, LEVELS))
    # The arguments are below 300 and rounded four times; the slope of the log-mass in them is 2 at most.
    assert found == pytest.approx(truth, rel=0, abs=4 * 300 * 2 * torch.finfo(torch.float64).eps)


def test_only_the_outermost_bins_reach_to_infinity():
    """A test for the edge at 0.99 instead of 1 would give the second level the mass of the tail as well."""
    wide = log_logistic_mass(GRID[[0, 1, -2, -1]], torch.tensor(0.0), torch.tensor(2.0).double(), LEVELS)
    assert wide[0] > wide[1] + 4
    assert wide[3] > wide[2] + 4
    assert float(wide[1]) == pytest.approx(float(wide[2]), rel=1e-12)


def test_a_mixture_is_the_weighted_sum_of_its_parts():
    generator = torch.Generator().manual_seed(0)
    w, mean, log_scale = (torch.randn(5, 3, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    x = GRID[torch.randint(LEVELS, (5, 4), generator=generator)]
    found = log_logistic_mixture_mass(x, w, mean, log_scale, LEVELS)
    weights = Categorical(logits=w.transpose(1, 2)).probs.transpose(1, 2)
    parts = torch.stack([log_logistic_mass(x, mean[:, k], log_scale[:, k], LEVELS).exp() for k in range(3)], 1)
    # Three products and a sum in float64.
    torch.testing.assert_close(found.exp(), (weights * parts).sum(1), rtol=1e-13, atol=0)
    assert found.shape == x.shape


def test_gradients_are_finite_where_the_density_is_narrow_and_far():
    mean = torch.tensor([0.9, -0.9, 0.0], requires_grad=True)
    log_scale = torch.tensor([-7.0, -7.0, 5.0], requires_grad=True)
    log_logistic_mass(torch.tensor([-1.0, 1.0, 0.2]), mean, log_scale, LEVELS).sum().backward()
    assert torch.isfinite(mean.grad).all()
    assert torch.isfinite(log_scale.grad).all()


@pytest.mark.parametrize("log_scale", [-7.0, -3.0, 0.0])
def test_float32_agrees_with_float64(log_scale):
    x = GRID.float()
    narrow = log_logistic_mass(x, torch.tensor(0.1), torch.tensor(log_scale), LEVELS).double()
    precise = log_logistic_mass(x.double(), torch.tensor(0.1).double(), torch.tensor(log_scale).double(), LEVELS)
    # The argument (x +- half - mean)/scale errs by a few eps of 1/scale; the log-mass moves no faster than it does.
    atol = 4 * 1.2e-7 * float(torch.tensor(-log_scale).exp())
    torch.testing.assert_close(narrow, precise, rtol=4 * 1.2e-7, atol=atol)
