"""Normal densities, and masses in bins: against SciPy, and against quadrature where a difference would cancel."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_ndtr
from scipy.stats import norm

from genbench.numerics.normal import log_normal, log_normal_mass, normalised
from genbench.space import Space

LEVELS = 256
HALF = 1 / (LEVELS - 1)


def levels(n=LEVELS, dtype=torch.float64):
    return torch.arange(n, dtype=dtype) * (2 / (n - 1)) - 1


def test_levels_go_to_minus_one_and_one_and_real_numbers_stay():
    x = torch.tensor([0, 1, 8, 16])
    torch.testing.assert_close(normalised(x, Space((1,), levels=17)), torch.tensor([-1, -0.875, 0, 1]))
    torch.testing.assert_close(normalised(x[:2], Space((1,), levels=2)), torch.tensor([-1.0, 1]))
    real = torch.tensor([-3.5, 70], dtype=torch.float64)
    assert normalised(real, Space((1,))) is real


@pytest.mark.parametrize("log_sd", [-3.0, 0.0, 2.0])
def test_the_density_is_scipys(log_sd):
    x = torch.linspace(-4, 4, 9, dtype=torch.float64)
    found = log_normal(x, torch.tensor(0.5, dtype=torch.float64), torch.tensor(log_sd, dtype=torch.float64))
    np.testing.assert_allclose(found, norm(0.5, math.exp(log_sd)).logpdf(x), rtol=1e-13)


def log_mass(a: float, b: float) -> float:
    """log of a normal's mass between a and b, by the quadrature of exp((c^2 - u^2) / 2), c the end nearest to 0."""
    if a + b > 0:
        a, b = -b, -a
    if b > 0 or math.isinf(a):
        return math.log(norm.cdf(b) - norm.cdf(a)) if b > 0 else float(log_ndtr(b))
    width = min(b - a, 40 / max(1, -b))  # beyond, less than exp(-40) of it
    node, weight = np.polynomial.legendre.leggauss(60)
    u = b - width * (1 + node) / 2
    return norm.logpdf(b) + math.log(width / 2 * weight @ np.exp((b * b - u * u) / 2))


@pytest.mark.parametrize("mean", [-1.2, 0.1, 1.0])
@pytest.mark.parametrize("log_sd", [-8.0, -5.5, -3.0, 0.0, 3.0])
@pytest.mark.parametrize("level", [0, 1, 100, 141, 254, 255])
def test_the_mass_of_a_bin_is_that_of_quadrature_also_deep_in_the_tails(level, log_sd, mean):
    x, sd = float(levels()[level]), math.exp(log_sd)
    a = -math.inf if level == 0 else (x - HALF - mean) / sd
    b = math.inf if level == 255 else (x + HALF - mean) / sd
    found = log_normal_mass(
        levels()[level], torch.tensor(mean, dtype=torch.float64), torch.tensor(log_sd, dtype=torch.float64), LEVELS
    )
    # The arguments err by a few eps, and the log-mass by as much times them; Phi(b) - Phi(a) loses 1/mass of eps.
    largest = max(abs(end) for end in (a, b) if math.isfinite(end))
    expected = log_mass(a, b)
    slack = 4 * np.finfo(float).eps * (1 + largest**2 + math.exp(-expected if expected > -20 else 0))
    assert float(found) == pytest.approx(expected, abs=slack)


@pytest.mark.parametrize("n", [2, 3, 17, 256])
@pytest.mark.parametrize(("mean", "log_sd"), [(0.1, -3.0), (-0.99, -6.0), (3.0, -2.0), (0.0, 3.0)])
def test_masses_of_all_levels_sum_to_one(n, mean, log_sd):
    mass = log_normal_mass(levels(n), torch.tensor(mean), torch.tensor(log_sd).double(), n).exp()
    assert float(mass.sum()) == pytest.approx(1, abs=8 * n * np.finfo(float).eps)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("mean", [-5.0, 0.1, 1.0])
@pytest.mark.parametrize("log_sd", [-30.0, -15.0, -7.0, 7.0, 15.0, 30.0])
def test_masses_of_extremely_narrow_and_wide_normals_are_finite(log_sd, mean, dtype):
    parameters = [torch.full((LEVELS,), v, dtype=dtype, requires_grad=True) for v in (mean, log_sd)]
    mass = log_normal_mass(levels(dtype=dtype), *parameters, LEVELS)
    assert torch.isfinite(mass).all()
    assert (mass <= 0).all()
    if log_sd < -7:  # all of it in the bin of the mean
        assert float(mass[(levels() - mean).abs().argmin()].detach()) == pytest.approx(0, abs=4e-6)
    if log_sd > 0:  # half of it in either tail
        assert mass[[0, -1]].detach().tolist() == pytest.approx([math.log(0.5)] * 2, abs=6 * math.exp(-log_sd) + 1e-6)
    if log_sd >= -7:  # beyond, torch's gradient of log Phi overflows
        for gradient in torch.autograd.grad(mass.sum(), parameters):
            assert torch.isfinite(gradient).all()
