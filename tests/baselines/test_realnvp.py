import math

import pytest
import torch

from genbench.baselines.flows import realnvp
from genbench.likelihood.dequantised import Dequantised
from genbench.models.sampling import seeded
from genbench.space import Space

IMAGES, VECTORS = (1, 8, 8), (3,)


def random_flow(shape: tuple[int, ...], levels: int | None = None, size: float = 0.2) -> realnvp.RealNVP:
    """Away from the identity that a flow starts at: every parameter is moved at random."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        flow = realnvp.RealNVP(shape, depth=2, hidden=8, dropout=0.0, levels=levels).double().eval()
        for p in flow.parameters():
            p.data += size * torch.randn_like(p)
    return flow.requires_grad_(False)


def points(shape: tuple[int, ...], levels: int | None, n: int = 4) -> torch.Tensor:
    if levels is None:
        return torch.randn(n, *shape, dtype=torch.double, generator=seeded("x"))
    return levels * torch.rand(n, *shape, dtype=torch.double, generator=seeded("x"))


CASES = pytest.mark.parametrize(
    ("shape", "levels"), [(IMAGES, None), (IMAGES, 17), ((3, 4, 4), 256), (VECTORS, None), ((2,), 17)]
)


@CASES
def test_inverse_undoes_forward(shape, levels):
    flow, x = random_flow(shape, levels), points(shape, levels)
    z, _ = flow(x)
    torch.testing.assert_close(flow.inverse(z), x, rtol=1e-9, atol=1e-9)
    assert float(flow.round_trip_error(x).max()) < 1e-9 * max(1.0, float(x.abs().max()))


@pytest.mark.parametrize("shape", [IMAGES, VECTORS])  # a logit saturates for noise this far out
def test_forward_undoes_inverse(shape):
    flow = random_flow(shape)
    z = torch.randn(4, math.prod(shape), dtype=torch.double, generator=seeded("z"))
    torch.testing.assert_close(flow(flow.inverse(z))[0], z, rtol=1e-8, atol=1e-8)


@CASES
def test_logdet_is_that_of_autograds_jacobian(shape, levels):
    flow = random_flow(shape, levels)
    for x in points(shape, levels, n=2):
        jacobian = torch.autograd.functional.jacobian(lambda v: flow(v.view(1, *shape))[0][0], x.flatten())
        torch.testing.assert_close(flow(x[None])[1][0], torch.linalg.slogdet(jacobian).logabsdet, rtol=1e-8, atol=1e-8)


def test_every_value_is_transformed_by_the_others():
    flow = random_flow(IMAGES)
    x = points(IMAGES, None, n=1)
    jacobian = torch.autograd.functional.jacobian(lambda v: flow(v.view(1, *IMAGES))[0][0], x.flatten())
    assert (jacobian != 0).sum(1).min() > 1  # no row is a map of one value alone


def grid(start: float, end: float, cells: int) -> tuple[torch.Tensor, float]:
    """Midpoints of the cells of a square, and the area of one."""
    step = (end - start) / cells
    axis = start + step * (torch.arange(cells, dtype=torch.double) + 0.5)
    return torch.cartesian_prod(axis, axis), step**2


def test_density_in_the_plane_integrates_to_one():
    x, area = grid(-15.0, 15.0, 1000)
    assert float(random_flow((2,)).log_prob(x).exp().sum() * area) == pytest.approx(1, abs=1e-4)


def test_density_of_dequantised_integers_integrates_to_one_where_the_logit_lives():
    levels, alpha = 4, 0.05
    margin = levels * alpha / (1 - 2 * alpha)  # logit(alpha + (1 - 2 alpha) x / L) is finite on (-margin, L + margin)
    x, area = grid(-margin, levels + margin, 1000)
    assert float(random_flow((2,), levels).log_prob(x).exp().sum() * area) == pytest.approx(1, abs=1e-3)


def test_samples_are_the_inverse_of_gaussian_noise():
    flow = random_flow((2,)).float()
    n = 20_000
    z, _ = flow(flow.sample(n, seeded("samples")))
    assert float(z.mean(0).abs().max()) < 4 / n**0.5
    assert float((z.var(0) - 1).abs().max()) < 4 * (2 / n) ** 0.5


def test_density_does_not_depend_on_the_batch():
    flow = random_flow(IMAGES).float()
    x = points(IMAGES, None, n=5).float()
    alone = torch.cat([flow.log_prob(one[None]) for one in x])
    torch.testing.assert_close(flow.log_prob(x), alone, rtol=1e-5, atol=1e-4)  # sums of 64 terms in another order


def test_integers_are_dequantised_and_real_numbers_are_not():
    integers = realnvp.build(Space(IMAGES, levels=17), depth=1, hidden=4)
    assert isinstance(integers, Dequantised)
    x = integers.sample(50, seeded("samples"))
    assert x.dtype == torch.int64
    assert 0 <= int(x.min()) <= int(x.max()) <= 16
    assert isinstance(realnvp.build(Space(VECTORS), depth=1, hidden=4), realnvp.RealNVP)


@pytest.mark.parametrize("shape", [(1,), (4, 4)])
def test_spaces_it_cannot_split_are_refused(shape):
    with pytest.raises(ValueError, match=r"it takes images|needs at least two"):
        realnvp.build(Space(shape))
